//! Gain in bytes and cost in time of each part of `mix`: `mix_ablation [-c CUT] FILES`. Every file is coded as a
//! block at the default level with one part switched off at a time.

use nzip::internal::codec::mix::{Guide, MixOptions, encode_block};
use nzip::internal::model::mix::ablation::{Part, switch_off};

/// Seconds this thread has run, so that other load on the machine does not count.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Bytes of payload and the shorter time of two runs.
fn measure(files: &[Vec<u8>], options: &MixOptions) -> (usize, f64) {
    let run = || {
        let start = cpu_seconds();
        let size = |raw: &Vec<u8>| encode_block(raw, options, Guide::None).expect("encodes").0.len();
        (files.iter().map(size).sum::<usize>(), cpu_seconds() - start)
    };
    let (first, second) = (run(), run());
    (first.0, first.1.min(second.1))
}

fn main() {
    let mut cut = usize::MAX;
    let mut files = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "-c" {
            cut = args.next().and_then(|v| v.parse().ok()).expect("a number");
            continue;
        }
        let mut raw = std::fs::read(arg).expect("a readable file");
        raw.truncate(cut);
        files.push(raw);
    }
    let all = measure(&files, &MixOptions::default());
    println!("| without | bytes | time |\n|---|---:|---:|\n| (all parts) | {} | {:.2} s |", all.0, all.1);
    let row = |name: &str, (bytes, seconds): (usize, f64)| {
        let share = |part: f64, whole: f64| 100.0 * (part - whole) / whole;
        let (b, t) = (share(bytes as f64, all.0 as f64), share(seconds, all.1));
        println!("| {name} | {:+} ({b:+.2} %) | {t:+.0} % |", bytes as i64 - all.0 as i64);
    };
    for (part, name) in Part::ALL {
        switch_off(Some(part));
        row(name, measure(&files, &MixOptions::default()));
    }
    switch_off(None);
    row("phrases that prime text", measure(&files, &MixOptions { primed: 0, ..MixOptions::default() }));
    for groups in [1, 3] {
        let name = format!("(with {} contexts instead of 16)", 8 * groups);
        row(&name, measure(&files, &MixOptions { groups, ..MixOptions::default() }));
    }
    for table_bits in [22, 24] {
        let name = format!("(with {} MiB of slots at most instead of 64)", 1 << (table_bits - 20));
        row(&name, measure(&files, &MixOptions { table_bits, ..MixOptions::default() }));
    }
}
