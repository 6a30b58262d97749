//! The `mix` codec from outside: round trips, hostile payloads, determinism.

use nzip::ErrorKind;
use nzip::internal::SplitMix;
use nzip::internal::codec::mix::{BlockDecoder, Guide, MixOptions, encode_block};
use proptest::prelude::*;

const CAP: u64 = 1 << 30;

fn small() -> MixOptions {
    MixOptions { table_bits: 22, groups: 1, primed: 0, flags: false, forced: None }
}

fn decode(payload: &[u8], raw_len: usize, step: usize) -> nzip::Result<Vec<u8>> {
    let mut decoder = BlockDecoder::new(payload, raw_len, CAP, None)?;
    // The old content of the buffer must not change the result.
    let mut raw = vec![0xA5; raw_len];
    for piece in raw.chunks_mut(step) {
        decoder.decode_into(payload, piece)?;
    }
    Ok(raw)
}

/// Text, records and code-like bytes from a fixed recurrence, which a pinned payload depends on.
pub fn material(len: usize) -> Vec<u8> {
    let mut x = 1u32;
    (0..len)
        .map(|i| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match i / 997 % 3 {
                0 => b"the quick brown fox, "[i % 21],
                1 => (i % 13 * 17) as u8 ^ u8::from(x >> 28 == 0),
                _ => [0xE8, 0x10, 0x0F, 0x00, 0x85, 0xFF][(x >> 29) as usize % 6],
            }
        })
        .collect()
}

#[test]
fn every_kind_and_level_round_trips_in_pieces() {
    let raw = material(20_000);
    for (kind, parameter) in [(0, 0), (1, 0), (2, 13), (3, 0), (4, 128), (5, 64), (6, 4), (7, 96), (8, 64)] {
        let options = MixOptions { forced: Some((kind, parameter)), ..small() };
        let payload = encode_block(&raw, &options, Guide::None).unwrap().0;
        for step in [1, 777, 20_000] {
            assert!(decode(&payload, raw.len(), step).unwrap() == raw, "kind {kind}, step {step}");
        }
    }
    for level in 1..=5 {
        let payload = encode_block(&raw, &MixOptions::level(level), Guide::None).unwrap().0;
        assert!(decode(&payload, raw.len(), 4096).unwrap() == raw, "level {level}");
    }
}

#[test]
fn flagged_blocks_round_trip_in_pieces() {
    let mut raw = material(3000).repeat(4);
    (0..raw.len()).step_by(499).for_each(|i| raw[i] ^= 1);
    for (kind, parameter) in [(0, 0), (1, 0), (2, 13), (3, 0), (4, 128), (7, 96)] {
        let options = MixOptions { forced: Some((kind, parameter)), ..small() };
        let plain = encode_block(&raw, &options, Guide::None).unwrap().0;
        let flagged = encode_block(&raw, &MixOptions { flags: true, ..options }, Guide::None).unwrap().0;
        assert_eq!((plain[0], flagged[0]), if kind < 4 { (1, 2) } else { (3, 3) });
        assert!(flagged.len() < plain.len() + plain.len() / 8, "{} {}", flagged.len(), plain.len());
        for step in [1, 777, raw.len()] {
            assert!(decode(&flagged, raw.len(), step).unwrap() == raw, "kind {kind}, step {step}");
        }
        for at in [8, 9] {
            let mut bad = flagged.clone();
            bad[at] = 0;
            let error = BlockDecoder::new(&bad, raw.len(), CAP, None).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
        }
        assert_eq!(decode(&flagged[..9], raw.len(), 500).unwrap_err().kind(), ErrorKind::Truncated);
    }
}

#[test]
fn only_samples_are_expected() {
    let raw = material(600);
    for (kind, parameter) in [(0, 0), (1, 0), (2, 13), (3, 0), (5, 64), (6, 4)] {
        let options = MixOptions { forced: Some((5, 64)), ..small() };
        let mut payload = encode_block(&raw, &options, Guide::None).unwrap().0;
        assert_eq!(payload[0], 3);
        payload[4..7].copy_from_slice(&[kind, parameter, 0]);
        let error = BlockDecoder::new(&payload, raw.len(), CAP, None).err().map(|e| e.kind());
        assert_eq!(error, (kind < 4).then_some(ErrorKind::Corrupt), "kind {kind}");
    }
}

#[test]
fn sound_is_recognised() {
    // A damped swing that noise keeps going, and the same in both channels.
    let mut rng = SplitMix(23);
    let mut state = [0i64; 2];
    let mono: Vec<i16> = (0..40_000)
        .map(|_| {
            let push = rng.below(401) as i64 - 200;
            state = [1850 * state[0] / 1000 - 970 * state[1] / 1000 + push, state[0]];
            state[0].clamp(-32768, 32767) as i16
        })
        .collect();
    let stereo: Vec<i16> = mono.iter().flat_map(|s| [*s, s / 2]).collect();
    for (samples, channels) in [(mono, 1), (stereo, 2)] {
        let raw: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let payload = encode_block(&raw, &MixOptions::level(2), Guide::None).unwrap().0;
        assert_eq!(payload[4..7], [6, 2 * channels, 0]);
        assert!(decode(&payload, raw.len(), 4096).unwrap() == raw);
    }
}

#[test]
fn output_is_the_same_everywhere() {
    let payload = encode_block(&material(30_000), &small(), Guide::None).unwrap().0;
    assert_eq!((payload.len(), twox_hash::XxHash3_64::oneshot(&payload)), (3792, 12_722_708_138_455_811_791));
}

#[test]
fn short_payloads_are_truncated() {
    let raw = material(3000);
    let payload = encode_block(&raw, &small(), Guide::None).unwrap().0;
    for len in [0, 7, 8, 9, payload.len() / 2, payload.len() - 8] {
        let error = decode(&payload[..len], raw.len(), 500).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{len}: {error}");
    }
}

#[test]
fn declared_memory_and_lengths_are_checked_first() {
    let payload = encode_block(&material(300), &small(), Guide::None).unwrap().0;
    let error = BlockDecoder::new(&payload, 300, 1 << 20, None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    let error = BlockDecoder::new(&payload, usize::MAX / 4, u64::MAX, None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    for (at, value, kind) in [
        (0, 99, ErrorKind::NewerVersion),
        (1, 40, ErrorKind::Corrupt),
        (2, 25, ErrorKind::Corrupt),
        (4, 200, ErrorKind::NewerVersion),
    ] {
        let mut bad = payload.clone();
        bad[at] = value;
        assert_eq!(BlockDecoder::new(&bad, 300, CAP, None).err().unwrap().kind(), kind, "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn round_trips(raw in prop::collection::vec(any::<u8>(), 0..600), repeat in 1usize..4) {
        let raw = raw.repeat(repeat);
        let payload = encode_block(&raw, &small(), Guide::None).unwrap().0;
        prop_assert_eq!(decode(&payload, raw.len(), 100).unwrap(), raw);
    }

    #[test]
    fn hostile_payloads_end(mut payload in prop::collection::vec(any::<u8>(), 0..300), raw_len in 0usize..3000) {
        if let Some(head) = payload.first_chunk_mut::<8>() {
            *head = [1 + head[0] % 2, 16 + head[1] % 7, 1 + head[2] % 3, 0, head[4] % 9, head[5], head[6] & 15, 0];
        }
        // Any result is right as long as there is no panic and no more than the declared memory is taken.
        let _ = decode(&payload, raw_len, 512);
    }
}
