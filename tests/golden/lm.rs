//! The language model against `formats/vectors/lm`: a frozen micro model, windows that it coded and a
//! trace of its steps. `cargo test --test golden lm:: -- --ignored` writes all but the model anew, which is only
//! right before the first release.

use std::fmt::Write as _;
use std::path::PathBuf;

use nzip::internal::Kernel;
use nzip::internal::SplitMix;
use nzip::internal::codec::lm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::lm::weights::Weights;
use nzip::internal::model::lm::{Adaptive, Lanes, Model};

const LIMITS: WindowLimits = WindowLimits { payload: 256, raw: 400 };
/// Steps that the trace covers.
const TRACED: usize = 200;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("formats/vectors/lm").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn models() -> Vec<Model> {
    let weights = Weights::from_bytes(&read("micro.nzlm")).unwrap();
    Kernel::supported().map(|kernel| Model::with_kernel(weights.clone(), kernel).unwrap()).collect()
}

/// FNV-1a with 64 bits over little-endian 32-bit numbers.
fn fnv(numbers: impl Iterator<Item = u32>) -> u64 {
    numbers.flat_map(u32::to_le_bytes).fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// One line per step: number, byte, hash of all layers' states after the step, hash of the weights of the
/// 256 symbols, and the probabilities of a 1 of the eight decisions.
fn trace(model: &Model, raw: &[u8]) -> String {
    let mut lanes = Lanes::new(model, 1).unwrap();
    let mut adaptive = Adaptive::default();
    let mut out = String::new();
    for (step, &byte) in raw.iter().enumerate().take(TRACED) {
        lanes.set_history(0, &raw[..step]);
        lanes.step();
        let states = (0..model.config().layers).flat_map(|l| lanes.state(0, l)).map(|h| h as u32);
        let sums = lanes.weight_sums(0);
        let weights = fnv((0..=255).map(|s| sums.weight(s)));
        write!(out, "{step} {byte} {:016x} {weights:016x}", fnv(states)).unwrap();
        adaptive
            .code_byte(
                |node| sums.sum(node),
                &raw[..step],
                |depth, one| {
                    write!(out, " {one}").unwrap();
                    Ok(byte >> (7 - depth) & 1 == 1)
                },
            )
            .unwrap();
        out.push('\n');
    }
    out
}

/// One line per window: raw length and payload in hexadecimal.
fn list(windows: &[EncodedWindow]) -> String {
    let mut out = String::new();
    for window in windows {
        write!(out, "{} ", window.raw_len).unwrap();
        window.payload.iter().for_each(|byte| write!(out, "{byte:02x}").unwrap());
        out.push('\n');
    }
    out
}

fn parse(list: &str) -> Vec<EncodedWindow> {
    let window = |line: &str| {
        let (len, hex) = line.split_once(' ').unwrap();
        let payload = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        EncodedWindow { raw_len: len.parse().unwrap(), payload: payload.collect() }
    };
    list.lines().map(window).collect()
}

#[test]
fn steps_follow_the_trace() {
    let raw = read("sample.raw");
    for model in models() {
        assert!(trace(&model, &raw) == text("trace.txt"), "{:?}", model.kernel());
    }
}

#[test]
fn stored_windows_decode() {
    let windows = parse(&text("windows.txt"));
    for model in models() {
        let mut raw = vec![0; windows.iter().map(|w| w.raw_len).sum()];
        let mut rest = raw.as_mut_slice();
        let mut jobs = Vec::new();
        for window in &windows {
            let (raw, tail) = std::mem::take(&mut rest).split_at_mut(window.raw_len);
            rest = tail;
            jobs.push(WindowJob { payload: &window.payload, raw });
        }
        decode_windows(&model, &mut jobs).unwrap();
        assert!(raw == read("sample.raw"));
    }
}

#[test]
fn encoding_gives_the_stored_windows() {
    for model in models() {
        let windows = encode_blocks(&model, &[&read("sample.raw")], LIMITS).unwrap().remove(0);
        assert!(list(&windows) == text("windows.txt"));
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn write_vectors() {
    std::fs::write(path("sample.raw"), sample()).unwrap();
    let model = models().remove(0);
    std::fs::write(path("trace.txt"), trace(&model, &sample())).unwrap();
    let windows = encode_blocks(&model, &[&sample()], LIMITS).unwrap().remove(0);
    std::fs::write(path("windows.txt"), list(&windows)).unwrap();
}

/// Words with repeats, then every byte value, then one byte many times.
fn sample() -> Vec<u8> {
    let mut rng = SplitMix(3);
    let words = ["window", "lane ", "a block of ", "bits", ", ", "the model ", "payload\n", "42 "];
    let mut raw = Vec::new();
    while raw.len() < 1200 {
        raw.extend_from_slice(words[rng.below(words.len() as u64) as usize].as_bytes());
    }
    raw.extend(0..=255u8);
    raw.extend([0x20; 300]);
    raw.extend((0..200).map(|_| rng.next_u64() as u8));
    raw
}
