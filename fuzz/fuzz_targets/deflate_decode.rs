//! Deflate streams: records and contents of any bytes; payloads of any bytes; and content of any bytes with streams in it,
//! which comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::deflate;
use nzip::{Codec, CodecChoice, DecodeOptions, Options};

fuzz_target!(|input: (u16, &[u8], &[u8], &[u8])| {
    let (len, record, rest, inside) = input;
    let contents = [rest.to_vec(), inside.to_vec()];
    for len in [usize::from(len), rest.len() + inside.len()] {
        if let Ok(raw) = deflate::restore(record, &contents, 4, 1 << 16, len) {
            assert_eq!(raw.len(), len);
        }
    }
    // The bytes themselves, and as a gzip stream, a zlib stream and a PNG file's chunk.
    let options = || Options::new().level(1).threads(1).codec(CodecChoice::Only(Codec::Deflate));
    let mut all = rest.to_vec();
    all.extend_from_slice(b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    all.extend_from_slice(record);
    all.extend_from_slice(b"\x78\x9c");
    all.extend_from_slice(inside);
    let packed = nzip::compress_with(&all, options()).expect("there is memory");
    let back = nzip::decompress_with(&packed, DecodeOptions::new().threads(1)).expect("an encoder wrote this");
    assert!(back == all);
});
