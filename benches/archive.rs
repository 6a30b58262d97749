//! One tensor of a large archive: how long opening and reading it take, with how much memory, and how loading all tensors
//! goes on one thread and on two.
//!
//! `cargo bench --bench archive -- MODEL.safetensors [MEGABYTES] [FOLDER]` repeats the single-precision matrices of a model as
//! bfloat16, rounded up or down at random anew each time, until they are 1000 MB, and keeps the archive in FOLDER (by default
//! the system's for temporary files) only while it runs.

use nzip::internal::SplitMix;
use nzip::tensor::{Dtype, Layout};
use nzip::{Archive, DecodeOptions, Encoder, Options};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The tensor that is read alone; it belongs to the last repetition.
const LAST: &str = "last";

/// A safetensors file of about this many bytes.
fn repeated(model: &[u8], bytes: usize) -> Vec<u8> {
    let layout = Layout::read(model).unwrap();
    let matrices: Vec<_> =
        layout.tensors.iter().filter(|t| t.dtype == Dtype::F32 && t.shape.len() == 2).collect();
    let mut rng = SplitMix(1);
    let (mut data, mut entries): (Vec<u8>, Vec<String>) = (Vec::with_capacity(bytes), Vec::new());
    'all: for repeat in 0.. {
        for t in &matrices {
            let start = data.len();
            for v in model[t.start as usize..t.end() as usize].as_chunks::<4>().0 {
                let v = u32::from_le_bytes(*v).saturating_add(rng.below(1 << 16) as u32);
                data.extend_from_slice(&((v >> 16) as u16).to_le_bytes());
            }
            let full = data.len() >= bytes;
            let name = if full { LAST.to_string() } else { format!("{repeat}.{}", t.name) };
            let (shape, end) = (&t.shape, data.len());
            entries.push(format!(
                r#""{name}":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            ));
            if full {
                break 'all;
            }
        }
    }
    let json = format!("{{{}}}", entries.join(","));
    let mut file = Vec::with_capacity(8 + json.len() + data.len());
    file.extend_from_slice(&(json.len() as u64).to_le_bytes());
    file.extend_from_slice(json.as_bytes());
    file.extend_from_slice(&data);
    file
}

/// Most memory that this process has held, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// In a process of its own: opens the archive and reads one tensor.
fn one(path: &Path) {
    // A file that is read, not mapped: mapped pages would count as memory.
    let start = Instant::now();
    let mut archive =
        Archive::with_options(File::open(path).unwrap(), DecodeOptions::new().threads(1)).unwrap();
    let opened = start.elapsed();
    let before = peak();
    let start = Instant::now();
    let bytes = archive.tensor(LAST).unwrap().read().unwrap();
    let read = start.elapsed();
    println!(
        "opened in {:.2} ms with {} tensors; one of {} bytes in {:.2} ms; peak {:.1} MB before it, {:.1} MB after",
        opened.as_secs_f64() * 1e3,
        archive.tensor_infos().len(),
        bytes.len(),
        read.as_secs_f64() * 1e3,
        before as f64 / 1e6,
        peak() as f64 / 1e6
    );
}

/// Loads all tensors, some hundred megabytes at a time; wall and processor seconds.
fn all(path: &Path, threads: usize) -> (f64, f64) {
    let cpu = || {
        let t = clock_gettime(ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
    };
    let mut archive = Archive::open_with(path, DecodeOptions::new().threads(threads)).unwrap();
    let names: Vec<String> = archive.tensor_infos().iter().map(|t| t.name.clone()).collect();
    let (start, before) = (Instant::now(), cpu());
    for some in names.chunks(200) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        std::hint::black_box(archive.read_tensors(&some).unwrap());
    }
    (start.elapsed().as_secs_f64(), cpu() - before)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [flag, path] = &arguments[..]
        && flag == "--one"
    {
        return one(Path::new(path));
    }
    let Some(model) = arguments.first() else {
        println!("usage: cargo bench --bench archive -- MODEL.safetensors [MEGABYTES] [FOLDER]");
        return;
    };
    let megabytes: usize = arguments.get(1).map_or(1000, |a| a.parse().unwrap());
    let folder = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join("nzip-bench-archive.nz");
    let raw = repeated(&fs::read(model).unwrap(), megabytes * 1_000_000);
    let start = Instant::now();
    let encoder =
        Encoder::with_options(BufWriter::new(File::create(&path).unwrap()), Options::new()).unwrap();
    encoder.finish_all(&raw).unwrap();
    let stored = fs::metadata(&path).unwrap().len();
    println!("{} -> {stored} bytes in {:.1} s", raw.len(), start.elapsed().as_secs_f64());
    let len = raw.len() as f64;
    drop(raw);
    for _ in 0..3 {
        Command::new(std::env::current_exe().unwrap()).arg("--one").arg(&path).status().unwrap();
    }
    // Side by side, the best of three.
    let best = |threads| (0..3).map(|_| all(&path, threads)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let (one, two) = (best(1), best(2));
    let speed = |s: (f64, f64)| format!("{:.2} GB/s ({:.2} s, processor {:.2} s)", len / 1e9 / s.0, s.0, s.1);
    println!("all of it: 1 thread {}, 2 threads {}: {:.2} times", speed(one), speed(two), one.0 / two.0);
    fs::remove_file(path).unwrap();
}
