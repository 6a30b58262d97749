//! `store` and `zstd` paths against the zstd library itself, one thread, check values verified;
//! processor time, so that other programs do not count.
//!
//! `cargo bench --bench plain -- FILE`; without a file, on made-up text.

use nzip::internal::SplitMix;
use nzip::{Codec, CodecChoice, DecodeOptions, Decoder, Options};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::io::Read;

/// The least processor time of several runs of each of two pieces of work, in seconds. They alternate, so that other
/// programs disturb both alike.
fn best<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (f64, f64) {
    let now = || {
        let t = clock_gettime(ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
    };
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..31 {
        let start = now();
        black_box(ours());
        let between = now();
        black_box(theirs());
        best = (best.0.min(between - start), best.1.min(now() - between));
    }
    best
}

fn made_up() -> Vec<u8> {
    let words: [&str; 8] = ["window ", "of ", "payload ", "bits, ", "the ", "coder\n", "reads ", "a "];
    let mut rng = SplitMix(1);
    (0..3 << 20).map(|_| words[rng.below(8) as usize]).collect::<String>().into_bytes()
}

/// Reads everything through one buffer, as `io::copy` does.
fn drain(mut reader: impl Read) -> u64 {
    let (mut buffer, mut sum) = (vec![0; 128 << 10], 0);
    loop {
        match reader.read(&mut buffer).expect("decodes") {
            0 => return sum,
            n => sum += n as u64,
        }
    }
}

fn main() {
    let path = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let raw = path.map_or_else(made_up, |p| std::fs::read(p).expect("readable file"));
    let mb = raw.len() as f64 / 1e6;
    let show = |what: &str, (ours, theirs): (f64, f64)| {
        println!(
            "{what:24} nzip {:8.1} MB/s   library {:8.1} MB/s   {:+.1} %",
            mb / ours,
            mb / theirs,
            100.0 * (theirs / ours - 1.0)
        );
    };
    for (level, zstd_level) in [(1, 3), (6, 19)] {
        let options = Options::new().codec(CodecChoice::Only(Codec::Zstd)).level(level).threads(1);
        let packed = nzip::compress_with(&raw, options.clone()).expect("compresses");
        let frame = zstd::bulk::compress(&raw, zstd_level).expect("compresses");
        println!("{} bytes, level {level}: nzip {}, zstd {}", raw.len(), packed.len(), frame.len());
        if level == 1 {
            let ours = || nzip::compress_with(&raw, options.clone());
            let theirs = || zstd::bulk::compress(&raw, zstd_level);
            show("zstd encode", best(ours, theirs));
        }
        let decoding = || DecodeOptions::new().threads(1);
        let stream = || Decoder::with_options(&packed[..], decoding()).expect("options");
        let ours = || drain(stream());
        let theirs = || drain(zstd::Decoder::new(&frame[..]).expect("decodes"));
        show("zstd decode, streaming", best(ours, theirs));
        let ours = || nzip::decompress_with(&packed, decoding());
        let theirs = || zstd::bulk::decompress(&frame, raw.len());
        show("zstd decode, slice", best(ours, theirs));
    }
    let options = Options::new().codec(CodecChoice::Only(Codec::Store)).threads(1);
    let packed = nzip::compress_with(&raw, options).expect("compresses");
    let stream = || Decoder::with_options(&packed[..], DecodeOptions::new().threads(1)).expect("options");
    let frame = zstd::bulk::compress(&raw, -50).expect("compresses");
    let ours = || drain(stream());
    let theirs = || drain(zstd::Decoder::new(&frame[..]).expect("decodes"));
    show("store, against zstd -50", best(ours, theirs));
}
