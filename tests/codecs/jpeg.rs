//! The codec `jpeg`: pictures come back bit for bit, whole, cut, damaged, and inside of other files.

use nzip::internal::SplitMix;
use nzip::internal::codec::jpeg;
use nzip::{Archive, Codec, CodecChoice, DecodeOptions, ErrorKind, Options};
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

fn sample(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpeg").join(name)).unwrap()
}

/// The name, and the pictures that are undone in the block.
const SAMPLES: [(&str, u64); 7] = [
    ("cmyk.jpg", 1),
    ("cut-progressive.jpg", 1),
    ("cut.jpg", 1),
    ("pictures.zip", 1),
    ("progressive.jpg", 1),
    ("restart.jpg", 1),
    ("thumbnail.jpg", 2),
];

fn only(codec: Codec) -> Options {
    Options::new().level(1).threads(1).codec(CodecChoice::Only(codec))
}

fn restored(packed: &[u8]) -> nzip::Result<Vec<u8>> {
    nzip::decompress_with(packed, DecodeOptions::new().threads(1))
}

/// The codec of the first block, and the pictures that are undone in it.
fn pictures(packed: &[u8]) -> (Option<Codec>, u64) {
    let block = Archive::new(Cursor::new(packed)).unwrap().block(0).unwrap().unwrap();
    (block.codec, block.pictures)
}

#[test]
fn pictures_come_back() {
    for (name, expected) in SAMPLES {
        let raw = sample(name);
        let packed = nzip::compress_with(&raw, only(Codec::Jpeg)).unwrap();
        assert_eq!(pictures(&packed), (Some(Codec::Jpeg), expected), "{name}");
        assert!(restored(&packed).unwrap() == raw, "{name}");
        let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
        let range = 100..raw.len() - 70;
        assert!(archive.read_range(range.start as u64..range.end as u64).unwrap() == raw[range], "{name}");
    }
}

/// The default level undoes pictures: several in a row, whole and in a ZIP archive, in another order.
#[test]
fn the_default_undoes_pictures() {
    let mut raw = Vec::new();
    for name in ["restart.jpg", "pictures.zip", "progressive.jpg", "thumbnail.jpg", "cmyk.jpg", "cut.jpg"] {
        raw.extend(sample(name));
    }
    let packed = nzip::compress_with(&raw, Options::new()).unwrap();
    assert_eq!(pictures(&packed), (Some(Codec::Jpeg), 7));
    assert!(restored(&packed).unwrap() == raw);
    let left = nzip::compress_with(&raw, Options::new().undo(false)).unwrap();
    assert_ne!(pictures(&left).0, Some(Codec::Jpeg));
    assert!(packed.len() * 8 < left.len() * 7, "{} of {}", packed.len(), left.len());
    // In deflate blocks they are undone too.
    let zip = sample("pictures.zip");
    let packed = nzip::compress_with(&zip, only(Codec::Deflate).level(6)).unwrap();
    assert!(restored(&packed).unwrap() == zip);
    assert_eq!(Archive::new(Cursor::new(&packed)).unwrap().block(0).unwrap().unwrap().undone.0, 2);
}

#[test]
fn damaged_pictures_are_content_like_any_other() {
    let mut rng = SplitMix(7);
    for (name, _) in SAMPLES {
        let raw = sample(name);
        let mut variants: Vec<Vec<u8>> = (1..raw.len()).step_by(61).map(|n| raw[..n].to_vec()).collect();
        variants.extend((0..50).map(|_| {
            let mut other = raw.clone();
            let at = rng.below(raw.len() as u64) as usize;
            other[at] ^= 1 << rng.below(8);
            other
        }));
        let half = raw.len() / 2;
        variants.push([&raw[..], b"and more"].concat());
        variants.push([&raw[..], &raw[..]].concat());
        variants.push([&raw[..half], &[0xFF, 0xD3, 0, 7], &raw[half..]].concat());
        for other in &variants {
            let packed = nzip::compress_with(other, only(Codec::Jpeg)).unwrap();
            assert!(restored(&packed).unwrap() == *other, "{name}");
        }
    }
}

/// Every third byte of a file changed, and the file cut everywhere: an error, or the right bytes.
#[test]
fn damaged_blocks_are_errors() {
    for name in ["thumbnail.jpg", "progressive.jpg"] {
        let raw = sample(name);
        let packed = nzip::compress_with(&raw, only(Codec::Jpeg)).unwrap();
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

/// Payloads of any bytes end, with an error or not, and never with another length.
#[test]
fn records_of_noise_are_refused() {
    let mut rng = SplitMix(11);
    let content = sample("restart.jpg")[..640].to_vec();
    for round in 0..500 {
        let mut payload: Vec<u8> = (0..rng.below(60)).map(|_| rng.below(256) as u8).collect();
        // Mostly a record that fits the content: the picture's head, one scan.
        if round % 4 != 0 {
            let head = 625 + rng.below(8) as usize;
            let head = [head as u8 & 127 | 128, (head >> 7) as u8];
            let start = [7, head[0], head[1], head[0], head[1], 1, rng.below(3) as u8, 0];
            payload.splice(0..0, start);
        }
        let result = jpeg::rebuild(&payload, &content, 1, 1 << 16, 1500);
        assert!(result.is_err() || result.is_ok_and(|raw| raw.len() == 1500), "round {round}");
    }
}

/// A picture that claims to be huge is left alone, and one that decoding has no memory for is refused.
#[test]
fn bombs_do_not_go_off() {
    let raw = sample("restart.jpg");
    let frame = raw.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let mut huge = raw.clone();
    huge[frame + 5..frame + 9].fill(0xFF);
    let packed = nzip::compress_with(&huge, only(Codec::Jpeg)).unwrap();
    assert_ne!(pictures(&packed).0, Some(Codec::Jpeg));
    assert!(restored(&packed).unwrap() == huge);
    let packed = nzip::compress_with(&raw, only(Codec::Jpeg)).unwrap();
    let little = DecodeOptions::new().threads(1).memory(1 << 19);
    assert_eq!(nzip::decompress_with(&packed, little).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

/// A gzip file whose stream has no matches.
fn literals(text: &[u8]) -> Vec<u8> {
    let mut bits = vec![true, true, false];
    let code = |byte: u8| (0..8).rev().map(move |i| (0x30 + byte) >> i & 1 != 0);
    text.iter().for_each(|byte| bits.extend(code(*byte)));
    bits.extend([false; 7]);
    let octet = |c: &[bool]| c.iter().rev().fold(0u8, |a, b| a << 1 | u8::from(*b));
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    bytes.extend(bits.chunks(8).map(octet));
    bytes
}

/// A block ends before a picture or a deflate stream that its border would cut.
#[test]
fn borders_do_not_cut() {
    const BLOCK: usize = 64 << 10;
    let mut rng = SplitMix(3);
    let mut text = |n: usize| -> Vec<u8> { (0..n).map(|_| b'0' + rng.below(75) as u8).collect() };
    let (picture, stream) = (sample("restart.jpg"), literals(&text(9000)));
    let (first, second) = (BLOCK - 1000, BLOCK - picture.len() - 6000);
    let raw = [text(first), picture, text(second), stream, text(100)].concat();
    let packed = nzip::compress_with(&raw, Options::new().threads(1).block_size(BLOCK)).unwrap();
    assert!(restored(&packed).unwrap() == raw);
    let mut archive = Archive::new(Cursor::new(&packed)).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = archive.block(blocks.len()).unwrap() {
        blocks.push((block.raw_len as usize, block.pictures, block.undone.0));
    }
    // The gzip header is not part of the stream.
    assert_eq!(blocks[0], (first, 0, 0));
    assert_eq!((blocks[1].0, blocks[1].1), (BLOCK - 6000, 1));
    assert_eq!(blocks[2].2, 1);
}
