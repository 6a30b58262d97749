//! Any bytes as a tensor of any type, alone or against a base: they come back. And damaged: an error or the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::tensor::Dtype;
use nzip::{Bases, Codec, CodecChoice, DecodeOptions, Options};

/// A safetensors file with this tensor.
fn file(dtype: Dtype, shape: &[u64], data: &[u8]) -> Vec<u8> {
    let len = data.len();
    let json = format!(r#"{{"data":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{len}]}}}}"#);
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), data].concat()
}

fuzz_target!(|input: &[u8]| {
    let [id, level, row, at, flip, raw @ ..] = input else { return };
    let Some(dtype) = Dtype::from_id(*id) else { return };
    let (len, bytes) = dtype.group();
    let row = u64::from(*row) + 1;
    let rows = raw.len() as u64 / bytes / row;
    let shape = [rows, row * len];
    let mut bases = Bases::new();
    if level & 128 != 0 {
        // The bytes against themselves, moved by one.
        let data = &raw[..(rows * row * bytes) as usize];
        let moved: Vec<u8> = data.iter().skip(1).chain(data.first()).copied().collect();
        let _ = bases.add(file(dtype, &shape, &moved));
    }
    let options = Options::new().level((level & 127) % 9 + 1).threads(1).bases(bases.clone());
    let options = options.codec(CodecChoice::Only(Codec::Tensor));
    let Ok(packed) = nzip::compress_with(raw, options.tensor(dtype, &shape, 0)) else { return };
    let decoding = || DecodeOptions::new().threads(1).bases(bases.clone()).memory(64 << 20);
    assert!(nzip::decompress_with(&packed, decoding()).unwrap() == raw);
    let mut bad = packed;
    let place = usize::from(*at) * bad.len() / 256;
    bad[place] ^= flip;
    // Check values always match here: damage may give other bytes, but never a panic.
    let _ = nzip::decompress_with(&bad, decoding());
});
