//! Imported language models: all kernels, lane counts, batchings and thread counts give the same integers;
//! sources are converted exactly or refused; windows decode to the bytes that were coded.

use crate::transformers::{Gguf, micro, sample};
use nzip::ErrorKind;
use nzip::internal::Kernel;
use nzip::internal::codec::llm::{MIN_PAYLOAD, decode_windows, decode_with_lanes, encode_blocks};
use nzip::internal::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use nzip::internal::model::llm::{Column, MAX_COLUMNS, Model, Session, Weights};
use proptest::prelude::*;

fn weights() -> Weights {
    Weights::from_bytes(&nzip::llm::import_gguf(&micro().file(), Some(64)).unwrap()).unwrap()
}

fn model(kernel: Kernel) -> Model {
    Model::with_kernel(weights(), kernel).unwrap()
}

fn limits(payload: usize) -> WindowLimits {
    WindowLimits { payload, raw: 1 << 16 }
}

fn decode(model: &Model, windows: &[EncodedWindow], lanes: usize) -> nzip::Result<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = windows.iter().map(|w| vec![0; w.raw_len]).collect();
    let jobs = windows.iter().zip(&mut out).map(|(w, raw)| WindowJob { payload: &w.payload, raw });
    decode_with_lanes(model, &mut jobs.collect::<Vec<_>>(), lanes)?;
    Ok(out.concat())
}

/// All logits of some windows, each token one column of a step of its own.
fn stepwise(model: &Model, windows: &[Vec<u32>]) -> Vec<Vec<i32>> {
    let mut all = Vec::new();
    for tokens in windows {
        let mut session = Session::new(model, 1, tokens.len()).unwrap();
        for &token in tokens {
            session.step(&[Column { lane: 0, token }]);
            all.push(session.logits(0).to_vec());
        }
    }
    all
}

fn token_windows() -> Vec<Vec<u32>> {
    (0..5u32).map(|w| (0..40 + w).map(|i| (i * i + 7 * w + i / 3) % 300).collect()).collect()
}

#[test]
fn scalar_is_avx2() {
    let windows = token_windows();
    assert_eq!(stepwise(&model(Kernel::Scalar), &windows), stepwise(&model(Kernel::best()), &windows));
}

#[test]
fn lanes_and_batches_do_not_matter() {
    let windows = token_windows();
    for kernel in Kernel::supported() {
        let model = model(kernel);
        let expected = stepwise(&model, &windows);
        // Several positions of one window in a step.
        for batch in [2, 7, MAX_COLUMNS] {
            let mut found = Vec::new();
            for tokens in &windows {
                let mut session = Session::new(&model, 1, tokens.len()).unwrap();
                for part in tokens.chunks(batch) {
                    let columns: Vec<_> = part.iter().map(|&token| Column { lane: 0, token }).collect();
                    session.step(&columns);
                    (0..part.len()).for_each(|c| found.push(session.logits(c).to_vec()));
                }
            }
            assert!(found == expected, "{kernel:?}, {batch} positions");
        }
        // One position of each window in a step, windows ending one by one.
        let mut session = Session::new(&model, windows.len(), 44).unwrap();
        let mut found: Vec<Vec<Vec<i32>>> = vec![Vec::new(); windows.len()];
        for at in 0..44 {
            let columns: Vec<_> = (0..windows.len())
                .filter(|&w| at < windows[w].len())
                .map(|lane| Column { lane, token: windows[lane][at] })
                .collect();
            session.step(&columns);
            for (c, column) in columns.iter().enumerate() {
                found[column.lane].push(session.logits(c).to_vec());
            }
        }
        assert!(found.concat() == expected, "{kernel:?}, lanes");
    }
}

#[test]
fn windows_round_trip_however_they_are_decoded() {
    let raw = sample(3000);
    let model_scalar = model(Kernel::Scalar);
    let best = model(Kernel::best());
    for payload in [MIN_PAYLOAD, 100, 1 << 15] {
        let windows = encode_blocks(&model_scalar, &[&raw], limits(payload)).unwrap();
        assert_eq!(windows, encode_blocks(&best, &[&raw], limits(payload)).unwrap());
        let windows = &windows[0];
        assert!(windows.len() > 3 && windows.iter().all(|w| w.payload.len() <= payload));
        for lanes in [1, 2, 32] {
            assert!(decode(&best, windows, lanes).unwrap() == raw, "{payload} {lanes}");
        }
        assert!(decode(&model_scalar, windows, 3).unwrap() == raw);
    }
}

#[test]
fn threads_do_not_matter() {
    let raw = sample(2000);
    let model = model(Kernel::best());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let blocks = [&raw[..700], &raw[700..]];
            let windows = encode_blocks(&model, &blocks, limits(64)).unwrap();
            assert!(decode(&model, &windows.concat(), 4).unwrap() == raw);
            windows
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn every_byte_round_trips() {
    // The micro model has no token for most bytes.
    let raw: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let model = model(Kernel::best());
    let windows = encode_blocks(&model, &[&raw], limits(1 << 12)).unwrap().remove(0);
    assert!(decode(&model, &windows, 32).unwrap() == raw);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn anything_round_trips(raw in prop::collection::vec(any::<u8>(), 1..200), payload in 8usize..40) {
        let model = model(Kernel::best());
        let windows = encode_blocks(&model, &[&raw], limits(4 * payload)).unwrap().remove(0);
        prop_assert_eq!(decode(&model, &windows, 5).unwrap(), raw);
    }

    #[test]
    fn damaged_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..60), len in 1usize..300) {
        let run = |kernel| {
            let mut raw = vec![0; len];
            let result = decode_windows(&model(kernel), &mut [WindowJob { payload: &payload, raw: &mut raw }]);
            result.map(|()| raw).map_err(|e| e.kind())
        };
        let found = run(Kernel::best());
        prop_assert!(found.clone().err().is_none_or(|e| e == ErrorKind::Corrupt));
        prop_assert_eq!(found, run(Kernel::Scalar));
    }
}

#[test]
fn weights_cut_anywhere_are_truncated() {
    let bytes = weights().to_bytes();
    assert_eq!(Weights::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    for cut in (0..bytes.len()).step_by(7) {
        assert_eq!(Weights::from_bytes(&bytes[..cut]).unwrap_err().kind(), ErrorKind::Truncated, "{cut}");
    }
    let mut long = bytes.clone();
    long.push(0);
    assert_eq!(Weights::from_bytes(&long).unwrap_err().kind(), ErrorKind::Corrupt);
    for at in 0..60 {
        let mut changed = bytes.clone();
        changed[at] ^= 0xFF;
        if let Ok(weights) = Weights::from_bytes(&changed) {
            drop(Model::new(weights));
        }
    }
}

#[test]
fn rows_that_could_overflow_are_refused() {
    let mut weights = weights();
    // 24 columns are too few to overflow 31 bits, so the shape is a wide one that nothing else checks.
    let wide = weights.layers[0].down.clone();
    weights.layers[0].down.cols = 1 << 17;
    weights.layers[0].down.weights = vec![127; wide.rows << 17];
    assert_eq!(weights.layers[0].bits().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn import_is_what_the_source_says() {
    let bytes = nzip::llm::import_gguf(&micro().file(), Some(64)).unwrap();
    assert_eq!(bytes, nzip::llm::import_gguf(&micro().file(), Some(64)).unwrap());
    let weights = Weights::from_bytes(&bytes).unwrap();
    assert_eq!((weights.shape.vocab, weights.shape.width, weights.shape.layers), (300, 16, 2));
    if std::env::var_os("NZIP_WRITE_VECTORS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/vectors/llm/micro.nzllm");
        if std::fs::metadata(path).map_or(0, |m| m.len()) == 0 {
            std::fs::write(path, &bytes).unwrap();
        }
    }
    // Pinned: import must give the same bytes on every machine and in every release.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/vectors/llm/micro.nzllm");
    assert!(bytes == std::fs::read(path).unwrap());
}

#[test]
fn safetensors_give_the_same_model() {
    let (file, config, tokenizer) = micro().huggingface();
    let other = nzip::llm::import_safetensors(&file, &config, &tokenizer, Some(64)).unwrap();
    assert!(other == nzip::llm::import_gguf(&micro().file(), Some(64)).unwrap());
}

#[test]
fn sources_that_lie_are_refused() {
    let refused = |what: &str, kind: ErrorKind, change: &dyn Fn(&mut Gguf)| {
        let mut gguf = micro();
        change(&mut gguf);
        let e = nzip::llm::import_gguf(&gguf.file(), None).map(drop).expect_err(what);
        assert_eq!(e.kind(), kind, "{what}: {e}");
    };
    refused("architecture", ErrorKind::NewerVersion, &|g| g.set_text("general.architecture", "mamba"));
    refused("tokenizer", ErrorKind::NewerVersion, &|g| g.set_text("tokenizer.ggml.model", "bert"));
    refused("scaling", ErrorKind::NewerVersion, &|g| g.set_text("llama.rope.scaling.type", "yarn"));
    refused("width", ErrorKind::Corrupt, &|g| g.set_number("llama.embedding_length", 32));
    refused("no layers", ErrorKind::Corrupt, &|g| g.set_number("llama.block_count", 0));
    refused("more layers", ErrorKind::Corrupt, &|g| g.set_number("llama.block_count", 3));
    refused("huge", ErrorKind::Corrupt, &|g| g.set_number("llama.block_count", u32::MAX));
    refused("heads", ErrorKind::Corrupt, &|g| g.set_number("llama.attention.head_count_kv", 3));
    refused("vocabulary", ErrorKind::Corrupt, &|g| g.set_number("llama.vocab_size", 299));
    refused("token twice", ErrorKind::Corrupt, &|g| g.tokens[100] = g.tokens[101].clone());
    refused("token missing", ErrorKind::Corrupt, &|g| drop(g.tokens.pop()));
    refused("merge of nothing", ErrorKind::Corrupt, &|g| g.merges[0] = "e \u{142}".into());
    refused("tensor missing", ErrorKind::Corrupt, &|g| drop(g.tensors.remove(3)));
    refused("no number", ErrorKind::Corrupt, &|g| g.tensors[2].2[5] = f32::NAN);
    refused("infinite", ErrorKind::Corrupt, &|g| g.tensors[1].2[0] = f32::INFINITY);
    refused("huge weight", ErrorKind::Corrupt, &|g| g.tensors[2].2[5] = 1e30);
    let file = micro().file();
    for cut in (0..file.len()).step_by(211) {
        assert!(nzip::llm::import_gguf(&file[..cut], None).is_err());
    }
    assert_eq!(nzip::llm::import_gguf(&file, Some(1)).map(drop).unwrap_err().kind(), ErrorKind::BadArgument);
    assert_eq!(
        nzip::llm::import_gguf(&file, Some(1 << 20)).map(drop).unwrap_err().kind(),
        ErrorKind::BadArgument
    );
}

#[test]
fn archives_need_their_model() {
    use nzip::{Codec, CodecChoice, DecodeOptions, Models, Options};
    let raw = sample(5000);
    let mut models = Models::new();
    let hash = models.add(weights().to_bytes());
    let options = Options::new().model(hash).models(models.clone());
    let packed = nzip::compress_with(&raw, options.clone().codec(CodecChoice::Only(Codec::Llm))).unwrap();
    let good = DecodeOptions::new().models(models);
    assert!(nzip::decompress_with(&packed, good.clone()).unwrap() == raw);
    let e = nzip::decompress_with(&packed, DecodeOptions::new()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::MissingModel);
    // The automatic choice never gives a larger file than without the model.
    let plain = nzip::compress(&raw, 6).unwrap();
    let auto = nzip::compress_with(&raw, options.clone()).unwrap();
    assert!(auto.len() <= plain.len());
    assert!(nzip::decompress_with(&auto, good).unwrap() == raw);
    // With the model inside it decodes anywhere.
    let alone = options.codec(CodecChoice::Only(Codec::Llm)).embed_model(true);
    let alone = nzip::compress_with(&raw, alone).unwrap();
    assert!(nzip::decompress(&alone).unwrap() == raw);
    // A byte changed anywhere is found.
    for at in (0..packed.len()).step_by(97) {
        let mut damaged = packed.clone();
        damaged[at] ^= 4;
        let found = nzip::decompress_with(
            &damaged,
            DecodeOptions::new().models({
                let mut m = Models::new();
                m.add(weights().to_bytes());
                m
            }),
        );
        assert!(found.is_err(), "{at}");
    }
}
