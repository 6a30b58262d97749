//! Decoding `lm` windows on a GPU against lanes: `cargo bench --bench gpu [-- MODEL [LANES ...]]`.
//!
//! `NZIP_DEVICE` chooses the GPU by a part of its name. A software driver computes on the CPU: its speed says
//! nothing about that of a GPU, but its counters are the same. `formats/gpu.md` estimates the most that a card can do.

use nzip::internal::SplitMix;
use nzip::{Codec, CodecChoice, DecodeOptions, Device, Models, Options};
use std::time::Instant;

/// Raw bytes of a lane: one window, the smallest block.
const LANE: usize = 4096;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let name = std::env::var("NZIP_DEVICE").ok();
    let device = match Device::gpu(name.as_deref()) {
        Ok(device) => device.without_fallback(),
        Err(e) => return println!("nothing to measure: {e}"),
    };
    let info = device.info().expect("a GPU was opened");
    let model = arguments.first().map_or("tiny", String::as_str);
    let found = Models::new().list().into_iter().find(|m| m.name == Some(model));
    let hash = found.unwrap_or_else(|| panic!("no model {model}")).hash;
    let given = arguments.iter().skip(1).map(|n| n.parse().expect("a number of lanes"));
    let mut lanes: Vec<usize> = given.collect();
    if lanes.is_empty() {
        lanes = if info.software { vec![16, 32] } else { vec![16, 64, 256, 1024, 4096] };
    }
    println!("{model} on {} ({}), software driver: {}", info.name, info.backend, info.software);
    println!("lanes  KB/s  KB/s in kernels  weight bytes  dispatches  read-backs (these three for each KB)");
    lanes.into_iter().for_each(|lanes| measure(&device, hash, lanes));
}

fn measure(device: &Device, hash: [u8; 32], lanes: usize) {
    let raw = text(lanes * LANE);
    let options = Options::new().model(hash).codec(CodecChoice::Only(Codec::Lm)).block_size(LANE);
    let packed = nzip::compress_with(&raw, options).expect("it compresses");
    let before = device.counters();
    let start = Instant::now();
    let options = DecodeOptions::new().device(device.clone()).memory(8 << 30);
    assert!(nzip::decompress_with(&packed, options).expect("it decodes") == raw);
    let seconds = start.elapsed().as_secs_f64();
    let after = device.counters();
    let kilobytes = (after.decoded_bytes - before.decoded_bytes) as f64 * 1e-3;
    let each = |after: u64, before: u64| (after - before) as f64 / kilobytes;
    let in_kernels = match after.kernel_nanoseconds - before.kernel_nanoseconds {
        0 => "-".to_string(),
        nanoseconds => format!("{:.1}", kilobytes / (nanoseconds as f64 * 1e-9)),
    };
    println!(
        "{lanes:5} {:5.1} {in_kernels:>16} {:13.0} {:11.3} {:11.3}",
        kilobytes / seconds,
        each(after.weight_bytes, before.weight_bytes),
        each(after.dispatches, before.dispatches),
        each(after.readbacks, before.readbacks),
    );
}

/// Words in random order.
fn text(len: usize) -> Vec<u8> {
    let words = ["the ", "window ", "of ", "a ", "lane ", "holds ", "bytes, ", "which ", "are ", "read.\n"];
    let mut rng = SplitMix(1);
    let mut out = Vec::new();
    while out.len() < len {
        out.extend_from_slice(words[rng.below(words.len() as u64) as usize].as_bytes());
    }
    out.truncate(len);
    out
}
