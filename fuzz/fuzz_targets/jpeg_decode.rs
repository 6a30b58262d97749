//! JPEG pictures: records, contents and coefficients of any bytes; and content of any bytes with pictures in it, which
//! comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::jpeg;
use nzip::{Codec, CodecChoice, DecodeOptions, Options};

/// Headers of a small picture, up to the scan: sequential and progressive.
const HEADS: [&[u8]; 2] = [
    include_bytes!("../../tests/data/jpeg/restart.jpg").first_chunk::<629>().expect("it is longer"),
    include_bytes!("../../tests/data/jpeg/cut-progressive.jpg").first_chunk::<245>().expect("it is longer"),
];

fuzz_target!(|input: (u16, u8, &[u8], &[u8])| {
    let (len, which, payload, bytes) = input;
    if let Ok(raw) = jpeg::rebuild(payload, bytes, 2, 1 << 12, usize::from(len)) {
        assert_eq!(raw.len(), usize::from(len));
    }
    let head = HEADS[usize::from(which & 1)];
    let all = [head, bytes].concat();
    let record = [&[3, head.len() as u8 | 128, (head.len() >> 7) as u8][..], payload].concat();
    let _ = jpeg::rebuild(&record, &all, 1, 1 << 12, usize::from(len));
    let options = Options::new().level(1).threads(1).codec(CodecChoice::Only(Codec::Jpeg));
    for content in [&all, &[head, payload, bytes].concat()] {
        let packed = nzip::compress_with(content, options.clone()).expect("there is memory");
        let back =
            nzip::decompress_with(&packed, DecodeOptions::new().threads(1)).expect("an encoder wrote this");
        assert!(back == *content);
    }
});
