//! The floor: at the default level without a model, no result is larger than the smaller of zstd -19 and
//! the raw bytes, plus 64.
//!
//! `cargo bench --bench floor -- [FILES OR FOLDERS]`; without arguments made-up inputs, and `../shared/corpora`
//! where it is present. Fails if an input of one block is over the floor; longer ones are only shown, since
//! independent blocks cost some bytes.

use nzip::Options;
use nzip::internal::SplitMix;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that a result may be above the floor.
const ALLOWED: i64 = 64;
/// Raw bytes of a block.
const BLOCK: usize = 16 << 20;

/// Pseudo-random bytes.
fn noise(n: usize) -> Vec<u8> {
    let mut rng = SplitMix(1);
    (0..n).map(|_| rng.next_u32() as u8).collect()
}

/// Noise and words in turn, a megabyte of each.
fn mixed(n: usize) -> Vec<u8> {
    let words: [&[u8]; 4] = [b"window ", b"of ", b"payload\n", b"the "];
    let noise = noise(n);
    let text: Vec<u8> = noise.iter().flat_map(|b| words[usize::from(b % 4)]).copied().take(n).collect();
    let pieces = noise.chunks(1 << 20).zip(text.chunks(1 << 20)).enumerate();
    pieces.flat_map(|(i, (a, b))| if i % 2 == 0 { a } else { b }).copied().collect()
}

fn made_up() -> Vec<(String, Vec<u8>)> {
    let text = |n: usize| b"a line of text that comes again and again\n".repeat(n / 42 + 1)[..n].to_vec();
    let mut inputs = vec![("nothing".into(), Vec::new())];
    for n in [1, 100, 4096] {
        inputs.push((format!("noise, {n}"), noise(n)));
        inputs.push((format!("text, {n}"), text(n)));
    }
    inputs.push(("noise, 1 MB".into(), noise(1_000_000)));
    inputs.push(("noise, 16 MiB".into(), noise(BLOCK)));
    inputs.push(("noise, 40 MB".into(), noise(40_000_000)));
    inputs.push(("zeros, 16 MiB".into(), vec![0; BLOCK]));
    inputs.push(("mixed, 40 MB".into(), mixed(40_000_000)));
    inputs
}

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if let Ok(folder) = fs::read_dir(path) {
        let mut inside: Vec<_> = folder.flatten().map(|f| f.path()).collect();
        inside.sort();
        inside.iter().for_each(|p| files(p, out));
    } else if path.is_file() {
        out.push(path.to_path_buf());
    }
}

/// Shows one input; false where it is over the floor and of one block.
fn check(name: &str, raw: &[u8]) -> bool {
    let packed = nzip::compress_with(raw, Options::new()).expect("compresses");
    assert!(nzip::decompress(&packed).expect("decodes") == raw, "{name}");
    let library = zstd::bulk::compress(raw, 19).expect("compresses").len();
    let above = packed.len() as i64 - library.min(raw.len()) as i64;
    let note = match (above <= ALLOWED, raw.len() <= BLOCK) {
        (true, _) => "",
        (false, true) => "OVER",
        (false, false) => "over, several blocks",
    };
    println!("{name:44} {:>10} {library:>10} {:>10} {above:>8} {note}", raw.len(), packed.len());
    note != "OVER"
}

fn main() {
    let mut paths: Vec<_> =
        std::env::args_os().skip(1).filter(|a| a != "--bench").map(PathBuf::from).collect();
    println!("{:44} {:>10} {:>10} {:>10} {:>8}", "input", "raw", "zstd -19", "nzip", "above");
    let mut good = true;
    if paths.is_empty() {
        good &= made_up().iter().fold(true, |good, (name, raw)| check(name, raw) && good);
        paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"));
    }
    let mut found = Vec::new();
    paths.iter().for_each(|p| files(p, &mut found));
    for path in found {
        let name = path.iter().rev().take(2).collect::<Vec<_>>();
        let name: PathBuf = name.into_iter().rev().collect();
        good &= check(&name.display().to_string(), &fs::read(&path).expect("readable file"));
    }
    assert!(good, "over the floor");
}
