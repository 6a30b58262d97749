//! Processor time that one small message takes at each level, with a `Compressor` and a `Decompressor` that are kept, and
//! with one for each message: `message_bench FILE [BYTES]`. Messages are consecutive pieces of the file.

use nzip::{Compressor, DecodeOptions, Decompressor, Options};

/// Seconds that all threads have run, so that other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Milliseconds that a message takes on average.
fn each<T>(messages: &[&[u8]], mut work: impl FnMut(usize, &[u8]) -> T) -> (f64, Vec<T>) {
    let start = cpu_seconds();
    let done = messages.iter().enumerate().map(|(i, m)| work(i, m)).collect();
    ((cpu_seconds() - start) * 1e3 / messages.len() as f64, done)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let raw = std::fs::read(arguments.next().expect("a file")).expect("a readable file");
    let len = arguments.next().map_or(4096, |n| n.parse().expect("a number of bytes"));
    let messages: Vec<&[u8]> = raw.chunks(len).take(24).collect();
    println!("level  bytes  compress  decompress  compress, new each time   (milliseconds a message)");
    for level in 1..=9 {
        let options = || Options::new().level(level).threads(1);
        let compressor = Compressor::new(options()).expect("in range");
        let decompressor = Decompressor::new(DecodeOptions::new().threads(1));
        compressor.compress(messages[0]).expect("compresses");
        let (kept, packed) = each(&messages, |_, m| compressor.compress(m).expect("compresses"));
        decompressor.decompress(&packed[0]).expect("decompresses");
        let (back, raws) = each(&messages, |i, _| decompressor.decompress(&packed[i]).expect("decompresses"));
        assert!(raws.iter().zip(&messages).all(|(a, b)| a == b));
        let (fresh, _) = each(&messages, |_, m| nzip::compress_with(m, options()).expect("compresses"));
        let bytes = packed.iter().map(Vec::len).sum::<usize>() / packed.len();
        println!("{level:>5}  {bytes:>5}  {kept:>8.2}  {back:>10.2}  {fresh:>8.2}");
    }
}
