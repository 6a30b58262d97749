//! A model that has really been trained (`tests/data/tiny-llama`, made by `tools/tiny_llama.py`): the
//! imported weights, and the cost of text with them.

use nzip::internal::Kernel;
use nzip::internal::codec::llm::{decode_with_lanes, encode_blocks};
use nzip::internal::codec::window::{WindowJob, WindowLimits};
use nzip::internal::model::llm::{Model, Weights};
use nzip::{Codec, CodecChoice, DecodeOptions, Models, Options};
use std::path::Path;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn imported() -> Vec<u8> {
    let file = |name: &str| read(&format!("tests/data/tiny-llama/{name}"));
    let (tensors, config, tokenizer) =
        (file("model.safetensors"), file("config.json"), file("tokenizer.json"));
    nzip::llm::import_safetensors(&tensors, &config, &tokenizer, None).unwrap()
}

fn text(n: usize) -> Vec<u8> {
    let mut text = read("corpora/sample.txt");
    text.truncate(n);
    text
}

#[test]
fn the_import_is_the_same_everywhere() {
    let hash = blake3::hash(&imported()).to_hex();
    assert_eq!(hash.as_str(), "f8ee9902d4114f38c942222a792042edc1b61d0825cb1cabb3c5d14457987f43");
}

#[test]
fn text_costs_what_a_trained_model_makes_of_it() {
    let mut models = Models::new();
    let hash = models.add(imported());
    let raw = text(4000);
    let options = || Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(Codec::Llm));
    let [alone, chained] =
        [false, true].map(|chained| nzip::compress_with(&raw, options().chained(chained)).unwrap());
    for packed in [&alone, &chained] {
        let options = DecodeOptions::new().models(models.clone());
        assert!(nzip::decompress_with(packed, options).unwrap() == raw);
    }
    println!("{} bytes alone, {} chained, of {}", alone.len(), chained.len(), raw.len());
    assert!(chained.len() < alone.len() && alone.len() * 8 < raw.len() * 3);
}

#[test]
fn kernels_and_lanes_give_the_same_windows() {
    let weights = Weights::from_bytes(&imported()).unwrap();
    let raw = text(1500);
    let limits = WindowLimits { payload: 96, raw: 1 << 16 };
    let blocks: Vec<&[u8]> = raw.chunks(500).collect();
    let scalar = Model::with_kernel(weights.clone(), Kernel::Scalar).unwrap();
    let expected = encode_blocks(&scalar, &blocks, limits).unwrap();
    for kernel in Kernel::supported() {
        let model = Model::with_kernel(weights.clone(), kernel).unwrap();
        assert_eq!(encode_blocks(&model, &blocks, limits).unwrap(), expected, "{kernel:?}");
        let windows: Vec<_> = expected.iter().flatten().collect();
        for lanes in [1, 3, 32] {
            let mut found: Vec<Vec<u8>> = windows.iter().map(|w| vec![0; w.raw_len]).collect();
            let jobs = windows.iter().zip(&mut found);
            let mut jobs: Vec<_> = jobs.map(|(w, raw)| WindowJob { payload: &w.payload, raw }).collect();
            decode_with_lanes(&model, &mut jobs, lanes).unwrap();
            assert!(found.concat() == raw, "{kernel:?}, {lanes} lanes");
        }
    }
}
