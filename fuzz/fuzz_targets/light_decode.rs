//! `light` payloads of any bytes: the same in pieces as at once, and every block that was coded here decodes to what
//! it was. That goes for the branch filter too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip::internal::codec::light::{BlockDecoder, encode_block};

const CAP: u64 = 128 << 20;

fn decode(payload: &[u8], len: usize, step: usize) -> nzip::Result<Vec<u8>> {
    let mut decoder = BlockDecoder::new(payload, len, CAP)?;
    let mut raw = vec![0xA5; len];
    for piece in raw.chunks_mut(step) {
        decoder.decode_into(payload, piece)?;
    }
    Ok(raw)
}

fuzz_target!(|input: (u8, u16, u8, u8, &[u8])| {
    let (kind, parameter, step, len, bytes) = input;
    let (step, len) = (usize::from(step) + 1, usize::from(len) + 1);
    // As a payload, whole and behind a header that is right but for the kind.
    let mut behind = vec![1, 16, 0, kind % 9];
    behind.extend(parameter.to_le_bytes());
    behind.push(kind / 9 % 3);
    behind.extend_from_slice(bytes);
    for payload in [bytes, &behind] {
        let (once, pieces) = (decode(payload, len, len), decode(payload, len, step));
        assert_eq!(once.is_ok(), pieces.is_ok());
        assert!(once.ok() == pieces.ok());
    }
    // As raw bytes.
    if bytes.is_empty() {
        return;
    }
    if let Ok(payload) = encode_block(bytes, Some((kind % 9, parameter))) {
        assert!(decode(&payload, bytes.len(), step).unwrap() == bytes);
    }
});
