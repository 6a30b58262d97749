//! A range of any archive is the same part of the whole, where both can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::{Archive, DecodeOptions};
use std::io::Cursor;

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (start, len, bytes) = input;
    let options = || DecodeOptions::new().threads(1).memory(16 << 20);
    let Ok(mut archive) = Archive::with_options(Cursor::new(bytes), options()) else { return };
    let start = u64::from(start).min(archive.len());
    let end = (start + u64::from(len)).min(archive.len());
    if let Ok(ranges) = archive.ranges_with("needle") {
        assert!(ranges.iter().all(|r| r.start < r.end && r.end <= archive.len()));
    }
    let part = archive.read_range(start..end);
    if archive.len() < 1 << 22 {
        if let (Ok(part), Ok(whole)) = (part, nzip::decompress_with(bytes, options())) {
            assert!(part == whole[start as usize..end as usize]);
        }
    }
});
