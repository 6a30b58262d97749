//! Any bytes as a tensor of any type: they come back. And damaged: an error or the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::tensor::Dtype;
use nzip::{Codec, CodecChoice, DecodeOptions, Options};

fuzz_target!(|input: &[u8]| {
    let [id, level, row, at, flip, raw @ ..] = input else { return };
    let Some(dtype) = Dtype::from_id(*id) else { return };
    let (len, bytes) = dtype.group();
    let row = u64::from(*row) + 1;
    let rows = raw.len() as u64 / bytes / row;
    let options = Options::new().level(level % 9 + 1).threads(1).codec(CodecChoice::Only(Codec::Tensor));
    let Ok(packed) = nzip::compress_with(raw, options.tensor(dtype, &[rows, row * len], 0)) else { return };
    assert!(nzip::decompress_with(&packed, DecodeOptions::new().threads(1)).unwrap() == raw);
    let mut bad = packed;
    let place = usize::from(*at) * bad.len() / 256;
    bad[place] ^= flip;
    let options = DecodeOptions::new().threads(1).memory(64 << 20);
    if let Ok(out) = nzip::decompress_with(&bad, options) {
        assert!(out == raw);
    }
});
