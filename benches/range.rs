//! Random access: ranges of 64 KiB out of an `lm` archive of 100 MB. A range must not decode more than itself and two
//! windows, which the archive's own counter tells.
//!
//! `cargo bench --bench range`, or `cargo bench --bench range -- MEGABYTES`. The model is the micro model of the
//! golden files: which windows a range touches does not depend on how well they are coded.

use nzip::internal::SplitMix;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Encoder, Models, Options};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

/// Raw bytes of a range.
const RANGE: u64 = 64 << 10;
/// Ranges read.
const READS: u64 = 64;

/// Numbered lines of words drawn by a generator: text that no two windows share.
fn text(bytes: usize) -> Vec<u8> {
    let words = ["window", "lane", "block", "of", "the", "payload", "is", "raw", "and", "index"];
    let (mut rng, mut text) = (SplitMix(1), Vec::with_capacity(bytes + 100));
    while text.len() < bytes {
        write!(text, "{}", text.len()).expect("memory can be written to");
        for _ in 0..12 {
            text.push(b' ');
            text.extend_from_slice(words[rng.below(words.len() as u64) as usize].as_bytes());
        }
        text.push(b'\n');
    }
    text.truncate(bytes);
    text
}

fn main() {
    let megabytes = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(100);
    let raw = text(megabytes * 1_000_000);
    let mut models = Models::new();
    let model = models.add(&include_bytes!("../formats/vectors/lm/micro.nzlm")[..]);
    let path = std::env::temp_dir().join(format!("nzip-range-{}.nz", std::process::id()));
    let options = Options::new().codec(CodecChoice::Only(Codec::Lm)).model(model).models(models.clone());
    let start = Instant::now();
    let file = BufWriter::new(File::create(&path).expect("a writable temporary folder"));
    let mut encoder = Encoder::with_options(file, options).expect("options in range");
    encoder.write_all(&raw).expect("room for the archive");
    encoder.finish().expect("room for the archive").into_inner().expect("room for the archive");
    println!("coded {megabytes} MB in {:.0} s", start.elapsed().as_secs_f64());

    let start = Instant::now();
    let mut archive = Archive::open_with(&path, DecodeOptions::new().models(models)).expect("opens");
    let opened = start.elapsed();
    let window = (0..archive.block_count())
        .flat_map(|i| archive.block(i).expect("reads").expect("a block").units)
        .map(|w| w.raw_len)
        .max()
        .unwrap_or(0);
    let (start, mut most) = (Instant::now(), 0);
    for i in 0..READS {
        let from = (raw.len() as u64 - RANGE) / READS * i + i * 7919 % 4096;
        let before = archive.decoded_bytes();
        let part = archive.read_range(from..from + RANGE).expect("reads");
        assert!(part == raw[from as usize..][..RANGE as usize], "the range at {from} differs");
        most = most.max(archive.decoded_bytes() - before);
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / READS as f64;
    println!(
        "{} bytes stored; opened in {:.1} ms; {READS} ranges of {RANGE} bytes, {each:.0} ms each; longest window {window} bytes; \
         at most {most} bytes decoded for one range",
        archive.stored_len(),
        opened.as_secs_f64() * 1e3,
    );
    std::fs::remove_file(&path).expect("the archive can be removed");
    assert!(most <= RANGE + 2 * window, "a range decoded more than itself and two windows");
}
