//! Golden files: every file of `formats/vectors/manifest.txt` decodes, for ever.
//!
//! A new one is added to [`makers`]; `NZIP_WRITE_VECTORS=1 cargo test --test vectors` writes the files that
//! are not there yet, and never touches one that is.

mod circuit_support;
mod common;

use common::*;
use nzip::internal::codec::lm::encode_blocks;
use nzip::internal::codec::window::WindowLimits;
use nzip::internal::model::lm::Model;
use nzip::internal::model::lm::seeded::SplitMix;
use nzip::internal::model::lm::weights::Weights;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Encoder, Models, Options};
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

/// Words in no order, which a language model finds neither trivial nor impossible.
fn words(n: usize) -> Vec<u8> {
    let words = [
        "the ",
        "of ",
        "and ",
        "window ",
        "a lane ",
        "in ",
        "every ",
        "model ",
        "was ",
        "payload, ",
        "bits. ",
        "It ",
    ];
    let mut rng = SplitMix(2026);
    let mut text = Vec::new();
    while text.len() < n {
        text.extend_from_slice(words[rng.below(words.len() as u64) as usize].as_bytes());
    }
    text.truncate(n);
    text
}

/// The start of the text sample, which `mix` takes for text.
fn prose(n: usize) -> Vec<u8> {
    let mut text = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpora/sample.txt")).unwrap();
    text.truncate(n);
    text
}

/// Records of 12 bytes, which `mix` takes for such.
fn records(count: u64) -> Vec<u8> {
    let mut rng = SplitMix(12);
    let mut bytes = Vec::new();
    for i in 0..count {
        bytes.extend(((1000 + 3 * i + rng.below(3)) as u32).to_le_bytes());
        bytes.extend(((5 * rng.below(40)) as u16).to_le_bytes());
        bytes.extend(((i * i / 7) as u16).to_le_bytes());
        bytes.extend([rng.below(2) as u8, (i % 5) as u8, 0xEF, 0xBE]);
    }
    bytes
}

/// Instructions in no order, calls and jumps to few places among them, which `mix` takes for x86 code.
fn instructions(n: usize) -> Vec<u8> {
    // Opcodes and what follows them: nothing, a displacement of one byte, or a branch's of four.
    let patterns: [(&[u8], u8); 12] = [
        (&[0x55], 0),
        (&[0x48, 0x89, 0xE5], 0),
        (&[0x48, 0x8B, 0x45], 1),
        (&[0x89, 0x45], 1),
        (&[0x48, 0x83, 0xC4], 1),
        (&[0x31, 0xC0], 0),
        (&[0x85, 0xC0], 0),
        (&[0xC3], 0),
        (&[0xE8], 4),
        (&[0x0F, 0x84], 4),
        (&[0x48, 0x8D, 0x05], 4),
        (&[0x74, 0x05], 0),
    ];
    let mut rng = SplitMix(86);
    let mut code = Vec::new();
    while code.len() < n {
        let (opcode, follows) = patterns[rng.below(12) as usize];
        code.extend_from_slice(opcode);
        match follows {
            1 => code.push(8 * rng.below(12) as u8),
            4 => {
                let target = 64 * rng.below(20) as u32;
                code.extend(target.wrapping_sub(code.len() as u32 + 4).to_le_bytes());
            }
            _ => {}
        }
    }
    code.truncate(n);
    code
}

/// The frozen micro model and its name.
fn micro() -> (Models, [u8; 32]) {
    let mut models = Models::new();
    let name = models.add_file(folder().join("lm/micro.nzlm")).unwrap();
    (models, name)
}

/// Windows that end at 100 raw bytes and leave most of their payload unused, in a `sized` table.
fn sized(raw: &[u8]) -> Vec<u8> {
    let (models, name) = micro();
    let model = Model::new(Weights::from_bytes(&models.find(&name).unwrap()).unwrap()).unwrap();
    let limits = WindowLimits { payload: 256, raw: 100 };
    let windows = encode_blocks(&model, &[raw], limits).unwrap().remove(0);
    let (mut rest, mut payload, mut at) = (Vec::new(), Vec::new(), 0);
    varint(&mut rest, 128); // the stream's first model
    varint(&mut rest, 256 / 4);
    varint(&mut rest, windows.len() as u64);
    for window in &windows {
        varint(&mut rest, window.raw_len as u64);
        varint(&mut rest, window.payload.len() as u64);
        rest.extend(check(&raw[at..at + window.raw_len]));
        payload.extend(&window.payload);
        at += window.raw_len;
    }
    let block = block(2, 2 | 8, raw.len() as u64, payload.len() as u64, &rest);
    stream(&[section(2, &name), [block, payload].concat()])
}

/// The frozen micro circuit and its name.
fn micro_circuit() -> (Models, [u8; 32]) {
    let mut models = micro().0;
    let name = models.add_file(folder().join("circuit/micro.nzpc")).unwrap();
    (models, name)
}

fn decoding() -> DecodeOptions {
    DecodeOptions::new().models(micro_circuit().0)
}

fn makers() -> Vec<(&'static str, Vec<u8>)> {
    let with = |raw: &[u8], options: Options| nzip::compress_with(raw, options.threads(1)).unwrap();
    let only = |codec| Options::new().codec(CodecChoice::Only(codec));
    let lm = |window| {
        let (models, name) = micro();
        only(Codec::Lm).models(models).model(name).window(window)
    };
    let circuit = |window| {
        let (models, name) = micro_circuit();
        only(Codec::Circuit).models(models).model(name).window(window)
    };
    // A header that tells the records' width, records, and one that is cut short.
    let idx = || {
        let header = [0, 0, 8, 2, 0, 0, 0, 150, 0, 0, 0, 12];
        [&header[..], &circuit_support::records(150), b"cut"].concat()
    };
    let flushed = || {
        let mut encoder = Encoder::with_options(Vec::new(), Options::new().threads(1).level(1)).unwrap();
        for piece in text(3000).chunks(700) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    };
    let two = || [with(b"one, ", only(Codec::Store)), with(&text(500), only(Codec::Zstd))].concat();
    let skippable = || stream(&[section(0x80, b"may be skipped"), stored(b"content"), section(0xFF, b"")]);
    vec![
        ("empty.nz", with(b"", Options::new().level(1))),
        ("empty-hash.nz", with(b"", Options::new().content_hash(true))),
        ("store.nz", with(&text(300), only(Codec::Store))),
        ("zstd.nz", with(&text(5000), only(Codec::Zstd))),
        ("zstd-hash.nz", with(&text(5000), only(Codec::Zstd).content_hash(true))),
        ("zstd-units.nz", with(&vec![b'u'; 5 << 20], only(Codec::Zstd))),
        ("blocks.nz", with(&text(20_000), Options::new().level(1).block_size(4096))),
        ("flushed.nz", flushed()),
        ("two-streams.nz", two()),
        ("skippable.nz", skippable()),
        ("lm-hash.nz", with(&words(12_000), lm(1 << 14))),
        ("lm-embedded.nz", with(&words(3000), lm(128).embed_model(true))),
        ("lm-sized.nz", sized(&words(1500))),
        ("mix-text.nz", with(&prose(2000), only(Codec::Mix).level(5))),
        ("mix-guided.nz", {
            let (models, name) = micro();
            with(&prose(600), only(Codec::Mix).level(5).models(models).model(name))
        }),
        ("mix-records.nz", with(&records(200), only(Codec::Mix).level(9))),
        ("circuit-hash.nz", with(&circuit_support::records(400), circuit(512))),
        ("circuit-embedded.nz", with(&idx(), circuit(1 << 14).embed_model(true))),
        ("mix-code.nz", with(&instructions(3000), only(Codec::Mix).level(9))),
    ]
}

#[test]
fn golden_files_decode() {
    let manifest = folder().join("manifest.txt");
    if std::env::var_os("NZIP_WRITE_VECTORS").is_some() {
        let circuit = folder().join("circuit/micro.nzpc");
        if !circuit.exists() {
            fs::create_dir_all(folder().join("circuit")).unwrap();
            fs::write(circuit, circuit_support::micro().to_bytes()).unwrap();
        }
        let mut lines = fs::read_to_string(&manifest).unwrap_or_default();
        for (name, bytes) in makers() {
            let path = folder().join(name);
            if path.exists() {
                continue;
            }
            let raw = nzip::decompress_with(&bytes, decoding()).unwrap();
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
        let raw = nzip::decompress_with(&packed, decoding().verify_hash(true)).unwrap();
        assert_eq!(
            (raw.len().to_string().as_str(), blake3::hash(&raw).to_hex().as_str()),
            (raw_len, raw_hash)
        );
        let mut archive = Archive::with_options(Cursor::new(&packed), decoding()).unwrap();
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
