//! Speed of the language model with random weights of the two shipped shapes.
//! `cargo bench --bench lm`, or `cargo bench --bench lm -- tiny` for one shape; with NZIP_BENCH_MODEL and NZIP_BENCH_FILE set, that model on that file in
//! windows of NZIP_BENCH_WINDOW payload bytes instead; with NZIP_SCALAR set, without vector code.

use std::time::Instant;

use nzip::internal::Kernel;
use nzip::internal::SplitMix;
use nzip::internal::codec::lm::{decode_windows, encode_blocks};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::lm::weights::{Config, TableConfig, Weights};
use nzip::internal::model::lm::{Lanes, Model, Single, Timeline};

/// The shape of a shipped model.
fn shape(width: usize, table_width: usize, tables: u8) -> Config {
    let tables = (1..=tables).map(|order| TableConfig { order, log2_rows: if order == 1 { 8 } else { 13 } });
    Config { width, state: width, hidden: 2 * width, layers: 3, table_width, tables: tables.collect() }
}

/// Bytes per second of `pass`, which handles `bytes` bytes, over about a second.
fn rate(bytes: usize, mut pass: impl FnMut()) -> f64 {
    pass();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut passes = 0;
    while start.elapsed().as_millis() < 500 {
        pass();
        passes += 1;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let seconds = cpu_seconds().zip(cpu).map_or(elapsed, |(end, start)| end - start);
    (passes * bytes) as f64 / seconds
}

/// Processor time of this thread where the system tells it, so that other work does not count.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? * 1e-9)
}

/// Processor time of all threads so far, in seconds.
fn process_seconds() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let times = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(times.sum::<f64>() * 1e-9)
}

fn steps(name: &str, model: &Model) {
    let window: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
    let mut single = Single::new(model).unwrap();
    let alone = rate(64, || {
        for at in 0..64 {
            single.step(&window[..at]);
        }
    });
    println!("{name} alone: {:7.1} KB/s", alone * 1e-3);
    for columns in [1, 4, 8, 16, 32, 64] {
        let mut timeline = Timeline::new(model, columns).unwrap();
        let time = rate(columns, || {
            timeline.run(&window, 100, columns);
        });
        let mut lanes = Lanes::new(model, columns).unwrap();
        let lane = rate(columns, || {
            for i in 0..columns {
                lanes.set_history(i, &window[..500 + i]);
            }
            lanes.step();
        });
        let macs = model.config().multiply_adds() as f64 * 1e-9;
        println!(
            "{name} {columns:2} columns: time {:7.1} KB/s ({:5.1} G multiply-adds/s), lanes {:7.1} KB/s ({:5.1})",
            time * 1e-3,
            time * macs,
            lane * 1e-3,
            lane * macs
        );
    }
}

/// Encodes and decodes `text` in blocks of 256 KiB on all cores.
fn codec(name: &str, model: &Model, text: &[u8], payload: usize) {
    let blocks: Vec<_> = text.chunks(1 << 18).collect();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let (start, cpu) = (Instant::now(), process_seconds());
        work();
        let elapsed = start.elapsed().as_secs_f64();
        let kb = text.len() as f64 * 1e-3;
        print!("{name} {what} {:.1} KB/s", kb / elapsed);
        if let Some((end, start)) = process_seconds().zip(cpu) {
            print!(" ({:.1} KB per second of one core)", kb / (end - start));
        }
        println!();
    };
    let mut windows = Vec::new();
    timed("encode", &mut || {
        windows = encode_blocks(model, &blocks, WindowLimits { payload, raw: 1 << 18 }).unwrap().concat();
    });
    let bytes: usize = windows.iter().map(|w| w.payload.len()).sum();
    println!(
        "{name} {} bytes in {} windows, {:.4} bits a byte",
        text.len(),
        windows.len(),
        bytes as f64 * 8.0 / text.len() as f64
    );
    let mut raw = vec![0; text.len()];
    timed("decode", &mut || {
        let mut rest = raw.as_mut_slice();
        let mut jobs = Vec::new();
        for window in &windows {
            let (raw, tail) = std::mem::take(&mut rest).split_at_mut(window.raw_len);
            rest = tail;
            jobs.push(WindowJob { payload: &window.payload, raw });
        }
        decode_windows(model, &mut jobs).unwrap();
    });
    assert!(raw == text, "the decoded bytes differ");
}

/// Text-like bytes for runs without a file.
fn synthetic(len: usize) -> Vec<u8> {
    let mut rng = SplitMix(5);
    (0..len).map(|_| b'a' + (rng.below(26).min(rng.below(26))) as u8).collect()
}

fn main() {
    let var = std::env::var_os;
    if let (Some(model), Some(file)) = (var("NZIP_BENCH_MODEL"), var("NZIP_BENCH_FILE")) {
        let model = Model::new(Weights::from_bytes(&std::fs::read(model).unwrap()).unwrap()).unwrap();
        let payload = var("NZIP_BENCH_WINDOW").map_or(1 << 14, |w| w.to_str().unwrap().parse().unwrap());
        return codec("file", &model, &std::fs::read(file).unwrap(), payload);
    }
    let kernel = if std::env::var_os("NZIP_SCALAR").is_some() { Kernel::Scalar } else { Kernel::best() };
    for (name, config) in [("base", shape(192, 32, 6)), ("tiny", shape(96, 16, 5))] {
        if std::env::args().nth(1).is_some_and(|only| !only.starts_with("--") && only != name) {
            continue;
        }
        let model = Model::with_kernel(Weights::seeded(config, 1), kernel).unwrap();
        println!("{name}: {} multiply-adds a byte", model.config().multiply_adds());
        steps(name, &model);
        codec(name, &model, &synthetic(1 << 19), 1024);
    }
}
