//! Windowed codecs through encoder, decoder and archive, with a codec of a few lines in place of a model.

use super::{Archive, CodecChoice, DecodeOptions, Encoder, Options};
use crate::codec::Codec;
use crate::codec::window::{Cutting, EncodedWindow, WindowCoder, WindowLimits, WindowedBlock, all_windows};
use crate::error::{Error, ErrorKind, Result};
use crate::models::Models;
use crate::progress::Meter;
use crate::random::SplitMix;
use std::io::{Cursor, Write};
use std::sync::Arc;

/// Codes a byte 0..16 in four bits and any other as an escape of twelve.
struct Nibbles;

impl Nibbles {
    fn window(raw: &[u8], limits: WindowLimits) -> EncodedWindow {
        let (mut nibbles, mut raw_len) = (Vec::new(), 0);
        for &b in raw.iter().take(limits.raw) {
            // The lowest code is not zero, so that decoded padding would be noticed.
            let code = if b < 15 { vec![b + 1] } else { vec![0, b >> 4, b & 15] };
            if (nibbles.len() + code.len()).div_ceil(2) > limits.payload {
                break;
            }
            nibbles.extend(code);
            raw_len += 1;
        }
        let pair = |p: &[u8]| p[0] << 4 | p.get(1).unwrap_or(&0);
        let mut payload: Vec<u8> = nibbles.chunks(2).map(pair).collect();
        while payload.last() == Some(&0) {
            payload.pop();
        }
        EncodedWindow { raw_len, payload }
    }
}

impl WindowCoder for Nibbles {
    fn encode(
        &self,
        blocks: &[&[u8]],
        _cutting: &Cutting,
        limits: WindowLimits,
        _meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        let block = |mut raw: &[u8]| {
            let mut windows = Vec::new();
            while !raw.is_empty() {
                let window = Self::window(raw, limits);
                raw = &raw[window.raw_len..];
                windows.push(window);
            }
            windows
        };
        Ok(blocks.iter().map(|b| block(b)).collect())
    }

    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, _memory: u64, _meter: Meter<'_>) -> Result<()> {
        for job in all_windows(blocks.into_iter()) {
            let nibble = |i: usize| job.payload.get(i / 2).map_or(0, |b| b >> (4 * (1 - i % 2)) & 15);
            let mut at = 0;
            for out in job.raw.iter_mut() {
                let code = nibble(at);
                *out = if code > 0 { code - 1 } else { nibble(at + 1) << 4 | nibble(at + 2) };
                at += if code > 0 { 1 } else { 3 };
            }
        }
        Ok(())
    }
}

/// Stores records of three bytes, after a header of ten.
struct Triples;

impl WindowCoder for Triples {
    fn encode(
        &self,
        blocks: &[&[u8]],
        _cutting: &Cutting,
        limits: WindowLimits,
        _meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        let window = |raw: &[u8]| EncodedWindow { raw_len: raw.len(), payload: raw.to_vec() };
        let most = limits.raw.min(limits.payload) / 3 * 3;
        Ok(blocks.iter().map(|b| b.chunks(most).map(window).collect()).collect())
    }

    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, _memory: u64, _meter: Meter<'_>) -> Result<()> {
        for job in all_windows(blocks.into_iter()) {
            assert!(job.raw.len().is_multiple_of(3));
            job.raw.copy_from_slice(job.payload);
        }
        Ok(())
    }

    fn cutting(&self, head: &[u8], _chained: bool) -> Cutting {
        let start = if head.starts_with(b"header") { 10 } else { 0 };
        Cutting { start, unit: 3, step: 3, ..Cutting::BYTES }
    }
}

fn models() -> (Models, [u8; 32]) {
    let mut models = Models::new();
    let hash = models.add(&b"nibbles"[..]);
    models.insert(Codec::Lm, hash, Arc::new(Nibbles));
    (models, hash)
}

/// Small values, with noise in the middle.
fn raw(n: usize) -> Vec<u8> {
    let mut rng = SplitMix(7);
    let mut next = |i: usize| {
        let noise = (n / 3..n / 2).contains(&i);
        rng.below(if noise { 256 } else { 13 }) as u8
    };
    (0..n).map(&mut next).collect()
}

fn options(codec: CodecChoice) -> Options {
    let (models, hash) = models();
    Options::new().models(models).model(hash).codec(codec).window(512).block_size(8192).threads(2).level(1)
}

fn decoding() -> DecodeOptions {
    DecodeOptions::new().models(models().0).threads(2).verify_hash(true)
}

#[test]
fn windows_round_trip() {
    for codec in [CodecChoice::Only(Codec::Lm), CodecChoice::Auto] {
        for n in [1, 100, 511, 8192, 8193, 100_000] {
            let raw = raw(n);
            let packed = super::compress_with(&raw, options(codec)).unwrap();
            assert!(super::decompress_with(&packed, decoding()).unwrap() == raw, "{codec:?} {n}");
            let mut archive = Archive::with_options(Cursor::new(&packed), decoding()).unwrap();
            assert_eq!(archive.verify().unwrap(), n as u64);
        }
    }
}

#[test]
fn auto_is_never_larger_and_mixes_codecs() {
    let mut raw = raw(40_000);
    raw.extend(b"a line that repeats itself\n".repeat(2000));
    let size = |codec| super::compress_with(&raw, options(codec)).unwrap().len();
    let (auto, lm) = (size(CodecChoice::Auto), size(CodecChoice::Only(Codec::Lm)));
    let zstd = size(CodecChoice::Only(Codec::Zstd));
    assert!(auto < lm && auto <= zstd, "{auto} {lm} {zstd}");
}

#[test]
fn ranges_cost_two_windows_at_most() {
    let raw = raw(100_000);
    let packed = super::compress_with(&raw, options(CodecChoice::Only(Codec::Lm))).unwrap();
    let mut archive = Archive::with_options(Cursor::new(&packed), decoding()).unwrap();
    let block = archive.block(0).unwrap().unwrap();
    assert_eq!((block.codec, block.window), (Some(Codec::Lm), Some(512)));
    assert!(block.units.len() > 4 && block.model == Some(models().1));
    for start in (0..99_000).step_by(997) {
        for len in [1, 700, 1000] {
            let before = archive.decoded_bytes();
            let range = start as u64..(start + len) as u64;
            assert!(archive.read_range(range).unwrap() == raw[start..start + len]);
            // Windows of small values hold 1024 raw bytes.
            assert!(archive.decoded_bytes() - before <= len as u64 + 2 * 1024);
        }
    }
}

#[test]
fn output_depends_on_neither_threads_nor_memory_nor_pieces() {
    let raw = raw(200_000);
    for codec in [CodecChoice::Only(Codec::Lm), CodecChoice::Auto, CodecChoice::Only(Codec::Zstd)] {
        let one = super::compress_with(&raw, options(codec).threads(1)).unwrap();
        for (threads, memory) in [(2, 1 << 30), (7, 1 << 20), (3, 1 << 40)] {
            let options = options(codec).threads(threads).memory(memory);
            let mut encoder = Encoder::with_options(Vec::new(), options).unwrap();
            raw.chunks(1 + threads * 1000).for_each(|p| encoder.write_all(p).unwrap());
            assert!(encoder.finish().unwrap() == one, "{codec:?} {threads}");
        }
    }
}

#[test]
fn records_behind_a_header_are_cut_alike() {
    let mut raw = b"header 10 ".to_vec();
    raw.resize((33 << 20) + 77, 7);
    let mut models = Models::new();
    let hash = models.add(&b"triples"[..]);
    models.insert(Codec::Lm, hash, Arc::new(Triples));
    let options = Options::new().models(models.clone()).model(hash).codec(CodecChoice::Only(Codec::Lm));
    let options = options.window(1 << 20);
    let one = super::compress_with(&raw, options.clone().threads(1)).unwrap();
    let decoding = DecodeOptions::new().models(models);
    assert!(super::decompress_with(&one, decoding).unwrap() == raw);
    for threads in [2, 3] {
        let mut encoder = Encoder::with_options(Vec::new(), options.clone().threads(threads)).unwrap();
        raw.chunks(threads * 1_000_001).for_each(|p| encoder.write_all(p).unwrap());
        assert!(encoder.finish().unwrap() == one, "{threads}");
    }
}

#[test]
fn embedded_models_travel() {
    let raw = raw(5000);
    let options = options(CodecChoice::Only(Codec::Lm));
    let plain = super::compress_with(&raw, options.clone()).unwrap();
    let packed = super::compress_with(&raw, options.embed_model(true)).unwrap();
    assert!(packed.len() > plain.len());
    // Without the model: missing where it is only named; found, but not a model, where it is embedded.
    let kind = |packed: &[u8]| super::decompress(packed).unwrap_err().kind();
    assert_eq!(kind(&plain), ErrorKind::MissingModel);
    assert_ne!(kind(&packed), ErrorKind::MissingModel);
    let archive = Archive::with_options(Cursor::new(&packed), decoding()).unwrap();
    assert!(archive.streams()[0].embedded_len > 0);
    assert!(super::decompress_with(&packed, decoding()).unwrap() == raw);
}

#[test]
fn bit_flips_in_windows() {
    let raw = raw(1500);
    for sized in [false, true] {
        let codec = CodecChoice::Only(Codec::Lm);
        // Windows of 510 and 512 raw bytes: a limit that leaves padding makes the table sized.
        let window = if sized { 1024 } else { 512 };
        let packed = super::compress_with(&raw, options(codec).window(window)).unwrap();
        for bit in 0..packed.len() * 8 {
            let mut bad = packed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let ok = |r: Result<Vec<u8>>| r.map_or(true, |out| out == raw);
            assert!(ok(super::decompress_with(&bad, decoding().threads(1))), "bit {bit}");
        }
        for cut in 0..packed.len() {
            let e: Error = super::decompress_with(&packed[..cut], decoding().threads(1)).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Truncated, "{cut}");
        }
    }
}
