//! The imported transformer against `formats/vectors/llm`: windows that a frozen micro model coded and a trace of
//! the first one. `cargo test --test golden llm:: -- --ignored` writes both anew, which is only right before the
//! first release.

use nzip::internal::Kernel;
use nzip::internal::codec::llm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::llm::{Adaptive, Coder, Column, Distribution, Model, Session, Weights, powers};
use std::fmt::Write as _;
use std::path::PathBuf;

const LIMITS: WindowLimits = WindowLimits { payload: 128, raw: 2000 };

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("formats/vectors/llm").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn models() -> Vec<Model> {
    let weights = Weights::from_bytes(&std::fs::read(path("micro.nzllm")).unwrap()).unwrap();
    let kernels = Kernel::supported();
    kernels.map(|kernel| Model::with_kernel(weights.clone(), kernel).unwrap()).collect()
}

/// FNV-1a with 64 bits over little-endian 32-bit numbers.
fn fnv(numbers: impl Iterator<Item = u32>) -> u64 {
    numbers.flat_map(u32::to_le_bytes).fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Gives the known symbol, and records the probabilities of the decisions.
struct Trace {
    symbol: u32,
    line: String,
}

impl Coder for Trace {
    fn is(&mut self, guess: u32, one: u32) -> nzip::Result<bool> {
        write!(self.line, " {one}").unwrap();
        Ok(guess == self.symbol)
    }

    fn symbol(&mut self, _: &Distribution<'_>, _: u64) -> nzip::Result<u32> {
        Ok(self.symbol)
    }
}

/// One line per symbol: number, symbol, hash of the weights, probabilities of the decisions.
fn trace(model: &Model, raw: &[u8]) -> String {
    let mut session = Session::new(model, 1, model.shape().context).unwrap();
    let (mut adaptive, mut blocks, mut out) = (Adaptive::default(), Vec::new(), String::new());
    let step = |session: &mut Session<'_>, token| {
        session.step(&[Column { lane: 0, token }]);
        powers(session, 0);
    };
    step(&mut session, model.shape().start);
    for (i, symbol) in model.tokenizer().encode(raw).into_iter().enumerate() {
        let hash = fnv(session.logits(0).iter().map(|&w| w as u32));
        let mut coder = Trace { symbol, line: format!("{i} {symbol} {hash:016x}") };
        adaptive.code(&mut Distribution::new(session.logits(0), &mut blocks), &mut coder).unwrap();
        writeln!(out, "{}", coder.line).unwrap();
        if (symbol as usize) < model.shape().vocab && session.len(0) < model.shape().context {
            step(&mut session, symbol);
        }
    }
    out
}

fn raw() -> Vec<u8> {
    std::fs::read(path("sample.raw")).unwrap()
}

fn encode(model: &Model) -> Vec<EncodedWindow> {
    encode_blocks(model, &[&raw()], LIMITS).unwrap().remove(0)
}

fn lines(windows: &[EncodedWindow]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    windows.iter().map(|w| format!("{} {}\n", w.raw_len, hex(&w.payload))).collect()
}

#[test]
fn windows_and_trace_are_as_ever() {
    for model in models() {
        let windows = encode(&model);
        assert_eq!(lines(&windows), text("windows.txt"));
        assert_eq!(trace(&model, &raw()[..windows[0].raw_len]), text("trace.txt"));
        let mut out: Vec<Vec<u8>> = windows.iter().map(|w| vec![0; w.raw_len]).collect();
        let jobs = windows.iter().zip(&mut out).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
        decode_windows(&model, &mut jobs.collect::<Vec<_>>()).unwrap();
        assert!(out.concat() == raw());
    }
}

#[test]
#[ignore = "writes the vectors"]
fn write() {
    let model = &models()[0];
    let windows = encode(model);
    std::fs::write(path("windows.txt"), lines(&windows)).unwrap();
    std::fs::write(path("trace.txt"), trace(model, &raw()[..windows[0].raw_len])).unwrap();
}
