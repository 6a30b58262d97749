//! Golden files: every file of `formats/vectors/manifest.txt` decodes, for ever.
//!
//! A new one is added to [`makers`]; `NZIP_WRITE_VECTORS=1 cargo test --test golden` writes the files that
//! are not there yet, and never touches one that is.

use crate::bytes::*;
use crate::circuits;
use crate::tables;
use nzip::family::FamilyWriter;
use nzip::internal::SplitMix;
use nzip::internal::codec::light;
use nzip::internal::codec::lm::encode_blocks;
use nzip::internal::codec::mix::{Guide, MixOptions, encode_block};
use nzip::internal::codec::window::WindowLimits;
use nzip::internal::model::lm::Model;
use nzip::internal::model::lm::weights::Weights;
use nzip::{Archive, Bases, Codec, CodecChoice, DecodeOptions, Encoder, Models, Options};
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

/// Words in random order, which a language model predicts neither perfectly nor not at all.
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

/// The start of the text sample, which `mix` recognises as text.
fn prose(n: usize) -> Vec<u8> {
    let mut text = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpora/sample.txt")).unwrap();
    text.truncate(n);
    text
}

/// Repetitions of a text, each with two bytes changed.
fn repetitions(n: usize) -> Vec<u8> {
    let repetition = |i: usize| {
        let mut text = prose(300);
        text[i * 37 % 300] ^= 1;
        text[(i * 71 + 5) % 300] ^= 2;
        text
    };
    (0..n).flat_map(repetition).collect()
}

/// Text between long runs of bytes: `n` bytes.
fn runs(n: usize) -> Vec<u8> {
    let (mut rng, mut out) = (SplitMix(13), prose(2000));
    while out.len() < n {
        let (byte, len) = (rng.below(256) as u8, 20_000 + rng.below(60_000) as usize);
        out.extend_from_slice(&prose(20 + rng.below(50) as usize));
        out.resize(out.len() + len, byte);
    }
    out.truncate(n);
    out
}

/// Records of 12 bytes, which `mix` recognises as records.
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

/// Instructions in random order, with calls and jumps to few places, which `mix` recognises as x86 code.
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

/// Instructions of 64-bit ARM in random order, with calls of few functions and references to few pages; then two bytes.
fn arm_instructions(n: usize) -> Vec<u8> {
    let mut rng = SplitMix(64);
    let mut code = Vec::new();
    for i in 0..n as u32 {
        let word = match rng.below(8) {
            0 => 0xD65F_03C0,
            1 => 0x9400_0000 | (100 * rng.below(9) as u32).wrapping_sub(i) & 0x03FF_FFFF,
            2 => {
                let pages = (rng.below(5) as u32).wrapping_sub(i >> 10) & 0x1F_FFFF;
                0x9000_0000 | (pages & 3) << 29 | (pages >> 2) << 5 | rng.below(4) as u32
            }
            3 => 0xF940_0000 | (rng.below(16) as u32) << 10,
            4 => 0x9100_0000 | (rng.below(4) as u32) << 5,
            _ => 0xAA00_03E0 | (rng.below(8) as u32) << 16,
        };
        code.extend(word.to_le_bytes());
    }
    code.extend([0x94, 0x90]);
    code
}

/// Rows of 16 samples of `channels` times `width` bytes, each near those beside it.
fn samples(rows: usize, channels: usize, width: usize) -> Vec<u8> {
    let mut rng = SplitMix(16);
    let stride = 16 * channels;
    let mut values: Vec<u64> = vec![90; stride + channels];
    let mut bytes = Vec::new();
    for _ in 0..rows * stride {
        let n = values.len();
        let value = (values[n - channels] + values[n - stride]) / 2 + rng.below(9) - 4;
        bytes.extend(&(value * if width == 2 { 37 } else { 1 }).to_le_bytes()[..width]);
        values.push(value.clamp(20, 230));
    }
    bytes
}

/// Frames of signed 16-bit samples: a slow swing and a fast one with noise, louder in the second half, and clipped.
fn sound(frames: usize, channels: usize) -> Vec<u8> {
    let mut rng = SplitMix(19);
    let mut state = [[0i64; 2]; 2];
    let mut bytes = Vec::new();
    for frame in 0..frames {
        for (channel, s) in state.iter_mut().take(channels).enumerate() {
            let push = rng.below(401) as i64 - 200;
            let next = (1900 - 90 * channel as i64) * s[0] / 1000 - 985 * s[1] / 1000 + push;
            *s = [next, s[0]];
            let loud = if frame < frames / 2 { 4 } else { 40 };
            bytes.extend(((next * loud).clamp(-32768, 32767) as i16).to_le_bytes());
        }
    }
    bytes
}

/// Lines of words and numbers in blocks that can be searched.
fn searchable() -> Vec<u8> {
    let mut rng = SplitMix(80);
    let words = ["alpha", "Beta", "gamma", "delta", "needle"];
    let line = |i| {
        let word = words[if i == 700 { 4 } else { rng.below(4) as usize }];
        format!("{} {word} {}\n", rng.below(1 << 40), rng.below(1 << 40))
    };
    let text: String = (0..2000).map(line).collect();
    let options = Options::new().level(1).block_size(16384).searchable().threads(1);
    nzip::compress_with(text.as_bytes(), options).unwrap()
}

/// Small fields of numbers without a fixed length.
fn fields(n: usize) -> Vec<u8> {
    let mut rng = SplitMix(1);
    let mut bytes = Vec::new();
    while bytes.len() < n {
        bytes.push(rng.below(4) as u8);
        bytes.extend(vec![0x80 + rng.below(3) as u8; rng.below(5) as usize]);
        bytes.extend((rng.below(20) as u16 * 50).to_be_bytes());
    }
    bytes.truncate(n);
    bytes
}

/// One `mix` block of a kind, by its number and parameter in the codec header.
fn mix_kind(raw: &[u8], kind: (u8, u16)) -> Vec<u8> {
    let options = MixOptions { forced: Some(kind), table_bits: 22, ..MixOptions::level(1) };
    let payload = encode_block(raw, &options, Guide::None).unwrap().0;
    let mut rest = vec![20];
    rest.extend(check(raw));
    let block = block(3, 0, raw.len() as u64, payload.len() as u64, &rest);
    stream(&[[block, payload].concat()])
}

/// A stream of one `light` block of a kind.
fn light_kind(raw: &[u8], kind: (u8, u16)) -> Vec<u8> {
    let payload = light::encode_block(raw, Some(kind)).unwrap();
    let mut rest = vec![20];
    rest.extend(check(raw));
    let block = block(9, 0, raw.len() as u64, payload.len() as u64, &rest);
    stream(&[[block, payload].concat()])
}

/// Numbers of a few scales, nearly normal, without floating-point arithmetic.
fn weights(rows: u64, columns: u64, rng: &mut SplitMix) -> Vec<u32> {
    let mut out = Vec::new();
    for row in 0..rows {
        for _ in 0..columns {
            let size: u64 = (0..4).map(|_| rng.below(1 << 22)).sum::<u64>().abs_diff(1 << 23) + 1;
            let shift = size.leading_zeros() - 40;
            let exponent = 120 - shift - (row % 5) as u32;
            let mantissa = (size << shift) as u32 & 0x7F_FFFF;
            out.push((rng.below(2) as u32) << 31 | exponent << 23 | mantissa);
        }
    }
    out
}

/// A safetensors file of tensors of which some rows have fewer bits, and numbers that are much smaller than others.
fn uneven() -> Vec<u8> {
    let mut w = weights(90, 40, &mut SplitMix(8));
    for (i, v) in w.iter_mut().enumerate() {
        if i / 40 % 3 == 1 {
            *v &= 0xFFFF_E000;
        }
        if i % 23 == 4 {
            *v -= 9 << 23;
        }
    }
    let f32s: Vec<u8> = w.iter().flat_map(|v| v.to_le_bytes()).collect();
    let bf16: Vec<u8> = w.iter().flat_map(|v| ((v >> 16) as u16).to_le_bytes()).collect();
    let (n, all) = (f32s.len(), f32s.len() + bf16.len());
    let json = format!(
        r#"{{"f32":{{"dtype":"F32","shape":[90,40],"data_offsets":[0,{n}]}},"bf16":{{"dtype":"BF16","shape":[90,40],"data_offsets":[{n},{all}]}}}}"#
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &f32s, &bf16].concat()
}

/// A safetensors file with 8-bit floats whose upper halves are mostly those of the row above.
fn tokens() -> Vec<u8> {
    let (rows, columns) = (200, 40);
    let mut rng = SplitMix(16);
    let mut row = vec![0; columns];
    let mut data = Vec::new();
    for _ in 0..rows {
        for value in &mut row {
            let [changes, new, low, ..] = rng.next_u64().to_le_bytes();
            let upper = if changes < 16 { new } else { *value };
            *value = upper & 0xC0 | low & 0x03;
            data.push(*value);
        }
    }
    let (n, shape) = (data.len(), format!("[{rows},{columns}]"));
    let json = format!(r#"{{"key":{{"dtype":"F8_E4M3","shape":{shape},"data_offsets":[0,{n}]}}}}"#);
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// A tensor of 8-bit floats whose exponents are alike.
fn small_floats() -> Vec<u8> {
    let mut rng = SplitMix(17);
    let data: Vec<u8> = weights(300, 225, &mut rng)
        .into_iter()
        .map(|v| (v >> 24 & 0x80 | (v >> 23 & 0xFF).saturating_sub(107).min(15) << 3 | v >> 20 & 7) as u8)
        .collect();
    let n = data.len();
    let json = format!(r#"{{"value":{{"dtype":"F8_E4M3","shape":[300,225],"data_offsets":[0,{n}]}}}}"#);
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// A safetensors file with a tensor for each thing that `tensor` blocks can do.
fn tensors() -> Vec<u8> {
    let mut rng = SplitMix(6);
    let w = weights(60, 50, &mut rng);
    let le = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let wide = le(&w.iter().map(|v| v & 0xFFFF_E000).collect::<Vec<_>>());
    let bf16: Vec<u8> = w.iter().flat_map(|v| ((v >> 16) as u16).to_le_bytes()).collect();
    let half: Vec<u8> = w
        .iter()
        .flat_map(|v| ((v >> 16 & 0x8000 | (v >> 13).wrapping_sub(112 << 10) & 0x7FFF) as u16).to_le_bytes())
        .collect();
    let sparse = le(&w.iter().enumerate().map(|(i, v)| if i % 3 == 0 { *v } else { 0 }).collect::<Vec<_>>());
    let palette = le(&w.iter().map(|v| v & 0x8380_0000).collect::<Vec<_>>());
    let decimal = le(&w
        .iter()
        .map(|v| v.wrapping_mul(0x9E37_79B1))
        .map(|v| {
            (((v % 90_000 + 10_000) as f32) / 10f32.powi(4 + (v >> 28) as i32 % 3)).to_bits() | v & 1 << 31
        })
        .collect::<Vec<_>>());
    let odd = le(&w
        .iter()
        .enumerate()
        .map(|(i, v)| if i % 97 == 5 { 0x7FC0_0001 + i as u32 } else { *v })
        .collect::<Vec<_>>());
    let int8: Vec<u8> = w
        .iter()
        .enumerate()
        .map(|(i, v)| if i / 50 % 4 == 0 { 0 } else { (*v as i32 >> 26) as u8 })
        .collect();
    let ids: Vec<u8> = (0..1000u64).flat_map(|i| (i * 3 + rng.below(7)).to_le_bytes()).collect();
    let list: [(&str, &str, &[u64], Vec<u8>); 11] = [
        ("f32", "F32", &[60, 50], le(&w)),
        ("bf16", "BF16", &[60, 50], bf16.clone()),
        ("wide", "F32", &[60, 50], wide),
        ("f16", "F16", &[60, 50], half),
        ("sparse", "F32", &[60, 50], sparse),
        ("int8", "I8", &[60, 50], int8),
        ("palette", "F32", &[60, 50], palette),
        ("ids", "I64", &[1000], ids),
        ("decimal", "F32", &[60, 50], decimal),
        ("tied", "BF16", &[60, 50], bf16),
        ("odd", "F32", &[60, 50], odd),
    ];
    let (mut json, mut data) = (String::from("{"), Vec::new());
    for (name, dtype, shape, bytes) in list {
        let (start, end) = (data.len(), data.len() + bytes.len());
        let comma = if start > 0 { "," } else { "" };
        json += &format!(
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        );
        data.extend(bytes);
    }
    json += "}";
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// A safetensors file of tensors whose columns predict each other: floats, of which some rows have fewer bits, decimals, and bytes in
/// wide rows of different size.
fn related() -> Vec<u8> {
    let mut rng = SplitMix(43);
    let mut related = |rows: usize, columns: usize| -> Vec<(usize, f32)> {
        let mut numbers = Vec::new();
        for row in 0..rows {
            let mut one = || rng.below(2001) as f32 / 1000.0 - 1.0;
            let first = one();
            let size = if columns > 12 && row.is_multiple_of(3) { 0.004 } else { 0.02 };
            let number =
                |column: usize, own: f32| if column.is_multiple_of(3) { own } else { first + own / 24.0 };
            numbers.extend((0..columns).map(|column| (row, size * number(column, one()))));
        }
        numbers
    };
    let bytes = |numbers: &[(usize, f32)], f: &dyn Fn(usize, f32) -> Vec<u8>| -> Vec<u8> {
        numbers.iter().flat_map(|(row, n)| f(*row, *n)).collect()
    };
    let fewer = |row: usize, n: f32| n.to_bits() & if row.is_multiple_of(4) { u32::MAX } else { 0xFFFF_E000 };
    let (narrow, wide) = (related(1000, 12), related(450, 64));
    let parts: Vec<(&str, &str, [usize; 2], Vec<u8>)> = vec![
        ("floats", "F32", [1000, 12], bytes(&narrow, &|row, n| fewer(row, n).to_le_bytes().to_vec())),
        ("wide", "I8", [450, 64], bytes(&wide, &|_, n| vec![(n * 4000.0) as i8 as u8])),
        (
            "decimals",
            "F32",
            [1000, 12],
            bytes(&narrow, &|_, n| ((n * 1e5).round() / 1e5).to_le_bytes().to_vec()),
        ),
    ];
    let (mut json, mut data) = (String::from("{"), Vec::new());
    for (name, dtype, [rows, columns], bytes) in parts {
        let (start, end) = (data.len(), data.len() + bytes.len());
        let comma = if start == 0 { "" } else { "," };
        json += &format!(
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#
        );
        data.extend(bytes);
    }
    json += "}";
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

/// A safetensors file of numbers that depend on their neighbours: time stamps, two channels of sound, a picture, even steps, and the
/// time stamps again.
fn series() -> Vec<u8> {
    let mut rng = SplitMix(77);
    let mut at = 1_700_000_000_000u64;
    let stamps: Vec<u8> = (0..1500)
        .flat_map(|_| {
            at += 900 + rng.below(200);
            at.to_le_bytes()
        })
        .collect();
    let mut wave = |i: u64, period: u64| ((i % period) * (period - i % period) * 3 + rng.below(40)) as i16;
    let sound: Vec<u8> =
        (0..600).flat_map(|i| [wave(i, 90), wave(i, 55)]).flat_map(i16::to_le_bytes).collect();
    let picture: Vec<u8> = (0..50 * 60u64).map(|i| ((i % 60) * 2 + i / 60 + rng.below(3)) as u8).collect();
    let steps: Vec<u8> = (0..400).flat_map(|i| (f64::from(i) / 256.0).to_le_bytes()).collect();
    let list: [(&str, &str, &str, &[u8]); 5] = [
        ("stamps", "I64", "[1500]", &stamps),
        ("sound", "I16", "[600,2]", &sound),
        ("picture", "U8", "[50,60]", &picture),
        ("steps", "F64", "[400]", &steps),
        ("again", "I64", "[1500]", &stamps),
    ];
    let (mut json, mut data) = (String::from("{"), Vec::new());
    for (name, dtype, shape, bytes) in list {
        let (start, end) = (data.len(), data.len() + bytes.len());
        let comma = if start > 0 { "," } else { "" };
        json += &format!(
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#
        );
        data.extend(bytes);
    }
    json += "}";
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
}

fn tensor_level(level: u8) -> Options {
    Options::new().level(level).codec(CodecChoice::Only(Codec::Tensor))
}

/// A GGUF file with tensors of three block-quantised types.
fn gguf() -> Vec<u8> {
    let mut rng = SplitMix(7);
    let mut out = b"GGUF\x03\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut data: Vec<u8> = Vec::new();
    for (name, kind, columns, bytes) in
        [("q4_1", 3u32, 32u64, 20), ("q8_0", 8, 32, 34), ("q6_k", 14, 256, 210)]
    {
        out.extend((name.len() as u64).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(2u32.to_le_bytes());
        out.extend([columns.to_le_bytes(), 300u64.to_le_bytes()].concat());
        out.extend(kind.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        for _ in 0..300 {
            let scale = 0x1800 + rng.below(1 << 10) as u16 / 8 * 8;
            for at in 0..bytes {
                let spread = 4 + (scale as u64 >> 6) % 5;
                let mut nibble = || 8 + rng.below(spread) + rng.below(4) - spread / 2 - 2;
                let byte = (nibble() | nibble() << 4) as u8;
                data.push(if at < 2 { scale.to_le_bytes()[at] } else { byte });
            }
        }
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    out
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

/// The frozen micro transformer and its name, beside the other model.
fn micro_llm() -> (Models, [u8; 32]) {
    let mut models = micro().0;
    let name = models.add_file(folder().join("llm/micro.nzllm")).unwrap();
    (models, name)
}

/// Some text with bytes for which the micro transformer has no token.
fn escapes() -> Vec<u8> {
    let mut text = prose(700);
    text.splice(300..300, [0, 0xFF, 0xFF, 0xC0, 7]);
    text.extend([0xF5; 12]);
    text
}

/// The frozen micro circuit and its name.
fn micro_circuit() -> (Models, [u8; 32]) {
    let mut models = micro_llm().0;
    let name = models.add_file(folder().join("circuit/micro.nzpc")).unwrap();
    (models, name)
}

/// The frozen circuit of patches and its name, beside the other models.
fn patch_circuit() -> (Models, [u8; 32]) {
    let mut models = micro_circuit().0;
    let name = models.add_file(folder().join("circuit/patch.nzpc")).unwrap();
    (models, name)
}

fn decoding() -> DecodeOptions {
    DecodeOptions::new().models(patch_circuit().0).bases(bases())
}

/// The tensors that others may be coded against: the content of another golden file.
fn bases() -> Bases {
    let mut bases = Bases::new();
    bases.add(nzip::decompress(&fs::read(folder().join("tensor-rows.nz")).unwrap()).unwrap()).unwrap();
    bases
}

/// The base with some numbers slightly changed, others with one bit changed, and one tensor unchanged.
fn tuned() -> Vec<u8> {
    let mut raw = uneven();
    let data = raw.len() - 90 * 40 * 6;
    let (f32s, bf16) = raw[data..].split_at_mut(90 * 40 * 4);
    for (i, e) in f32s.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let v = u32::from_le_bytes(*e);
        let by = (i as u32 * 77 % 61) << (v >> 23 & 3);
        *e = if i % 2 == 0 { v.wrapping_add(by) } else { v.wrapping_sub(by) }.to_le_bytes();
    }
    bf16.as_chunks_mut::<2>().0.iter_mut().step_by(7).for_each(|e| e[0] ^= 0x28);
    raw
}

/// The base's numbers in other types, some of them changed: with `through`, the F32 ones rounded to values of
/// BF16; otherwise these as BF16, and the BF16 ones as F32.
fn rounded(through: bool) -> Vec<u8> {
    let raw = uneven();
    let data = raw.len() - 90 * 40 * 6;
    let (f32s, bf16) = raw[data..].split_at(90 * 40 * 4);
    let round = |(i, e): (usize, &[u8; 4])| {
        let v = u32::from_le_bytes(*e);
        ((v + 0x7FFF + (v >> 16 & 1)) >> 16) as u16 ^ u16::from(i % 9 == 0) << (i % 3)
    };
    let narrow = f32s.as_chunks::<4>().0.iter().enumerate().map(round);
    let (first, second, types) = if through {
        (
            narrow.flat_map(|v| [0, 0, v as u8, (v >> 8) as u8]).collect::<Vec<u8>>(),
            Vec::new(),
            ("F32", "BF16"),
        )
    } else {
        let wide = bf16.as_chunks::<2>().0.iter().enumerate();
        let wide = wide.flat_map(|(i, e)| [(i % 5) as u8, 0, e[0], e[1]]).collect();
        (narrow.flat_map(u16::to_le_bytes).collect(), wide, ("BF16", "F32"))
    };
    let (n, all, rows) = (first.len(), first.len() + second.len(), if through { 0 } else { 90 });
    let json = format!(
        r#"{{"f32":{{"dtype":"{}","shape":[90,40],"data_offsets":[0,{n}]}},"bf16":{{"dtype":"{}","shape":[{rows},40],"data_offsets":[{n},{all}]}}}}"#,
        types.0, types.1
    );
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &first, &second].concat()
}

/// A family: numbers in F32, the same a little changed, these in BF16, and the second file once more.
fn family() -> Vec<u8> {
    let file = |seed: u64, wide: bool| {
        let (mut rng, mut change) = (SplitMix(3), SplitMix(seed));
        let mut data = Vec::new();
        for _ in 0..1800 {
            let number = (0..4).map(|_| rng.below(999) as f32 - 499.0).sum::<f32>() * 1e-4;
            let number = number + if seed > 0 { (change.below(99) as f32 - 49.0) * 1e-7 } else { 0.0 };
            data.extend_from_slice(&number.to_le_bytes()[if wide { 0 } else { 2 }..]);
        }
        let (name, len) = (if wide { "F32" } else { "BF16" }, data.len());
        let json = format!(r#"{{"w":{{"dtype":"{name}","shape":[60,30],"data_offsets":[0,{len}]}}}}"#);
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat()
    };
    let mut family = FamilyWriter::new(Vec::new(), tensor_level(6).threads(1)).unwrap();
    let files = [("base", file(0, true)), ("tuned/f32", file(1, true)), ("tuned/bf16", file(1, false))];
    files.into_iter().for_each(|(name, bytes)| drop(family.add_bytes(name, bytes).unwrap()));
    family.add_bytes("again", file(1, true)).unwrap();
    family.finish().unwrap()
}

fn makers() -> Vec<(&'static str, Vec<u8>)> {
    let with = |raw: &[u8], options: Options| nzip::compress_with(raw, options.threads(1)).unwrap();
    let only = |codec| Options::new().codec(CodecChoice::Only(codec));
    let lm = |window| {
        let (models, name) = micro();
        only(Codec::Lm).models(models).model(name).window(window)
    };
    let llm = |window, chained| {
        let (models, name) = micro_llm();
        with(&escapes(), only(Codec::Llm).models(models).model(name).window(window).chained(chained))
    };
    let circuit = |window| {
        let (models, name) = micro_circuit();
        only(Codec::Circuit).models(models).model(name).window(window)
    };
    // A header with the records' width, records, and one that is cut short.
    let idx = || {
        let header = [0, 0, 8, 2, 0, 0, 0, 150, 0, 0, 0, 12];
        [&header[..], &circuits::records(150), b"cut"].concat()
    };
    // Patches that the right edge, the bottom and both cut; something behind the pixels.
    let colour = || {
        let (models, name) = patch_circuit();
        let raw = [&circuits::pnm(31, 23, 3)[..], b"behind the pixels"].concat();
        with(&raw, only(Codec::Circuit).models(models).model(name).window(512))
    };
    let grey = || {
        let mut models = Models::new();
        let name = models.add(circuits::of_patches(circuits::GREY).to_bytes());
        let options = only(Codec::Circuit).models(models).model(name).embed_model(true);
        with(&circuits::pnm(2, 41, 1), options.window(64))
    };
    let wide = |descr, size, sign: fn(u8) -> u8| {
        let raw = circuits::npy(descr, size, &circuits::records(120), sign);
        with(&raw, circuit(256))
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
        ("llm-windows.nz", llm(1 << 14, false)),
        ("llm-short.nz", llm(64, false)),
        ("llm-chained.nz", llm(1 << 14, true)),
        ("llm-chained-short.nz", llm(64, true)),
        ("tensor-fast.nz", with(&tensors(), Options::new().level(1).codec(CodecChoice::Only(Codec::Tensor)))),
        (
            "tensor-small.nz",
            with(&tensors(), Options::new().level(9).codec(CodecChoice::Only(Codec::Tensor))),
        ),
        ("tensor-rows.nz", with(&uneven(), tensor_level(8))),
        ("tensor-predicted.nz", with(&related(), tensor_level(9))),
        ("tensor-above.nz", with(&tokens(), tensor_level(6))),
        ("tensor-pairs.nz", with(&small_floats(), tensor_level(1))),
        ("tensor-delta.nz", with(&tuned(), tensor_level(6).bases(bases()))),
        ("tensor-rounded.nz", with(&rounded(false), tensor_level(6).bases(bases()))),
        ("tensor-rounded-through.nz", with(&rounded(true), tensor_level(6).bases(bases()))),
        ("tensor-differences.nz", with(&series(), tensor_level(6))),
        ("tensor-gguf.nz", with(&gguf(), Options::new().level(6).codec(CodecChoice::Only(Codec::Tensor)))),
        ("tensor-gptq.nz", with(include_bytes!("../layouts/gptq3.safetensors"), tensor_level(6))),
        ("tensor-awq.nz", with(include_bytes!("../layouts/awq.safetensors"), tensor_level(6))),
        ("tensor-spqr.nz", with(include_bytes!("../layouts/spqr.safetensors"), tensor_level(6))),
        ("lm-embedded-tensor.nz", with(&words(1000), lm(128).embed_model(true))),
        ("mix-text.nz", with(&prose(2000), only(Codec::Mix).level(5))),
        ("mix-guided.nz", {
            let (models, name) = micro();
            with(&prose(600), only(Codec::Mix).level(5).models(models).model(name))
        }),
        ("mix-records.nz", with(&records(200), only(Codec::Mix).level(9))),
        ("circuit-hash.nz", with(&circuits::records(400), circuit(512))),
        ("circuit-embedded.nz", with(&idx(), circuit(1 << 14).embed_model(true))),
        ("circuit-patches.nz", colour()),
        ("circuit-patches-grey.nz", grey()),
        ("circuit-wide-u64.nz", wide("<u8", 8, |_| 0)),
        ("circuit-wide-i16.nz", wide("<i2", 2, |b| if b > 127 { 255 } else { 0 })),
        ("table-lf.nz", with(&tables::orders(260, ',', "\n"), only(Codec::Table))),
        ("table-crlf.nz", with(&tables::orders(300, ';', "\r\n"), only(Codec::Table).level(9))),
        ("mix-binary.nz", mix_kind(&fields(1500), (1, 0))),
        ("mix-words.nz", mix_kind(&samples(40, 1, 2), (4, 32))),
        ("mix-sound.nz", mix_kind(&sound(900, 2), (6, 4))),
        ("mix-sound-mono.nz", mix_kind(&sound(700, 1), (6, 2))),
        ("light-sound.nz", light_kind(&sound(900, 2), (6, 4))),
        ("mix-bytes.nz", mix_kind(&samples(60, 1, 1), (5, 16))),
        ("mix-rgb.nz", mix_kind(&samples(24, 3, 1), (7, 48))),
        ("deflate-text.nz", with(include_bytes!("../data/packed/text.gz"), only(Codec::Deflate).level(6))),
        (
            "deflate-streams.nz",
            with(include_bytes!("../data/packed/streams.bin"), only(Codec::Deflate).level(4)),
        ),
        ("deflate-paths.nz", with(include_bytes!("../data/packed/paths.gz"), only(Codec::Deflate).level(4))),
        (
            "deflate-picture.nz",
            with(include_bytes!("../data/packed/picture.png"), only(Codec::Deflate).level(5)),
        ),
        (
            "deflate-interlaced.nz",
            with(include_bytes!("../data/packed/interlaced.png"), only(Codec::Deflate).level(5)),
        ),
        (
            "deflate-arrays.nz",
            with(include_bytes!("../data/packed/arrays.npz"), only(Codec::Deflate).level(5)),
        ),
        (
            "deflate-nested.nz",
            with(include_bytes!("../data/packed/nested.zip"), only(Codec::Deflate).level(5)),
        ),
        ("jpeg-thumbnail.nz", with(include_bytes!("../data/jpeg/thumbnail.jpg"), only(Codec::Jpeg).level(5))),
        (
            "jpeg-progressive.nz",
            with(include_bytes!("../data/jpeg/progressive.jpg"), only(Codec::Jpeg).level(1)),
        ),
        ("jpeg-restart.nz", with(include_bytes!("../data/jpeg/restart.jpg"), only(Codec::Jpeg).level(1))),
        ("jpeg-cmyk.nz", with(include_bytes!("../data/jpeg/cmyk.jpg"), only(Codec::Jpeg).level(1))),
        ("jpeg-cut.nz", with(include_bytes!("../data/jpeg/cut.jpg"), only(Codec::Jpeg).level(1))),
        (
            "jpeg-cut-progressive.nz",
            with(include_bytes!("../data/jpeg/cut-progressive.jpg"), only(Codec::Jpeg).level(1)),
        ),
        ("jpeg-inside.nz", with(include_bytes!("../data/jpeg/pictures.zip"), only(Codec::Jpeg).level(5))),
        ("mix-code.nz", with(&instructions(3000), only(Codec::Mix).level(9))),
        ("mix-x64.nz", mix_kind(&instructions(3000), (9, 0))),
        ("mix-arm64.nz", mix_kind(&arm_instructions(1500), (10, 0))),
        ("light-x64.nz", light_kind(&instructions(4000), (9, 0))),
        ("light-arm64.nz", light_kind(&arm_instructions(1500), (10, 0))),
        ("sort-x64.nz", with(&instructions(6000), only(Codec::Sort))),
        ("sort-arm64.nz", with(&arm_instructions(3000), only(Codec::Sort))),
        ("light-text.nz", with(&prose(2000), only(Codec::Light))),
        ("light-own-code.nz", with(&prose(9000), only(Codec::Light))),
        ("light-binary.nz", light_kind(&fields(1500), (1, 0))),
        ("light-records.nz", light_kind(&records(200), (2, 12))),
        ("light-code.nz", light_kind(&instructions(9000), (3, 0))),
        ("light-words.nz", light_kind(&samples(40, 1, 2), (4, 32))),
        ("light-flags.nz", light_kind(&repetitions(12), (1, 0))),
        ("mix-flags.nz", mix_kind(&repetitions(12), (0, 0))),
        ("light-rgb.nz", light_kind(&samples(24, 3, 1), (7, 48))),
        ("sort-ranks.nz", with(&prose(9000), only(Codec::Sort))),
        ("sort-symbols.nz", with(&samples(60, 1, 1), only(Codec::Sort))),
        ("sort-code.nz", with(&instructions(9000), only(Codec::Sort))),
        ("searchable.nz", searchable()),
        ("family.nz", family()),
        ("sort-long.nz", with(&runs((4 << 20) + 3), only(Codec::Sort))),
    ]
}

#[test]
fn golden_files_decode() {
    let manifest = folder().join("manifest.txt");
    if std::env::var_os("NZIP_WRITE_VECTORS").is_some() {
        let circuit = folder().join("circuit/micro.nzpc");
        if !circuit.exists() {
            fs::create_dir_all(folder().join("circuit")).unwrap();
            fs::write(circuit, circuits::micro().to_bytes()).unwrap();
        }
        let mut lines = fs::read_to_string(&manifest).unwrap_or_default();
        let patch = folder().join("circuit/patch.nzpc");
        if !patch.exists() {
            fs::write(patch, circuits::of_patches(circuits::COLOUR).to_bytes()).unwrap();
        }
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
