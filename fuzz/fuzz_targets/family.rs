//! Families of which the member sections are changed: whatever they say, each member is read or refused, in bounded memory,
//! and two ways to read agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::family::FamilyWriter;
use nzip::{Archive, DecodeOptions, Options};
use std::io::Cursor;
use std::sync::OnceLock;

/// A safetensors file of 600 numbers.
fn file(step: u32) -> Vec<u8> {
    let json = r#"{"w":{"dtype":"F32","shape":[20,30],"data_offsets":[0,2400]}}"#;
    let number = |i: u32| ((i.wrapping_mul(2_654_435_761) >> 9) as f32 * 1e-6).to_bits() + step * (i % 7);
    let data = (0..600).flat_map(|i| number(i).to_le_bytes());
    (json.len() as u64).to_le_bytes().into_iter().chain(json.bytes()).chain(data).collect()
}

fn family() -> &'static [u8] {
    static FAMILY: OnceLock<Vec<u8>> = OnceLock::new();
    FAMILY.get_or_init(|| {
        let options = Options::new().level(2).threads(1);
        let mut family = FamilyWriter::new(Vec::new(), options).unwrap().chained(true);
        for (step, name) in ["a", "b", "c"].into_iter().enumerate() {
            family.add_bytes(name, file(step as u32)).unwrap();
        }
        family.finish().unwrap()
    })
}

/// Puts bytes in place of others inside the body of a member section, and makes its check value right.
fn change(bytes: &mut [u8], number: usize, at: usize, value: u8) {
    let Ok(archive) = Archive::new(Cursor::new(&*bytes)) else { return };
    let streams = archive.streams();
    let Some(stream) = streams.get(number % streams.len().max(1)) else { return };
    // The header of a stream has 14 bytes; the length of these sections takes one or two.
    let start = stream.offset as usize + 14;
    let (mut len, mut head) = (usize::from(bytes[start + 1] & 127), 2);
    if bytes[start + 1] > 127 {
        (len, head) = (len | usize::from(bytes[start + 2]) << 7, 3);
    }
    let end = start + head + len;
    bytes[start + head + at % len] = value;
    let check = twox_hash::XxHash3_64::oneshot(&bytes[start..end]) as u32;
    bytes[end..end + 4].copy_from_slice(&check.to_le_bytes());
}

fuzz_target!(|changes: Vec<(u8, u16, u8)>| {
    let mut bytes = family().to_vec();
    for (number, at, value) in changes.into_iter().take(16) {
        change(&mut bytes, number.into(), at.into(), value);
    }
    let options = || DecodeOptions::new().threads(1).memory(16 << 20);
    let whole = nzip::decompress_with(&bytes, options());
    let Ok(mut archive) = Archive::with_options(Cursor::new(&bytes), options()) else {
        assert!(whole.is_err());
        return;
    };
    for member in archive.members() {
        assert!(!member.name.split('/').any(|part| matches!(part, "" | "." | "..")));
        let (start, end) = (member.raw_start, member.raw_start + member.raw_len);
        if let (Ok(part), Ok(whole)) = (archive.read_range(start..end), &whole) {
            assert!(part == whole[start as usize..end as usize]);
        }
    }
    assert_eq!(archive.read_range(..).is_ok(), whole.is_ok());
    let _ = archive.verify();
});
