//! Chained blocks of imported language models: the bytes do not depend on kernels, lanes, threads and windows, damage is found,
//! and ranges are equal to the same part of the whole.

use crate::transformers::{micro, sample};
use nzip::ErrorKind;
use nzip::internal::Kernel;
use nzip::internal::codec::llm::{
    ChainJob, MIN_PAYLOAD, decode_chains_with_lanes, encode_blocks, encode_chains, kept_of,
};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::llm::{Model, Weights};
use proptest::prelude::*;

/// T of the model that tests run on.
const CONTEXT: usize = 64;

fn weights() -> Weights {
    Weights::from_bytes(&nzip::llm::import_gguf(&micro().file(), Some(CONTEXT)).unwrap()).unwrap()
}

fn model(kernel: Kernel) -> Model {
    Model::with_kernel(weights(), kernel).unwrap()
}

fn limits(payload: usize) -> WindowLimits {
    WindowLimits { payload, raw: 1 << 16 }
}

/// Blocks of several lengths that repeat themselves and each other.
fn blocks(raw: &[u8]) -> Vec<&[u8]> {
    let (a, rest) = raw.split_at(raw.len() / 2);
    let (b, c) = rest.split_at(rest.len() / 3);
    vec![a, b, c, &raw[..40]]
}

fn decode(
    model: &Model,
    blocks: &[Vec<EncodedWindow>],
    params: &[u8],
    lanes: usize,
) -> nzip::Result<Vec<u8>> {
    let mut out: Vec<Vec<Vec<u8>>> =
        blocks.iter().map(|b| b.iter().map(|w| vec![0; w.raw_len]).collect()).collect();
    let kept = kept_of(params)?;
    let jobs = blocks.iter().zip(&mut out).map(|(block, raw)| {
        let windows = block.iter().zip(raw).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
        ChainJob { kept, windows: windows.collect() }
    });
    decode_chains_with_lanes(model, &mut jobs.collect::<Vec<_>>(), lanes)?;
    Ok(out.concat().concat())
}

#[test]
fn chains_round_trip_however_they_are_decoded() {
    let raw = sample(1200);
    let blocks = blocks(&raw);
    let models: Vec<Model> = Kernel::supported().map(model).collect();
    for (payload, kept) in [(MIN_PAYLOAD, 1), (100, 16), (1 << 15, CONTEXT - 1)] {
        let coded = encode_chains(&models[0], &blocks, limits(payload), kept).unwrap();
        assert!(coded.iter().flatten().all(|w| w.payload.len() <= payload));
        assert_eq!(coded[0].len() > 1, payload < 1 << 15);
        for model in &models {
            assert_eq!(coded, encode_chains(model, &blocks, limits(payload), kept).unwrap());
            for lanes in [1, 3, 32] {
                let found = decode(model, &coded, &[kept as u8], lanes).unwrap();
                assert!(found == blocks.concat(), "{payload} {kept} {lanes}");
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    let raw = sample(1000);
    let model = model(Kernel::best());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let coded = encode_chains(&model, &blocks(&raw), limits(64), 16).unwrap();
            assert!(decode(&model, &coded, &[16], 4).unwrap() == blocks(&raw).concat());
            coded
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn what_a_block_teaches_makes_it_smaller() {
    let raw: Vec<u8> =
        (0..300u32).flat_map(|i| format!("window {} was closed\n", i * i % 77).into_bytes()).collect();
    let model = model(Kernel::best());
    let size =
        |blocks: Vec<Vec<EncodedWindow>>| blocks.iter().flatten().map(|w| w.payload.len()).sum::<usize>();
    let chained = size(encode_chains(&model, &[&raw], limits(1 << 15), 16).unwrap());
    let alone = size(encode_blocks(&model, &[&raw], limits(1 << 15)).unwrap());
    assert!(2 * chained < alone, "{chained} {alone}");
}

#[test]
fn parameters_are_checked() {
    let model = model(Kernel::best());
    let coded = encode_chains(&model, &[&sample(300)], limits(1 << 12), 16).unwrap();
    for params in [&[][..], &[0], &[64], &[16, 0], &[0x90, 0], &[255, 255, 255]] {
        let e = decode(&model, &coded, params, 1).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Corrupt, "{params:?}: {e}");
    }
    assert!(encode_chains(&model, &[&sample(300)], limits(1 << 12), CONTEXT).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn anything_round_trips(raw in prop::collection::vec(any::<u8>(), 1..300), payload in 8usize..40, kept in 1u8..64) {
        let model = model(Kernel::best());
        let coded = encode_chains(&model, &[&raw], limits(4 * payload), kept.into()).unwrap();
        prop_assert_eq!(decode(&model, &coded, &[kept], 5).unwrap(), raw);
    }

    #[test]
    fn damaged_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..60), len in 1usize..300) {
        let coded = [vec![
            EncodedWindow { raw_len: len, payload: payload.clone() },
            EncodedWindow { raw_len: 5, payload },
        ]];
        let found: Vec<_> = Kernel::supported()
            .map(|kernel| decode(&model(kernel), &coded, &[7], 1).map_err(|e| e.kind()))
            .collect();
        prop_assert!(found[0].clone().err().is_none_or(|e| e == ErrorKind::Corrupt));
        prop_assert!(found.iter().all(|f| *f == found[0]));
    }
}

#[test]
fn archives_and_ranges() {
    use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Models, Options};
    let raw = sample(6000);
    let mut models = Models::new();
    let hash = models.add(weights().to_bytes());
    let options = Options::new().model(hash).models(models.clone()).codec(CodecChoice::Only(Codec::Llm));
    let options = options.window(256).block_size(4096);
    let packed = nzip::compress_with(&raw, options.clone()).unwrap();
    let alone = nzip::compress_with(&raw, options.chained(false)).unwrap();
    assert!(packed.len() < alone.len());
    let decoding = DecodeOptions::new().models(models);
    for packed in [&packed, &alone] {
        assert!(nzip::decompress_with(packed, decoding.clone()).unwrap() == raw);
        let mut archive = Archive::with_options(std::io::Cursor::new(packed), decoding.clone()).unwrap();
        for range in [0..1, 700..2900, 4000..4200, 5999..6000, 0..6000] {
            let found = archive.read_range(range.clone()).unwrap();
            assert!(found == raw[range.start as usize..range.end as usize], "{range:?}");
        }
    }
    // A changed byte is found wherever it is, and the bytes before it still decode.
    for at in (0..packed.len()).step_by(61) {
        let mut damaged = packed.clone();
        damaged[at] ^= 4;
        let mut found = Vec::new();
        let mut decoder = nzip::Decoder::with_options(&damaged[..], decoding.clone()).unwrap();
        assert!(std::io::Read::read_to_end(&mut decoder, &mut found).is_err(), "{at}");
        assert!(raw.starts_with(&found), "{at}");
    }
}
