//! A sentence encoder of a few words, quantised with and without texts.

use super::support::{Random, file, options};
use nzip::ErrorKind;
use nzip::tensor::Layout;
use nzip_quantize::{
    Companions, Method, Options, Pattern, Target, embedding_cosines, is_sentence_encoder, quantize,
    quantize_calibrated,
};

const WIDTH: usize = 64;
const HIDDEN: usize = 128;
const WORDS: usize = 400;

/// An encoder of two layers.
pub fn encoder() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut random = Random(7);
    let mut out = Vec::new();
    let mut tensor = |name: &str, shape: &[usize], scale: f32, middle: f32| {
        let values = random.bell(shape.iter().product(), scale);
        out.push((name.to_string(), shape.to_vec(), values.iter().map(|v| v + middle).collect()));
    };
    tensor("embeddings.word_embeddings.weight", &[WORDS, WIDTH], 0.05, 0.0);
    tensor("embeddings.position_embeddings.weight", &[64, WIDTH], 0.01, 0.0);
    tensor("embeddings.token_type_embeddings.weight", &[2, WIDTH], 0.01, 0.0);
    tensor("embeddings.LayerNorm.weight", &[WIDTH], 0.4, 1.0);
    tensor("embeddings.LayerNorm.bias", &[WIDTH], 0.1, 0.0);
    for layer in 0..2 {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            tensor(&name(&format!("{part}.weight")), &[WIDTH, WIDTH], 0.12, 0.0);
            tensor(&name(&format!("{part}.bias")), &[WIDTH], 0.05, 0.0);
        }
        tensor(&name("intermediate.dense.weight"), &[HIDDEN, WIDTH], 0.12, 0.0);
        tensor(&name("intermediate.dense.bias"), &[HIDDEN], 0.05, 0.0);
        tensor(&name("output.dense.weight"), &[WIDTH, HIDDEN], 0.12, 0.0);
        tensor(&name("output.dense.bias"), &[WIDTH], 0.05, 0.0);
        for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
            tensor(&name(&format!("{norm}.weight")), &[WIDTH], 0.3, 1.0);
            tensor(&name(&format!("{norm}.bias")), &[WIDTH], 0.1, 0.0);
        }
    }
    tensor("pooler.dense.weight", &[WIDTH, WIDTH], 0.1, 0.0);
    out
}

pub fn companions() -> Companions {
    let words: String = (4..WORDS).map(|i| format!("w{i}\n")).collect();
    Companions {
        vocabulary: Some(format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n{words}").into_bytes()),
        tokenizer: None,
        config: Some(br#"{"num_attention_heads": 4}"#.to_vec()),
    }
}

/// Sentences in which a few words are common.
pub fn text(seed: u64, sentences: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut word = || format!("w{}", 4 + (random.next().powi(4) * (WORDS - 4) as f32) as usize);
    let mut sentence = || (0..12).map(|_| word()).collect::<Vec<_>>().join(" ");
    (0..sentences).map(|_| sentence() + "\n").collect::<String>().into_bytes()
}

pub fn mean(original: &[u8], other: &[u8]) -> f64 {
    let cosines = embedding_cosines(original, other, &companions(), &[text(99, 60)]).unwrap();
    assert_eq!(cosines.len(), 60);
    cosines.iter().sum::<f64>() / cosines.len() as f64
}

#[test]
fn a_text_makes_embeddings_better_at_the_same_size() {
    let original = file(&encoder());
    assert!(is_sentence_encoder(&original) && (mean(&original, &original) - 1.0).abs() < 1e-5);
    let plain = quantize(&original, &options(4.0)).unwrap();
    let run = || quantize_calibrated(&original, &options(4.0), &companions(), &[text(1, 300)]).unwrap();
    let done = run();
    let most = Layout::read(&original).unwrap().tensors.iter().map(|t| t.len / 4).sum::<u64>() / 2;
    assert!(done.stored <= most && plain.stored <= most, "{} {} {most}", done.stored, plain.stored);
    assert_eq!(nzip::compress(&done.file, 2).unwrap().len() as u64, done.stored);
    let (before, after) = (mean(&original, &plain.file), mean(&original, &done.file));
    assert!(1.0 - after < 0.6 * (1.0 - before), "{before} {after}");
    // One thread makes the same.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(pool.install(run).file == done.file);
    let method = |name: &str| &done.tensors.iter().find(|t| t.name == name).unwrap().method;
    assert!(matches!(method("pooler.dense.weight"), Method::Levels { .. }));
    assert_eq!(*method("encoder.layer.0.output.dense.bias"), Method::Corrected);
    assert_eq!(*method("embeddings.LayerNorm.weight"), Method::Kept("small"));
}

#[test]
fn short_texts_do_and_empty_ones_are_refused() {
    let original = file(&encoder());
    let run = |text: &[u8]| quantize_calibrated(&original, &options(5.0), &companions(), &[text]);
    for text in [&b"w"[..], b"w5 w6"] {
        let done = run(text).unwrap();
        let layout = Layout::read(&done.file).unwrap();
        let first = layout.tensors[0].start as usize;
        let finite = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite();
        assert!(done.file[first..].chunks_exact(4).all(finite));
    }
    for text in [&b""[..], b"\n \n", b"\xFF"] {
        assert_eq!(run(text).unwrap_err().kind(), ErrorKind::BadArgument);
    }
}

#[test]
fn nan_stays_and_names_are_kept() {
    let mut tensors = encoder();
    let find = |name: &str, t: &[(String, Vec<usize>, Vec<f32>)]| t.iter().position(|t| t.0 == name).unwrap();
    let holed = find("encoder.layer.1.attention.self.key.weight", &tensors);
    tensors[holed].2[5] = f32::NAN;
    let original = file(&tensors);
    let keep = vec![Pattern::new("*.output.dense.bias").unwrap()];
    let options = Options { keep, ..options(7.0) };
    let done = quantize_calibrated(&original, &options, &companions(), &[text(1, 50)]).unwrap();
    assert!(matches!(done.tensors[holed].method, Method::Kept("infinities or NaN")));
    let bias = find("encoder.layer.0.output.dense.bias", &tensors);
    assert!(matches!(done.tensors[bias].method, Method::Kept("asked for")));
}

#[test]
fn other_models_and_targets_are_refused() {
    let run = |file: &[u8], target, companions: &Companions| {
        let options = Options { target, ..options(4.0) };
        let e = quantize_calibrated(file, &options, companions, &[text(1, 5)]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::BadArgument);
        e.to_string()
    };
    let original = file(&encoder());
    let other = file(&[("conv.weight", vec![64, 64], vec![1.0; 4096])]);
    assert!(run(&other, Target::Bits(4.0), &companions()).contains("conv.weight"));
    assert!(run(&original, Target::Bits(4.0), &Companions::default()).contains("vocab.txt"));
    assert!(run(&original, Target::MaxError(0.1), &companions()).contains("bits or bytes"));
    let broken = Companions { config: Some(b"{".to_vec()), ..companions() };
    assert!(run(&original, Target::Bits(4.0), &broken).contains("config.json"));
    let mut missing = encoder();
    missing.retain(|t| t.0 != "encoder.layer.1.attention.self.key.bias");
    assert!(run(&file(&missing), Target::Bits(4.0), &companions()).contains("key.bias"));
    assert!(run(&original, Target::Bytes(100), &companions()).contains("the least possible are"));
}

/// The tiny trained model of the library's tests.
fn llama() -> (Vec<u8>, Companions) {
    let read = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-llama/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    };
    let (tokenizer, config) = (Some(read("tokenizer.json")), Some(read("config.json")));
    (read("model.safetensors"), Companions { vocabulary: None, tokenizer, config })
}

/// Bytes that a language model codes a text in.
fn coded(file: &[u8], companions: &Companions, text: &[u8]) -> usize {
    let of = |part: &Option<Vec<u8>>| part.clone().unwrap();
    let (config, tokenizer) = (of(&companions.config), of(&companions.tokenizer));
    let mut models = nzip::Models::new();
    let hash = models.add(nzip::llm::import_safetensors(file, &config, &tokenizer, None).unwrap());
    let only = nzip::CodecChoice::Only(nzip::Codec::Llm);
    let options = nzip::Options::new().models(models).model(hash).codec(only);
    nzip::compress_with(text, options).unwrap().len()
}

#[test]
fn a_text_makes_a_language_model_better_at_the_same_size() {
    let (original, companions) = llama();
    let text = include_bytes!("../../../formats/nzip.md");
    let seen = [
        include_bytes!("../../../formats/lm.md").to_vec(),
        include_bytes!("../../../formats/tensor.md").to_vec(),
        include_bytes!("../../../formats/circuit.md").to_vec(),
    ];
    assert!(!is_sentence_encoder(&original));
    let plain = quantize(&original, &options(4.0)).unwrap();
    let done = quantize_calibrated(&original, &options(4.0), &companions, &seen).unwrap();
    let size = |file| coded(file, &companions, &text[..12_000]);
    let (whole, before, after) = (size(&original), size(&plain.file), size(&done.file));
    // What quantising costs becomes less, by a quarter when this was written.
    assert!(
        after > whole - whole / 100 && after - whole < (before - whole) * 9 / 10,
        "{whole} {before} {after}"
    );
    let one = quantize_calibrated(&original, &options(5.0), &companions, &[b"a"]).unwrap();
    assert!(one.stored > 0);
    let refused = |companions: &Companions| {
        quantize_calibrated(&original, &options(4.0), companions, &seen).unwrap_err().to_string()
    };
    assert!(refused(&Companions { config: None, ..companions.clone() }).contains("config.json"));
    assert!(refused(&Companions { tokenizer: None, ..companions.clone() }).contains("tokenizer.json"));
    assert!(embedding_cosines(&original, &original, &companions, &[b"a"]).is_err());
}
