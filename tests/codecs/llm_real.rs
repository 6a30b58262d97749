//! A real language model's archive decodes to the same bytes with every kernel, lane count and thread count, and is
//! coded to the same bytes. Run by `tools/llm.sh`, which provides model and sample, in debug and in release.

use nzip::internal::Kernel;
use nzip::internal::codec::llm::{
    ChainJob, decode_chains_with_lanes, decode_with_lanes, encode_blocks, encode_chains,
};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::llm::{Model, Weights};
use std::path::PathBuf;

/// Tokens that enter again: few, so that it happens in a small sample.
const KEPT: usize = 100;

fn given(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run tools/llm.sh")).into()
}

/// Decodes blocks, chained or not.
fn decode(model: &Model, blocks: &[Vec<EncodedWindow>], chained: bool, lanes: usize) -> Vec<u8> {
    let mut out: Vec<Vec<Vec<u8>>> =
        blocks.iter().map(|b| b.iter().map(|w| vec![0; w.raw_len]).collect()).collect();
    let mut jobs: Vec<Vec<WindowJob<'_>>> = blocks
        .iter()
        .zip(&mut out)
        .map(|(b, raw)| b.iter().zip(raw).map(|(w, raw)| WindowJob { payload: &w.payload, raw }).collect())
        .collect();
    if chained {
        let mut chains: Vec<_> = jobs.drain(..).map(|windows| ChainJob { kept: KEPT, windows }).collect();
        decode_chains_with_lanes(model, &mut chains, lanes).unwrap();
    } else {
        let mut windows: Vec<_> = jobs.drain(..).flatten().collect();
        decode_with_lanes(model, &mut windows, lanes).unwrap();
    }
    out.concat().concat()
}

#[test]
#[ignore = "needs a model: run tools/llm.sh"]
fn one_archive_decodes_everywhere() {
    let mut models = nzip::Models::new();
    let hash = models.add_file(given("NZIP_LLM_MODEL")).unwrap();
    let weights = Weights::from_bytes(&models.find(&hash).unwrap()).unwrap();
    let raw = std::fs::read(given("NZIP_LLM_SAMPLE")).unwrap();
    let blocks: Vec<&[u8]> = raw.chunks(raw.len().div_ceil(3)).collect();
    let limits = WindowLimits { payload: 300, raw: 1 << 16 };
    // The fastest kernel of a release build codes; all others decode its result in both profiles.
    let stored =
        |chained: bool| given("NZIP_LLM_SAMPLE").with_extension(if chained { "chained" } else { "alone" });
    for kernel in Kernel::supported().collect::<Vec<_>>().into_iter().rev() {
        let model = Model::with_kernel(weights.clone(), kernel).unwrap();
        for chained in [true, false] {
            let coded = if chained {
                encode_chains(&model, &blocks, limits, KEPT).unwrap()
            } else {
                encode_blocks(&model, &blocks, limits).unwrap()
            };
            let text = format!("{coded:?}");
            let path = stored(chained);
            if cfg!(debug_assertions) || kernel != Kernel::best() {
                assert!(std::fs::read_to_string(&path).unwrap() == text, "{kernel:?}: coded otherwise");
            } else {
                std::fs::write(&path, &text).unwrap();
            }
            // One lane after the other takes long without vectors and optimisation.
            let slow = cfg!(debug_assertions) && kernel == Kernel::Scalar;
            for (threads, lanes) in [(2, 32), (1, 1), (2, 1)].into_iter().take(if slow { 1 } else { 3 }) {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| decode(&model, &coded, chained, lanes));
                assert!(found == raw, "{kernel:?}, chained {chained}, {threads} threads, {lanes} lanes");
                println!("{kernel:?}, chained {chained}, {threads} threads, {lanes} lanes: the same");
            }
        }
    }
}
