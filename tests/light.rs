//! A build without the built-in models: decoders name the model that is missing, and encoders use the codecs that are left.
#![cfg(not(feature = "built-in-models"))]

use nzip::{Codec, CodecChoice, DecodeOptions, ErrorKind, Models, Options};
use std::fs;
use std::path::Path;

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new("formats/vectors").join(name)).unwrap()
}

/// The message of a failure because a model is missing.
fn missing(result: nzip::Result<Vec<u8>>) -> String {
    let e = result.err().expect("the models are not built in");
    assert_eq!(e.kind(), ErrorKind::MissingModel, "{e}");
    e.to_string()
}

fn text() -> Vec<u8> {
    let line =
        |i: u32| format!("{i} bottles of beer on the wall, {} left to count\n", i.wrapping_mul(i) % 97);
    (0..2000).map(line).collect::<String>().into_bytes()
}

#[test]
fn every_level_does_with_what_is_there() {
    let raw = text();
    let samples: Vec<u8> = (0..90_000u32).map(|i| (i % 300 + i / 300) as u8 / 2).collect();
    for raw in [&raw, &samples] {
        for level in 1..=9 {
            let packed = nzip::compress(raw, level).unwrap();
            assert!(packed.len() < raw.len() / 2);
            assert!(nzip::decompress(&packed).unwrap() == **raw, "level {level}");
        }
    }
}

#[test]
fn encoders_that_are_told_what_to_use_name_what_is_missing() {
    let only = |codec| nzip::compress_with(&text(), Options::new().codec(CodecChoice::Only(codec)));
    assert!(missing(only(Codec::Mix)).contains("models/mix/text.zst"));
    assert!(missing(only(Codec::Lm)).contains("(base)"));
}

#[test]
fn decoders_name_what_is_missing() {
    let decode = |name: &str| nzip::decompress(&golden(name));
    assert!(missing(decode("mix-text.nz")).contains("models/mix/text.zst"));
    let micro = fs::read("formats/vectors/lm/micro.nzlm").unwrap();
    let mut models = Models::new();
    let hash = models.add(micro);
    let options = Options::new().models(models.clone()).model(hash);
    let packed = nzip::compress_with(&text(), options.codec(CodecChoice::Only(Codec::Lm))).unwrap();
    missing(nzip::decompress(&packed));
    assert!(nzip::decompress_with(&packed, DecodeOptions::new().models(models)).unwrap() == text());
}

#[test]
fn built_in_models_are_listed_as_absent() {
    let list = Models::new().list();
    let built_in: Vec<_> = list.iter().filter(|m| m.id.is_some()).collect();
    assert!(built_in.len() >= 2 && built_in.iter().all(|m| m.stored_len.is_none()));
}
