//! Layouts of quantised and sparse checkpoints: recognised, cut into their fields, and restored.

use nzip::{Archive, Codec, CodecChoice, Options};
use std::io::Cursor;
use std::path::Path;

/// File, the last part of a tensor's name, how it is coded, and its largest stored size in thousandths of the raw size.
const FILES: [(&str, &str, &str, u64); 16] = [
    ("gptq4", "qweight", "bits4", 912),
    ("gptq4-order", "qweight", "bits4", 880),
    ("gptq3", "qweight", "bits3", 852),
    ("gptq8", "qweight", "", 1000),
    ("awq", "qweight", "bits4", 911),
    ("aqlm", "codebooks", "float16", 890),
    ("spqr", "dense_weights", "bits3", 958),
    ("spqr", "row_offsets", "delta32", 300),
    ("bitstack", "u", "float16", 885),
    ("bitmask24", "bitmask", "", 680),
    ("rows-u8", "weight", "", 965),
    ("pq", "codebooks", "float32", 860),
    ("ct-int4", "weight_packed", "bits4", 875),
    ("ct-int3", "weight_packed", "bits3", 852),
    ("ct-nvfp4", "weight_packed", "", 1005),
    ("ct-mxfp4", "weight_packed", "", 990),
];

fn raw(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/layouts/{name}.safetensors"));
    std::fs::read(path).unwrap()
}

#[test]
fn layouts_are_recognised() {
    let mut bad = Vec::new();
    for (name, last, how, most) in FILES {
        let raw = raw(name);
        let options = Options::new().level(6).threads(1).codec(CodecChoice::Only(Codec::Tensor));
        let packed = nzip::compress_with(&raw, options).unwrap();
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        let tensors = archive.tensors().unwrap();
        for t in &tensors {
            let place = t.raw_start as usize..(t.raw_start + t.raw_len) as usize;
            assert!(archive.tensor(&t.name).unwrap().read().unwrap() == raw[place], "{name} {}", t.name);
        }
        let t = tensors.iter().find(|t| t.name.ends_with(&format!(".{last}"))).unwrap();
        let share = t.stored_len * 1000 / t.raw_len;
        if !t.method.contains(how) || share > most {
            bad.push(format!("{name} {last}: {share} {}", t.method));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn layouts_come_back() {
    for file in Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts").read_dir().unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "safetensors") {
            continue;
        }
        let raw = std::fs::read(&path).unwrap();
        for level in [1, 6] {
            let packed = nzip::compress_with(&raw, Options::new().level(level).threads(1)).unwrap();
            assert!(nzip::decompress(&packed).unwrap() == raw, "{} {level}", path.display());
            let floor = zstd::bulk::compress(&raw, 19).unwrap().len();
            assert!(
                level == 1 || packed.len() <= floor + 64,
                "{}: {} > {floor}",
                path.display(),
                packed.len()
            );
        }
    }
}
