//! Compressed bytes come back as they were, for any bytes, codec and block size. With the pool of all calls: one of its own would end
//! after its call does, which a leak detector takes amiss.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::{Codec, CodecChoice, DecodeOptions, Options};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (codec, block, raw) = input;
    let codec = match codec % 3 {
        0 => CodecChoice::Auto,
        1 => CodecChoice::Only(Codec::Store),
        _ => CodecChoice::Only(Codec::Zstd),
    };
    let options = Options::new().level(1).codec(codec).block_size(4096 + usize::from(block));
    let packed = nzip::compress_with(raw, options).expect("compresses");
    let options = DecodeOptions::new().verify_hash(true);
    assert!(nzip::decompress_with(&packed, options).expect("decodes") == raw);
});
