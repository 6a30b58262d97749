//! Round trips, whatever pieces bytes are written and read in.

use nzip::{Archive, Codec, CodecChoice, DecodeOptions, Decoder, Encoder, Options};
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};

/// Bytes with runs, repeats and noise.
fn raw() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (any::<u8>(), 0..5000usize).prop_map(|(b, n)| vec![b; n]),
        prop::collection::vec(any::<u8>(), 0..3000),
        (prop::collection::vec(any::<u8>(), 1..40), 1..200usize).prop_map(|(p, n)| p.repeat(n)),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|p| p.concat())
}

fn codec() -> impl Strategy<Value = CodecChoice> {
    prop_oneof![
        Just(CodecChoice::Auto),
        Just(CodecChoice::Only(Codec::Store)),
        Just(CodecChoice::Only(Codec::Zstd)),
    ]
}

/// Reads `piece` bytes at a time, and from a source that gives at most `step`.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(self.1);
        self.0.read(&mut out[..n])
    }
}

fn options(codec: CodecChoice, block: usize) -> Options {
    Options::new().level(2).codec(codec).block_size(block).threads(2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn streams(raw in raw(), codec in codec(), block in 4096..20_000usize, step in 1..5000usize, flush in 0..4usize) {
        let mut encoder = Encoder::with_options(Vec::new(), options(codec, block)).unwrap();
        for (i, piece) in raw.chunks(step).enumerate() {
            encoder.write_all(piece).unwrap();
            if flush > 0 && i % (flush + 1) == 0 {
                encoder.flush().unwrap();
            }
        }
        let packed = encoder.finish().unwrap();
        for threads in [1, 3] {
            let options = DecodeOptions::new().threads(threads).verify_hash(true);
            let mut decoder = Decoder::with_options(Dribble(&packed, step), options).unwrap();
            let mut out = Vec::new();
            // A buffer with old content and of an odd size: every byte that is returned must have been written.
            let mut buffer = vec![0xAA; step.min(777)];
            loop {
                let n = decoder.read(&mut buffer).unwrap();
                if n == 0 {
                    break;
                }
                out.extend_from_slice(&buffer[..n]);
                buffer.fill(0x55);
            }
            prop_assert!(out == raw);
        }
    }

    #[test]
    fn ranges(raw in raw(), codec in codec(), block in 4096..20_000usize, ends in any::<(u16, u16)>()) {
        let packed = nzip::compress_with(&raw, options(codec, block)).unwrap();
        let mut archive = Archive::new(Cursor::new(packed)).unwrap();
        prop_assert_eq!(archive.len(), raw.len() as u64);
        prop_assert_eq!(archive.verify().unwrap(), raw.len() as u64);
        let a = usize::from(ends.0) % (raw.len() + 1);
        let b = a + usize::from(ends.1) % (raw.len() - a + 1);
        let part = archive.read_range(a as u64..b as u64).unwrap();
        prop_assert!(part == raw[a..b]);
        prop_assert!(archive.decoded_bytes() <= (b - a + 2 * block) as u64);
    }
}
