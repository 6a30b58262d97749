//! The `light` codec from outside: round trips, hostile payloads, determinism.

use super::mix::material;
use nzip::internal::codec::light::{BlockDecoder, encode_block};
use nzip::{CodecChoice, ErrorKind, Options};
use proptest::prelude::*;

const CAP: u64 = 1 << 30;

fn decode(payload: &[u8], raw_len: usize, step: usize) -> nzip::Result<Vec<u8>> {
    let mut decoder = BlockDecoder::new(payload, raw_len, CAP)?;
    // The old content of the buffer must not change the result.
    let mut raw = vec![0xA5; raw_len];
    for piece in raw.chunks_mut(step) {
        decoder.decode_into(payload, piece)?;
    }
    Ok(raw)
}

#[test]
fn every_kind_round_trips_in_pieces() {
    // Below 8 KiB and above: with a code that ships, and with one of the block's own.
    for len in [3000, 20_000] {
        let raw = material(len);
        for kind in [(0, 0), (1, 0), (2, 13), (3, 0), (4, 128), (5, 64), (7, 96), (8, 64)] {
            let payload = encode_block(&raw, Some(kind)).unwrap();
            for step in [1, 777, 20_000] {
                assert!(decode(&payload, raw.len(), step).unwrap() == raw, "kind {kind:?}, step {step}");
            }
        }
    }
}

#[test]
fn output_is_the_same_everywhere() {
    let payload = encode_block(&material(30_000), None).unwrap();
    assert_eq!((payload.len(), twox_hash::XxHash3_64::oneshot(&payload)), (4075, 2_976_228_837_827_138_079));
}

#[test]
fn files_of_several_blocks_round_trip_in_threads() {
    let raw = b"several blocks, of which each learns anew; ".repeat(8000);
    let options = Options::new().codec(CodecChoice::Only(nzip::Codec::Light)).block_size(100_000);
    let one = nzip::compress_with(&raw, options.clone().threads(1)).unwrap();
    assert_eq!(one, nzip::compress_with(&raw, options.threads(2)).unwrap());
    assert!(nzip::decompress(&one).unwrap() == raw);
    assert!(one.len() < 8000, "{}", one.len());
}

#[test]
fn short_payloads_are_truncated() {
    let raw = material(12_000);
    let payload = encode_block(&raw, None).unwrap();
    for len in [0, 6, 7, 20, payload.len() / 2, payload.len() - 8] {
        let error = decode(&payload[..len], raw.len(), 500).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{len}: {error}");
    }
}

#[test]
fn declared_memory_and_lengths_are_checked_first() {
    let payload = encode_block(&material(300), None).unwrap();
    let error = BlockDecoder::new(&payload, 300, 1 << 20).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    let error = BlockDecoder::new(&payload, usize::MAX / 4, u64::MAX).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let mut long = payload.clone();
    long.extend([0; 5]);
    assert_eq!(decode(&long, 300, 300).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn the_surest_bytes_stay_within_the_bound() {
    let raw = vec![0; 3 << 20];
    let payload = encode_block(&raw, Some((1, 0))).unwrap();
    assert!(decode(&payload, raw.len(), 1 << 20).unwrap() == raw);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn round_trips(raw in prop::collection::vec(any::<u8>(), 1..600), repeat in 1usize..4) {
        let raw = raw.repeat(repeat);
        let payload = encode_block(&raw, None).unwrap();
        prop_assert_eq!(decode(&payload, raw.len(), 100).unwrap(), raw);
    }

    #[test]
    fn hostile_payloads_end(mut payload in prop::collection::vec(any::<u8>(), 0..300), raw_len in 0usize..3000) {
        if let Some(head) = payload.first_chunk_mut::<7>() {
            *head = [1, 16 + head[1] % 4, 0, head[3] % 9, head[4], head[5] & 15, head[6] % 3];
        }
        // Any result is right as long as there is no panic and no more than the declared memory is taken.
        let _ = decode(&payload, raw_len, 512);
    }
}
