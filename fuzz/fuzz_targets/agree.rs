//! All ways to read a file agree. The input is a program that builds a file from the sections of golden files.
#![no_main]

#[path = "../../tests/support/agree.rs"]
mod agree;
#[path = "../../tests/support/bytes.rs"]
mod bytes;

use agree::Piece;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PIECES: LazyLock<Vec<Piece>> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("golden files").flatten().map(|f| f.path()).collect();
    files.sort();
    let files: Vec<Vec<u8>> = files.iter().filter_map(|f| std::fs::read(f).ok()).collect();
    agree::pieces(files.iter().map(|f| &f[..]))
});

fuzz_target!(|program: &[u8]| {
    // Half of the inputs are files themselves.
    match program.split_first() {
        Some((first, rest)) if first % 8 == 7 => agree::agree(rest),
        _ => agree::agree(&agree::build(&PIECES, program)),
    }
});
