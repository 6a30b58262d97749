//! What codec `llm` costs and gains with a model of the user's.
//!
//! `NZIP_BENCH_MODEL=weights.nz cargo bench --bench llm -- FILE[:BYTES]...` prints for each file: tokens, bytes by
//! the network alone, by the whole codec, speed of both directions in processor time. `NZIP_BENCH_TOKENS=PATH`
//! writes the windows' tokens there, one window a line, for comparison with other programs;
//! `NZIP_BENCH_DECODE=1` decodes too; `NZIP_BENCH_WINDOW` is the payload limit of a window.

use nzip::internal::codec::llm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::llm::{
    Adaptive, BitEncoder, Column, Distribution, Encode, MAX_COLUMNS, Model, Session, Weights, powers,
};
use std::fmt::Write;

fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Bits that the network alone gives the tokens of a text, as real numbers; bytes of a payload without the adaptive
/// stage; bytes of one whose adaptive stage goes on from window to window.
fn network_bits(model: &Model, tokens: &[u32], log: &mut String) -> (f64, usize, usize) {
    let (mut plain, mut across, mut adaptive) =
        (BitEncoder::default(), BitEncoder::default(), Adaptive::default());
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
                let mut d = Distribution::new(session.logits(c), &mut blocks);
                bits -= (f64::from(d.weight(token).max(1)) / d.total() as f64).log2();
                d.encode(token, 1, &mut plain);
                adaptive.code(&mut d, &mut Encode { symbol: token, coder: &mut across }).unwrap();
            }
        }
    }
    (bits, plain.payload().len(), across.payload().len())
}

fn main() {
    let Ok(path) = std::env::var("NZIP_BENCH_MODEL") else { return println!("NZIP_BENCH_MODEL is not set") };
    let mut models = nzip::Models::new();
    let hash = models.add_file(path).unwrap();
    let model = Model::new(Weights::from_bytes(&models.find(&hash).unwrap()).unwrap()).unwrap();
    drop(models);
    let set = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<usize>().ok());
    let limits = WindowLimits { payload: set("NZIP_BENCH_WINDOW").unwrap_or(32 << 10), raw: 256 << 10 };
    let mut log = String::new();
    for file in std::env::args().skip(1).filter(|a| !a.starts_with("--")) {
        let (name, bytes) =
            file.split_once(':').map_or((&file[..], None), |(n, b)| (n, b.parse::<usize>().ok()));
        let mut raw = std::fs::read(name).unwrap();
        raw.truncate(bytes.unwrap_or(raw.len()));
        let tokens = model.tokenizer().encode(&raw);
        let alone = set("NZIP_BENCH_NETWORK") != Some(0);
        let (network, plain, across) =
            if alone { network_bits(&model, &tokens, &mut log) } else { (0.0, 0, 0) };
        let start = cpu_seconds();
        let windows = encode_blocks(&model, &[&raw], limits).unwrap().remove(0);
        let encode = cpu_seconds() - start;
        let payload: usize = windows.iter().map(|w| w.payload.len()).sum();
        let n = raw.len() as f64;
        print!(
            "{name}: {} bytes, {} tokens, {} windows; network {:.1} bytes ({:.4} bpb), {plain} coded without adapting, {across} adapting across windows, coded {payload} ({:.4} bpb); encode {:.0} B/s, {:.0} tokens/s",
            raw.len(),
            tokens.len(),
            windows.len(),
            network / 8.0,
            network / n,
            payload as f64 * 8.0 / n,
            n / encode,
            tokens.len() as f64 / encode,
        );
        if set("NZIP_BENCH_DECODE").is_some() {
            let mut out: Vec<Vec<u8>> = windows.iter().map(|w| vec![0; w.raw_len]).collect();
            let jobs = windows.iter().zip(&mut out).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
            let start = cpu_seconds();
            decode_windows(&model, &mut jobs.collect::<Vec<_>>()).unwrap();
            print!("; decode {:.0} B/s", n / (cpu_seconds() - start));
            assert!(out.concat() == raw);
        }
        println!();
    }
    if let Ok(path) = std::env::var("NZIP_BENCH_TOKENS") {
        std::fs::write(path, log).unwrap();
    }
}
