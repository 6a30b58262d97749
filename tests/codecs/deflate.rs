//! The codec `deflate`: packed files come back bit for bit, and their insides are coded.

use nzip::internal::SplitMix;
use nzip::internal::codec::deflate;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, ErrorKind, Options};
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/packed");
    let read = |e: std::io::Result<fs::DirEntry>| {
        let e = e.unwrap();
        (e.file_name().to_str().unwrap().to_string(), fs::read(e.path()).unwrap())
    };
    let mut samples: Vec<_> = fs::read_dir(folder).unwrap().map(read).collect();
    samples.sort();
    samples
}

fn sample(name: &str) -> Vec<u8> {
    samples().into_iter().find(|s| s.0 == name).unwrap().1
}

/// Insides coded by `zstd`, which is quick.
fn quick() -> Options {
    Options::new().level(1).threads(1).codec(CodecChoice::Only(Codec::Deflate))
}

fn restored(packed: &[u8]) -> nzip::Result<Vec<u8>> {
    nzip::decompress_with(packed, DecodeOptions::new().threads(1))
}

/// The codec of the first block, and streams and bytes that are undone in it.
fn undone(packed: &[u8]) -> (Option<Codec>, (u64, u64)) {
    let block = Archive::new(Cursor::new(packed)).unwrap().block(0).unwrap().unwrap();
    (block.codec, block.undone)
}

/// The name, the streams that are undone, and the bytes that an automatic choice may leave.
const EXPECTED: [(&str, u64, usize); 7] = [
    ("arrays.npz", 3, 22_600),
    ("interlaced.png", 1, 2800),
    ("nested.zip", 3, 3400),
    ("paths.gz", 1, 1130),
    ("picture.png", 1, 2200),
    ("streams.bin", 7, 1100),
    ("text.gz", 1, 1030),
];

#[test]
fn packed_files_come_back() {
    let samples = samples();
    assert_eq!(samples.len(), EXPECTED.len());
    for ((name, raw), (expected, streams, most)) in samples.into_iter().zip(EXPECTED) {
        assert_eq!(name, expected);
        let packed = nzip::compress_with(&raw, quick()).unwrap();
        let (codec, (found, _)) = undone(&packed);
        assert_eq!((codec, found), (Some(Codec::Deflate), streams), "{name}");
        assert!(restored(&packed).unwrap() == raw, "{name}");
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        let range = 100..raw.len() - 70;
        assert!(archive.read_range(range.start as u64..range.end as u64).unwrap() == raw[range], "{name}");
        // The default undoes it too, and is smaller for it.
        let packed = nzip::compress_with(&raw, Options::new()).unwrap();
        assert_eq!(undone(&packed).0, Some(Codec::Deflate), "{name}");
        assert!(packed.len() <= most, "{name}: {} bytes", packed.len());
        assert!(restored(&packed).unwrap() == raw, "{name}");
        let left = nzip::compress_with(&raw, Options::new().undo(false)).unwrap();
        assert_ne!(undone(&left).0, Some(Codec::Deflate), "{name}");
        assert!(left.len() > packed.len() && restored(&left).unwrap() == raw, "{name}");
    }
}

/// Packed content that is cut short, damaged or followed by other bytes is no error: it is undone as far as possible, or
/// coded as it is.
#[test]
fn damaged_streams_are_content_like_any_other() {
    let mut rng = SplitMix(7);
    for (name, raw) in samples() {
        let mut variants: Vec<Vec<u8>> = (0..raw.len()).step_by(97).map(|n| raw[..n].to_vec()).collect();
        variants.extend((0..40).map(|_| {
            let mut other = raw.clone();
            let at = rng.below(raw.len() as u64) as usize;
            other[at] ^= 1 << rng.below(8);
            other
        }));
        variants.push([&raw[..], b"and more"].concat());
        variants.push([&raw[..], &raw[..]].concat());
        for other in variants.iter().filter(|v| !v.is_empty()) {
            let packed = nzip::compress_with(other, quick()).unwrap();
            assert!(restored(&packed).unwrap() == *other, "{name}");
        }
    }
}

#[test]
fn a_wrong_check_value_is_kept() {
    let mut raw = sample("text.gz");
    let at = raw.len() - 6;
    raw[at] ^= 1;
    let packed = nzip::compress_with(&raw, quick()).unwrap();
    assert_eq!(undone(&packed).1.0, 1);
    assert!(restored(&packed).unwrap() == raw);
    // With a wrong CRC, a PNG chunk is bytes.
    let mut raw = sample("picture.png");
    raw[700] ^= 1;
    let packed = nzip::compress_with(&raw, quick()).unwrap();
    assert!(restored(&packed).unwrap() == raw);
}

/// Every byte of a file changed, and the file cut everywhere: an error, or the right bytes.
#[test]
fn damaged_blocks_are_errors() {
    for name in ["text.gz", "picture.png", "paths.gz"] {
        let raw = sample(name);
        let packed = nzip::compress_with(&raw, quick()).unwrap();
        for at in (0..packed.len()).step_by(3) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            if let Ok(back) = restored(&damaged) {
                assert!(back == raw, "{name}, byte {at}");
            }
            let kind = restored(&packed[..at]).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Truncated, "{name} cut at {at}");
        }
    }
}

/// Restoring from a record of any bytes ends, with or without an error, and never gives more bytes than were asked for.
#[test]
fn records_of_noise_are_refused() {
    let mut rng = SplitMix(11);
    let text = sample("streams.bin");
    for round in 0..3000 {
        let record: Vec<u8> = (0..rng.below(60)).map(|_| rng.below(256) as u8).collect();
        let contents = [text[..rng.below(50) as usize].to_vec(), text[..rng.below(2000) as usize].to_vec()];
        let result = deflate::restore(&record, &contents, 1 + rng.below(4), 4000, 500);
        assert!(result.is_err() || result.is_ok_and(|raw| raw.len() == 500), "round {round}");
    }
}

/// A stream that unpacks to far more than the memory allows is left alone, and one that decoding has no memory for is refused.
#[test]
fn bombs_do_not_go_off() {
    // A literal zero and a match of 258 bytes at distance 1, again and again, in the fixed code: 13 bits for 258 bytes.
    let mut bits: Vec<bool> = vec![true, true, false];
    let literal = [false, false, true, true, false, false, false, false];
    let long = [true, true, false, false, false, true, false, true, false, false, false, false, false];
    bits.extend(literal);
    let bomb = |count: usize| {
        let mut bits = bits.clone();
        (0..count).for_each(|_| bits.extend(long));
        bits.extend([false; 7]);
        let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
        let octet = |c: &[bool]| c.iter().rev().fold(0u8, |a, b| a << 1 | u8::from(*b));
        bytes.extend(bits.chunks(8).map(octet));
        bytes
    };
    let (small, large) = (bomb(20_000), bomb(300_000));
    let packed = nzip::compress_with(&small, quick()).unwrap();
    assert_eq!(undone(&packed), (Some(Codec::Deflate), (1, 1 + 258 * 20_000)));
    assert!(restored(&packed).unwrap() == small);
    let little = DecodeOptions::new().threads(1).memory(16 << 20);
    assert_eq!(nzip::decompress_with(&packed, little).unwrap_err().kind(), ErrorKind::LimitExceeded);
    let packed = nzip::compress_with(&large, quick()).unwrap();
    assert_ne!(undone(&packed).0, Some(Codec::Deflate));
    assert!(restored(&packed).unwrap() == large);
}
