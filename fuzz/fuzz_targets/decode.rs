//! Full decoding of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::{DecodeOptions, Decoder};
use std::io;

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions::new().threads(1).memory(64 << 20).verify_hash(true);
    if let Ok(mut decoder) = Decoder::with_options(bytes, options) {
        let _ = io::copy(&mut decoder, &mut io::sink());
    }
});
