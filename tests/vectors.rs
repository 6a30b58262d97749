//! Golden files: every file of `formats/vectors/manifest.txt` decodes, for ever.
//!
//! A new one is added to [`makers`]; `NZIP_WRITE_VECTORS=1 cargo test --test vectors` writes the files that
//! are not there yet, and never touches one that is.

mod common;

use common::*;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Encoder, Options};
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("formats/vectors")
}

fn text(n: usize) -> Vec<u8> {
    let line = b"Greedy windows of equal payload, each decoded alone. ";
    (0..n).map(|i| line[(i + i / 977) % line.len()]).collect()
}

fn makers() -> Vec<(&'static str, Vec<u8>)> {
    let with = |raw: &[u8], options: Options| nzip::compress_with(raw, options.threads(1)).unwrap();
    let only = |codec| Options::new().codec(CodecChoice::Only(codec));
    let flushed = || {
        let mut encoder = Encoder::with_options(Vec::new(), Options::new().threads(1)).unwrap();
        for piece in text(3000).chunks(700) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    };
    let two = || [with(b"one, ", only(Codec::Store)), with(&text(500), only(Codec::Zstd))].concat();
    let skippable = || stream(&[section(0x80, b"may be skipped"), stored(b"content"), section(0xFF, b"")]);
    vec![
        ("empty.nz", with(b"", Options::new())),
        ("empty-hash.nz", with(b"", Options::new().content_hash(true))),
        ("store.nz", with(&text(300), only(Codec::Store))),
        ("zstd.nz", with(&text(5000), only(Codec::Zstd))),
        ("zstd-hash.nz", with(&text(5000), only(Codec::Zstd).content_hash(true))),
        ("zstd-units.nz", with(&vec![b'u'; 5 << 20], only(Codec::Zstd))),
        ("blocks.nz", with(&text(20_000), Options::new().block_size(4096))),
        ("flushed.nz", flushed()),
        ("two-streams.nz", two()),
        ("skippable.nz", skippable()),
    ]
}

#[test]
fn golden_files_decode() {
    let manifest = folder().join("manifest.txt");
    if std::env::var_os("NZIP_WRITE_VECTORS").is_some() {
        let mut lines = fs::read_to_string(&manifest).unwrap_or_default();
        for (name, bytes) in makers() {
            let path = folder().join(name);
            if path.exists() {
                continue;
            }
            let raw = nzip::decompress(&bytes).unwrap();
            let (file_hash, raw_hash) = (blake3::hash(&bytes), blake3::hash(&raw));
            lines += &format!("{name} {file_hash} {} {raw_hash}\n", raw.len());
            fs::write(path, bytes).unwrap();
        }
        fs::write(&manifest, lines).unwrap();
    }
    let manifest = fs::read_to_string(manifest).unwrap();
    let mut count = 0;
    for line in manifest.lines().filter(|l| !l.starts_with('#')) {
        let [name, file_hash, raw_len, raw_hash] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("manifest line {line:?}");
        };
        let packed = fs::read(folder().join(name)).unwrap();
        assert_eq!(blake3::hash(&packed).to_hex().as_str(), file_hash, "{name} was edited");
        let raw = nzip::decompress_with(&packed, DecodeOptions::new().verify_hash(true)).unwrap();
        assert_eq!(
            (raw.len().to_string().as_str(), blake3::hash(&raw).to_hex().as_str()),
            (raw_len, raw_hash)
        );
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        let (a, b) = (raw.len() / 3, raw.len() / 2);
        assert!(archive.read_range(a as u64..b as u64).unwrap() == raw[a..b], "{name}");
        count += 1;
    }
    assert!(count >= makers().len());
}

/// Inputs that once did harm, most of them found by the fuzz targets.
#[test]
fn regressions_do_no_harm() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let decoded = nzip::decompress_with(&bytes, DecodeOptions::new().threads(1).memory(64 << 20));
        if let Ok(mut archive) = Archive::new(Cursor::new(&bytes)) {
            let len = archive.len().min(1 << 24);
            let range = archive.read_range(0..len);
            if let (Ok(raw), Ok(part)) = (decoded, range) {
                assert!(raw.starts_with(&part));
            }
        }
    }
}
