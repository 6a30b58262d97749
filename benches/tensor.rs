//! Tensors in memory: sizes, and speeds of encoding and of decoding with verified check values. One thread, warm
//! buffers, processor time of the best of several runs; and how many times faster two threads decode, by wall time.
//!
//! `cargo bench --bench tensor -- [-9] [FILES]`; without a file, made-up weights.

use nzip::internal::SplitMix;
use nzip::tensor::{Dtype, Layout};
use nzip::{Archive, DecodeOptions, Options};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::io::Cursor;
use std::time::Instant;

/// Bytes of a file that are measured.
const MOST: usize = 24 << 20;
/// Runs of which the best counts.
const RUNS: usize = 7;

fn now() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

fn best<T>(mut work: impl FnMut() -> T) -> f64 {
    let run = |_| {
        let start = now();
        black_box(work());
        now() - start
    };
    (0..RUNS).map(run).fold(f64::MAX, f64::min)
}

/// Nearly normal numbers of deviation 0.02 or so.
fn made_up(count: usize) -> Vec<u32> {
    let mut rng = SplitMix(1);
    let mut next = || rng.below(1 << 24) as i64 - (1 << 23);
    (0..count).map(|_| ((next() + next() + next() + next()) as f32 * 2e-9).to_bits()).collect()
}

fn measure(name: &str, raw: &[u8], dtype: Dtype, row: u64, level: u8) {
    let rows = raw.len() as u64 / dtype.group().1 * dtype.group().0 / row;
    let len = (rows * row / dtype.group().0 * dtype.group().1) as usize;
    let raw = &raw[..len];
    let options = || Options::new().level(level).threads(1).tensor(dtype, &[rows, row], 0);
    let packed = nzip::compress_with(raw, options()).unwrap();
    let encode = best(|| nzip::compress_with(raw, options()).unwrap());
    let decoding = DecodeOptions::new().threads(1);
    let mut archive = Archive::with_options(Cursor::new(&packed), decoding).unwrap();
    let mut out = vec![0; len];
    let decode = best(|| archive.tensor("data").unwrap().read_into(&mut out).unwrap());
    assert!(out == raw);
    // Wall time of one thread and of two, by turns.
    let [mut one, mut two] = [1, 2].map(|threads| {
        Archive::with_options(Cursor::new(&packed), DecodeOptions::new().threads(threads)).unwrap()
    });
    let mut walls = [f64::MAX; 2];
    for _ in 0..RUNS {
        for (wall, archive) in walls.iter_mut().zip([&mut one, &mut two]) {
            let start = Instant::now();
            archive.tensor("data").unwrap().read_into(&mut out).unwrap();
            *wall = wall.min(start.elapsed().as_secs_f64());
        }
    }
    let speed = |seconds: f64| len as f64 / 1e6 / seconds;
    println!(
        "{name:40} {dtype:5} level {level}: {len:9} -> {:9} {:6.2} %  encode {:7.0} MB/s  decode {:7.0} MB/s  on two threads {:.2} times",
        packed.len(),
        100.0 * packed.len() as f64 / len as f64,
        speed(encode),
        speed(decode),
        walls[0] / walls[1]
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let level =
        arguments.iter().find_map(|a| a.strip_prefix('-')?.parse().ok()).unwrap_or(Options::DEFAULT_LEVEL);
    let files: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    if files.is_empty() {
        let numbers = made_up(4 << 20);
        let f32s: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        let bf16: Vec<u8> = numbers.iter().flat_map(|v| ((v >> 16) as u16).to_le_bytes()).collect();
        let half = |v: &u32| (v >> 16 & 0x8000 | (v >> 13 & 0x3FFFF).saturating_sub(112 << 10)) as u16;
        let f16: Vec<u8> = numbers.iter().flat_map(|v| half(v).to_le_bytes()).collect();
        measure("made up", &bf16, Dtype::Bf16, 1024, level);
        measure("made up", &f16, Dtype::F16, 1024, level);
        measure("made up", &f32s, Dtype::F32, 1024, level);
    }
    for file in files {
        let raw = std::fs::read(file).unwrap();
        let layout = Layout::read(&raw).unwrap();
        let largest = layout.tensors.iter().max_by_key(|t| t.len).unwrap();
        let bytes = &raw[largest.start as usize..largest.end() as usize];
        let row = largest.shape.last().copied().unwrap_or(1);
        measure(file.rsplit('/').next().unwrap(), &bytes[..bytes.len().min(MOST)], largest.dtype, row, level);
    }
}
