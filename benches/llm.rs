//! Costs and gains of codec `llm` with a model of the user's.
//!
//! `NZIP_BENCH_MODEL=weights.nz cargo bench --bench llm -- FILE[:BYTES]...` prints for each file: tokens, bytes by
//! the network alone, by windows that decode alone and by chained ones, speed in processor time.
//! `NZIP_BENCH_TOKENS=PATH` writes the windows' tokens there, one window a line, for comparison with other programs;
//! `NZIP_BENCH_NETWORK=0` leaves the network alone out, `NZIP_BENCH_ALONE=0` the windows that decode alone;
//! `NZIP_BENCH_DECODE=1` decodes too; `NZIP_BENCH_WINDOW` is the payload limit of a window, `NZIP_BENCH_BLOCK` the raw
//! size of a block, `NZIP_BENCH_KEPT` how many tokens enter again (by default a quarter of the context),
//! `NZIP_BENCH_KERNEL` one of scalar, avx2, avx512.

use nzip::internal::Kernel;
use nzip::internal::codec::llm::{
    ChainJob, decode_chains_with_lanes, decode_windows, encode_blocks, encode_chains,
};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::llm::{
    BitEncoder, Column, Distribution, MAX_COLUMNS, Model, Session, Weights, powers,
};
use std::fmt::Write;

fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Bits that the network alone gives the tokens of a text, as real numbers, and bytes of a payload without the adaptive
/// stage.
fn network_bits(model: &Model, tokens: &[u32], log: &mut String) -> (f64, usize) {
    let mut plain = BitEncoder::default();
    let context = model.shape().context;
    let mut session = Session::new(model, 1, context).unwrap();
    let (mut bits, mut blocks) = (0.0, Vec::new());
    let vocab = model.shape().vocab as u32;
    let known: Vec<u32> = tokens.iter().copied().filter(|&t| t < vocab).collect();
    for window in known.chunks(context) {
        let words: Vec<String> = window.iter().map(u32::to_string).collect();
        writeln!(log, "{}", words.join(" ")).unwrap();
        session.reset(0);
        let inputs: Vec<u32> = [model.shape().start].iter().chain(window).copied().collect();
        for (i, part) in window.chunks(MAX_COLUMNS).enumerate() {
            let at = i * MAX_COLUMNS;
            let columns: Vec<Column> =
                inputs[at..at + part.len()].iter().map(|&token| Column { lane: 0, token }).collect();
            session.step(&columns);
            for (c, &token) in part.iter().enumerate() {
                powers(&mut session, c);
                let d = Distribution::new(session.logits(c), &mut blocks);
                bits -= (f64::from(d.weight(token).max(1)) / d.total() as f64).log2();
                d.encode(token, 1, &mut plain);
            }
        }
    }
    (bits, plain.payload().len())
}

fn set(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

fn kernel() -> Kernel {
    match std::env::var("NZIP_BENCH_KERNEL").as_deref() {
        Ok("scalar") => Kernel::Scalar,
        Ok("avx2") => Kernel::avx2().expect("a machine with AVX2"),
        _ => Kernel::best(),
    }
}

/// Decodes blocks by `run`, which gets their windows.
fn decode(coded: &[Vec<EncodedWindow>], raw: &[u8], run: impl FnOnce(Vec<Vec<WindowJob<'_>>>)) -> f64 {
    let mut out: Vec<Vec<Vec<u8>>> =
        coded.iter().map(|b| b.iter().map(|w| vec![0; w.raw_len]).collect()).collect();
    let jobs = coded.iter().zip(&mut out).map(|(block, raw)| {
        block.iter().zip(raw).map(|(w, raw)| WindowJob { payload: &w.payload, raw }).collect()
    });
    let jobs = jobs.collect();
    let start = cpu_seconds();
    run(jobs);
    let seconds = cpu_seconds() - start;
    assert!(out.concat().concat() == raw);
    seconds
}

/// Codes a text one way and prints the result.
fn report(
    what: &str,
    raw: &[u8],
    tokens: f64,
    encode: impl FnOnce() -> Vec<Vec<EncodedWindow>>,
    run: impl FnOnce(Vec<Vec<WindowJob<'_>>>),
) {
    let start = cpu_seconds();
    let coded = encode();
    let seconds = cpu_seconds() - start;
    let payload: usize = coded.iter().flatten().map(|w| w.payload.len()).sum();
    let (n, windows) = (raw.len() as f64, coded.iter().flatten().count());
    print!(
        "; {what} {payload} in {windows} windows ({:.4} bpb), encode {:.0} B/s, {:.0} tokens/s",
        payload as f64 * 8.0 / n,
        n / seconds,
        tokens / seconds
    );
    if set("NZIP_BENCH_DECODE").is_some() {
        let seconds = decode(&coded, raw, run);
        print!(", decode {:.0} B/s, {:.0} tokens/s", n / seconds, tokens / seconds);
    }
}

fn main() {
    let Ok(path) = std::env::var("NZIP_BENCH_MODEL") else { return println!("NZIP_BENCH_MODEL is not set") };
    let mut models = nzip::Models::new();
    let hash = models.add_file(path).unwrap();
    let weights = Weights::from_bytes(&models.find(&hash).unwrap()).unwrap();
    let model = Model::with_kernel(weights, kernel()).unwrap();
    drop(models);
    let kept = set("NZIP_BENCH_KEPT").unwrap_or(model.shape().context / 4);
    let block = set("NZIP_BENCH_BLOCK").unwrap_or(256 << 10);
    let limits = WindowLimits { payload: set("NZIP_BENCH_WINDOW").unwrap_or(32 << 10), raw: 256 << 10 };
    let mut log = String::new();
    for file in std::env::args().skip(1).filter(|a| !a.starts_with("--")) {
        let (name, bytes) =
            file.split_once(':').map_or((&file[..], None), |(n, b)| (n, b.parse::<usize>().ok()));
        let mut raw = std::fs::read(name).unwrap();
        raw.truncate(bytes.unwrap_or(raw.len()));
        let tokens = model.tokenizer().encode(&raw);
        print!("{name}: {} bytes, {} tokens", raw.len(), tokens.len());
        if set("NZIP_BENCH_NETWORK") != Some(0) {
            let (bits, plain) = network_bits(&model, &tokens, &mut log);
            print!("; network {:.1} ({:.4} bpb), {plain} coded", bits / 8.0, bits / raw.len() as f64);
        }
        let blocks: Vec<&[u8]> = raw.chunks(block).collect();
        let count = tokens.len() as f64;
        if set("NZIP_BENCH_ALONE") != Some(0) {
            let run = |jobs: Vec<Vec<WindowJob<'_>>>| {
                decode_windows(&model, &mut jobs.into_iter().flatten().collect::<Vec<_>>()).unwrap();
            };
            report("alone", &raw, count, || encode_blocks(&model, &blocks, limits).unwrap(), run);
        }
        let run = |jobs: Vec<Vec<WindowJob<'_>>>| {
            let chains = jobs.into_iter().map(|windows| ChainJob { kept, windows });
            decode_chains_with_lanes(&model, &mut chains.collect::<Vec<_>>(), MAX_COLUMNS).unwrap();
        };
        report("chained", &raw, count, || encode_chains(&model, &blocks, limits, kept).unwrap(), run);
        println!();
    }
    if let Ok(path) = std::env::var("NZIP_BENCH_TOKENS") {
        std::fs::write(path, log).unwrap();
    }
}
