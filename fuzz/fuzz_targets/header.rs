//! Headers, indexes and trailers of any bytes; nothing is decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::{Archive, DecodeOptions};
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions::new().threads(1).memory(64 << 20);
    if let Ok(mut archive) = Archive::with_options(Cursor::new(bytes), options) {
        for i in 0..archive.block_count() {
            let _ = archive.block(i);
        }
        assert!(archive.streams().iter().map(|s| s.stored_len).sum::<u64>() == bytes.len() as u64);
    }
});
