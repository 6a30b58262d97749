//! Files whose tensors are named and shaped like those of quantised and sparse checkpoints, of any content: they come back. And
//! damaged: nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::{Codec, CodecChoice, DecodeOptions, Options};

/// Names, types, and the bytes of an element.
const TENSORS: [(&str, &str, usize); 14] = [
    ("a.qweight", "I32", 4),
    ("a.qzeros", "I32", 4),
    ("a.scales", "F16", 2),
    ("a.g_idx", "I32", 4),
    ("a.weight_packed", "I32", 4),
    ("a.weight_shape", "I64", 8),
    ("b.weight_packed", "U8", 1),
    ("a.codes", "I8", 1),
    ("b.codes", "I16", 2),
    ("a.codebooks", "F16", 2),
    ("a.dense_weights", "I64", 8),
    ("a.col_vals", "I32", 4),
    ("a.row_offsets", "I64", 8),
    ("b.row_offsets", "I32", 4),
];

fuzz_target!(|input: &[u8]| {
    let [level, at, flip, rest @ ..] = input else { return };
    // For each tensor in turn two bytes of shape, as long as there are some; content is repeated where it is too short.
    let (mut json, mut data) = (String::from("{"), Vec::new());
    let half = rest.len().min(2 * TENSORS.len());
    let (shapes, content) = rest.split_at(half);
    for ((name, dtype, size), shape) in TENSORS.iter().zip(shapes.chunks_exact(2)) {
        // Up to 127, or one of a few larger round numbers.
        let side = |b: u8| if b < 128 { usize::from(b) } else { 32 << (b % 4) };
        let (rows, columns) = (side(shape[0]), side(shape[1]));
        let (start, len) = (data.len(), rows * columns * size);
        if start + len > 1 << 18 {
            break;
        }
        data.extend(content.iter().cycle().skip(start % 251).take(len));
        data.resize(start + len, 0);
        let comma = if json.len() > 1 { "," } else { "" };
        let end = data.len();
        json += &format!(r#"{comma}"{name}":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#);
    }
    json += "}";
    let raw = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &data].concat();
    let options = Options::new().level(level % 9 + 1).threads(1).codec(CodecChoice::Only(Codec::Tensor));
    let packed = nzip::compress_with(&raw, options).unwrap();
    assert!(nzip::decompress_with(&packed, DecodeOptions::new().threads(1)).unwrap() == raw);
    let mut bad = packed;
    let place = usize::from(*at) * bad.len() / 256;
    bad[place] ^= flip;
    let options = DecodeOptions::new().threads(1).memory(64 << 20);
    // Check values always match here: what comes back may be anything.
    let _ = nzip::decompress_with(&bad, options);
});
