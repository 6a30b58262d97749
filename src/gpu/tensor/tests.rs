//! Compares tiles on the GPU with the CPU: encoded tensors, then random and damaged payloads.

use super::decode::tiles_in_batches;
use super::{fits, resident};
use crate::codec::Codec;
use crate::codec::block::Block as CheckedBlock;
use crate::codec::encoding::{Content, Effort};
use crate::codec::hints::{Guide, Hint};
use crate::codec::tensor::stored::{Context, FieldParams, Params, Planes, Transform};
use crate::codec::tensor::{TileDecoder, tiles};
use crate::coder::rans::{Coded, Contexts, Encoder, Freqs, encode};
use crate::format::block::{BlockHeader, Tile, Units};
use crate::format::checksum::check32;
use crate::format::varint;
use crate::gpu::context::Gpu;
use crate::gpu::tests::gpu;
use crate::kernel::Kernel;
use crate::progress::Meter;
use crate::random::SplitMix;
use crate::tensor::Dtype;
use crate::tensor::bases::Bases;
use crate::tensor::bits::packed_len;
use std::sync::Arc;

fn normal(rng: &mut SplitMix) -> f32 {
    let sum: u64 = (0..12).map(|_| rng.below(1 << 20)).sum();
    sum as f32 / (1 << 20) as f32 - 6.0
}

/// An encoded block; `None` where the encoder chose something for which there are no kernels.
fn encoded(raw: &[u8], dtype: Dtype, row_bytes: u64, level: u8) -> Option<(BlockHeader, Vec<u8>)> {
    let content =
        Content { numbers: Some(Hint { dtype, row_bytes, form: None, tile: 0 }), ..Content::bytes(raw) };
    let effort = Effort { level, guide: Guide::None, meter: Meter::NONE, limit: u64::MAX, only: false };
    let block = Codec::Tensor.object().encode(&content, &effort).unwrap()?;
    let Ok(Params::Planes(planes)) = Params::parse(block.params.as_deref().unwrap()) else { return None };
    fits(&planes).then(|| block.into_parts(None))
}

/// Decodes a block on the GPU; both outcomes must equal those of the CPU. Returns the number of raw bytes
/// that the GPU decoded.
fn check(gpu: &Gpu, header: &BlockHeader, payload: &[u8]) -> u64 {
    let decoder = {
        let block = CheckedBlock::check(header.clone()).unwrap();
        tiles::decoder(&block, Kernel::Scalar, &Bases::new()).unwrap()
    };
    let (mut raw, mut expected) = (vec![0xAA; header.raw_len as usize], vec![0xBB; header.raw_len as usize]);
    let units = 0..header.units.len();
    let (verified, result) = tiles::decode(None, &decoder, header, payload, units.clone(), &mut expected);
    let before = gpu.counters().decoded_bytes;
    let found = tiles_in_batches(gpu, &decoder, header, payload, units.clone(), &mut raw, 1).unwrap();
    let decoded = gpu.counters().decoded_bytes - before;
    assert_eq!(found.0, verified);
    assert_eq!(found.1.map_err(|e| e.to_string()), result.map_err(|e| e.to_string()));
    assert!(raw[..verified] == expected[..verified]);
    let on_gpu = resident(gpu, &decoder, header, payload, units).unwrap();
    if let Ok(buffer) = on_gpu {
        assert_eq!(buffer.len as usize, verified);
        let words = verified.div_ceil(4);
        let words = gpu.finish_read(gpu.start_read(&buffer.buffer, words).unwrap()).unwrap();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert!(bytes[..verified] == expected && bytes[verified..].iter().all(|b| *b == 0));
    }
    decoded
}

/// Encodes, and decodes everything on the GPU.
fn whole(gpu: &Gpu, raw: &[u8], dtype: Dtype, row_bytes: u64, level: u8) {
    let (header, payload) = encoded(raw, dtype, row_bytes, level).unwrap();
    assert_eq!(check(gpu, &header, &payload), raw.len() as u64, "{dtype}");
}

#[test]
fn encoded_floats() {
    let Some(gpu) = gpu() else { return };
    let mut rng = SplitMix(1);
    let scale = |r: usize| 0.02 * (1.0 + (r % 7) as f32);
    let w: Vec<f32> = (0..300 * 256).map(|i| normal(&mut rng) * scale(i / 256)).collect();
    let f32s: Vec<u8> = w.iter().flat_map(|v| v.to_le_bytes()).collect();
    let bf16: Vec<u8> = w.iter().flat_map(|v| [v.to_le_bytes()[2], v.to_le_bytes()[3]]).collect();
    for level in [6, 9] {
        whole(&gpu, &f32s, Dtype::F32, 1024, level);
        whole(&gpu, &bf16, Dtype::Bf16, 512, level);
    }
    let int8: Vec<u8> = w.iter().map(|v| (v * 300.0) as i8 as u8).collect();
    whole(&gpu, &int8, Dtype::I8, 256, 9);
    // Few bits in the low half; a constant tile; rare symbols, which are folded.
    let cut: Vec<u8> = w.iter().flat_map(|v| (v.to_bits() & 0xFFFF_E000).to_le_bytes()).collect();
    whole(&gpu, &cut, Dtype::F32, 1024, 6);
    let rare: Vec<u8> = (0..w.len())
        .map(|i| w[i] / if i % 40 == 0 { 4000.0 } else { 1.0 })
        .flat_map(|v| [v.to_le_bytes()[2], v.to_le_bytes()[3]])
        .collect();
    whole(&gpu, &rare, Dtype::Bf16, 512, 6);
    let noise: Vec<u8> = (0..100_000).map(|_| rng.next_u64() as u8).collect();
    whole(&gpu, &noise, Dtype::F16, 1000, 6);
    // Tiles with masks are left to the CPU, tiles of one element are not.
    let (header, payload) =
        encoded(&[&f32s[..150_000], &[0; 300_000]].concat(), Dtype::F32, 1000, 6).unwrap();
    let decoded = check(&gpu, &header, &payload);
    assert!(decoded > 0 && decoded < 450_000);
    for len in [1, 2, 3, 31, 32, 33, 2047, 2048, 2049] {
        if let Some((header, payload)) = encoded(&bf16[..2 * len], Dtype::Bf16, 0, 6) {
            check(&gpu, &header, &payload);
        }
    }
}

fn tables(rng: &mut SplitMix, count: u64) -> Vec<Freqs> {
    let table = |rng: &mut SplitMix| {
        let (kinds, most) = (1 + rng.below(256), 1 + rng.below(4000));
        let mut counts = [0; 256];
        (0..kinds).for_each(|_| counts[rng.below(256) as usize] = rng.below(most) as u32);
        Freqs::from_counts(&counts)
    };
    (0..count).map(|_| table(rng)).collect()
}

fn some_map<const N: usize>(rng: &mut SplitMix, below: usize) -> [u8; N] {
    std::array::from_fn(|_| rng.below(below as u64) as u8)
}

/// Random parameters that fit.
fn params(rng: &mut SplitMix) -> Planes {
    let element = [1, 2, 4][rng.below(3) as usize];
    let transform = if rng.below(3) == 0 { Transform::Plain } else { Transform::Float };
    let low_bits = if element > 1 && rng.below(3) == 0 { 8 } else { rng.below(8 * element as u64) as u32 };
    let by_row = rng.below(2) == 0;
    let count = if by_row { 1 + rng.below(5) } else { 1 };
    let groups = [1, 2, 7, 100, 5000, 1 << 32][rng.below(6) as usize];
    let columns = if groups <= 5000 && rng.below(2) == 0 { groups } else { 0 };
    let context = Context::Rows {
        groups,
        columns: (0..columns).map(|_| rng.below(16) as u8).collect(),
        map: some_map(rng, count as usize),
    };
    let low_tables = 1 + rng.below(3);
    let low = (low_bits == 8 && rng.below(2) == 0)
        .then(|| (Box::new(some_map(rng, low_tables as usize)), tables(rng, low_tables)));
    let field = FieldParams {
        width: element,
        element,
        transform,
        low_bits,
        base: rng.below(1 << (8 * element as u32 - low_bits).min(20)),
        fold: if rng.below(2) == 0 { rng.below(16) as u8 } else { 0 },
        signed: false,
        context: if by_row { context } else { Context::None },
        tables: tables(rng, count),
        low,
    };
    Planes {
        kept: false,
        delta: None,
        differences: None,
        group: element,
        fields: vec![field],
        mask: None,
        pieces: None,
    }
}

/// A sequence of symbols that have frequencies.
fn sequence(rng: &mut SplitMix, tables: &[Freqs], contexts: &[u8], out: &mut Vec<u8>) -> Vec<u8> {
    let symbol = |rng: &mut SplitMix, freqs: &Freqs| {
        let mut at = rng.below(4096) as u16;
        freqs
            .0
            .iter()
            .position(|&f| {
                at < f || {
                    at -= f;
                    false
                }
            })
            .unwrap() as u8
    };
    let symbols: Vec<u8> = contexts.iter().map(|&c| symbol(rng, &tables[usize::from(c)])).collect();
    match rng.below(8) {
        0 => {
            let same = rng.below(256) as u8;
            out.extend([1, same]);
            return vec![same; symbols.len()];
        }
        1 => {
            out.push(2);
            let plain: Vec<u8> = symbols.iter().map(|_| rng.below(256) as u8).collect();
            out.extend(&plain);
            return plain;
        }
        _ => {
            let mut coded = Coded::default();
            encode(
                &Encoder::new(tables),
                Kernel::Scalar,
                &symbols,
                Contexts::Many(contexts),
                symbols.len(),
                &mut coded,
            )
            .unwrap();
            out.push(0);
            varint::put(out, coded.words() as u64);
            coded.put(out);
        }
    }
    symbols
}

/// A random tile of planes that the specification allows.
fn tile(rng: &mut SplitMix, field: &FieldParams, first: u64, count: usize) -> Vec<u8> {
    let mut out = vec![0];
    let mut zeros = 0;
    if field.transform == Transform::Float {
        zeros = if rng.below(2) == 0 { rng.below(u64::from(field.low_bits) + 1) as u32 } else { 0 };
        out.push(zeros as u8);
    }
    let exceptions = rng.below(1 + count.min(6) as u64);
    varint::put(&mut out, exceptions);
    let mut left = count as u64 - exceptions;
    for _ in 0..exceptions {
        let gap = rng.below(left.min(50) + 1);
        left -= gap;
        varint::put(&mut out, gap);
        out.extend(&rng.next_u64().to_le_bytes()[..field.element]);
    }
    let mut contexts = vec![0; count];
    if let Context::Rows { groups, columns, map } = &field.context {
        let rows = (first + count as u64 - 1) / groups - first / groups + 1;
        let classes: Vec<u8> = (0..rows.next_multiple_of(2)).map(|_| rng.below(16) as u8).collect();
        out.extend(classes.chunks(2).map(|p| p[0] | p[1] << 4));
        for (i, context) in (first..).zip(&mut contexts) {
            let column = columns.get((i % groups) as usize).copied().unwrap_or(8);
            let sum = classes[(i / groups - first / groups) as usize] + column;
            *context = map[usize::from(sum.clamp(8, 23) - 8)];
        }
    }
    let symbols = sequence(rng, &field.tables, &contexts, &mut out);
    let folded = symbols.iter().filter(|s| **s < field.fold).count();
    (0..folded.div_ceil(2)).for_each(|_| out.push(rng.below(256) as u8));
    let stored = field.low_bits - zeros;
    match &field.low {
        Some((map, tables)) if stored == 8 => {
            let contexts: Vec<u8> = symbols.iter().map(|s| map[usize::from(*s)]).collect();
            sequence(rng, tables, &contexts, &mut out);
        }
        _ => {
            let len = count * (stored / 8) as usize + packed_len(count, stored % 8);
            (0..len).for_each(|_| out.push(rng.below(256) as u8));
        }
    }
    out
}

fn block_header(
    planes: Planes,
    raw_len: usize,
    size: usize,
    payload: &[u8],
    tiles: Vec<Tile>,
) -> BlockHeader {
    let mut params = Vec::new();
    Params::Planes(Arc::new(planes)).put(&mut params);
    BlockHeader {
        codec: crate::Codec::Tensor.id(),
        flushed: false,
        raw_len: raw_len as u32,
        payload_len: payload.len() as u32,
        model: None,
        params: Some(params),
        units: Units::Tiles { raw: size as u32, tiles },
    }
}

fn decoder_of(planes: &Planes) -> TileDecoder {
    let params = Params::Planes(Arc::new(planes.clone()));
    TileDecoder::new(&params, 0, Kernel::Scalar, &Bases::new()).unwrap()
}

/// A block of random tiles: planes, one element, raw bytes.
fn block(rng: &mut SplitMix) -> (BlockHeader, Vec<u8>) {
    let planes = params(rng);
    let element = planes.group;
    let size = element * [1, 3, 40, 700, 2048, 2500, 9001][rng.below(7) as usize];
    let count = 1 + rng.below(10) as usize;
    let last = element * (1 + rng.below((size / element) as u64) as usize);
    let raw_len = (count - 1) * size + last;
    let decoder = decoder_of(&planes);
    let (mut payload, mut tiles) = (Vec::new(), Vec::new());
    for i in 0..count {
        let len = size.min(raw_len - i * size);
        let bytes = match rng.below(8) {
            0 => [&[1], &rng.next_u64().to_le_bytes()[..element]].concat(),
            1 => std::iter::once(2).chain((0..len).map(|_| rng.below(256) as u8)).collect(),
            _ => tile(rng, &planes.fields[0], (i * size / element) as u64, len / element),
        };
        let mut raw = vec![0; len];
        decoder.tile(&bytes, (i * size) as u64, &mut raw, &mut Default::default()).unwrap();
        tiles.push(Tile { payload_len: bytes.len() as u32, check: check32(&raw) });
        payload.extend(bytes);
    }
    let header = block_header(planes, raw_len, size, &payload, tiles);
    (header, payload)
}

#[test]
fn any_tiles_that_fit() {
    let Some(gpu) = gpu() else { return };
    let (mut whole, mut left) = (0, 0);
    for seed in 0..150 {
        let (header, payload) = block(&mut SplitMix(seed));
        let decoded = check(&gpu, &header, &payload);
        whole += decoded;
        left += u64::from(header.raw_len) - decoded;
    }
    // The only exception is low bits that are coded along with folded symbols.
    assert!(whole > 20 * left, "{whole} {left}");
}

#[test]
fn damage_ends_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for seed in 1000..1040 {
        let mut rng = SplitMix(seed);
        let (header, payload) = block(&mut rng);
        for _ in 0..3 {
            let mut damaged = payload.clone();
            for _ in 0..1 + rng.below(2) {
                let bit = rng.below(8 * payload.len() as u64) as usize;
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            check(&gpu, &header, &damaged);
        }
    }
}

/// The largest possible tiles, with as many symbols as possible.
#[test]
fn largest_tiles() {
    let Some(gpu) = gpu() else { return };
    let mut rng = SplitMix(3);
    let plain = |element, low_bits, low| FieldParams {
        width: element,
        element,
        transform: Transform::Plain,
        low_bits,
        base: 0,
        fold: 0,
        signed: false,
        context: Context::None,
        tables: tables(&mut SplitMix(4), 1),
        low,
    };
    let bytes = plain(1, 0, None);
    let words = plain(2, 8, Some((Box::new([0; 256]), tables(&mut SplitMix(5), 1))));
    for field in [bytes, words] {
        let planes = Planes {
            kept: false,
            delta: None,
            differences: None,
            group: field.element,
            fields: vec![field],
            mask: None,
            pieces: None,
        };
        let payload = loop {
            let payload = tile(&mut rng, &planes.fields[0], 0, (1 << 20) / planes.group);
            // Sequences in modes other than rANS take little work.
            if payload.len() > 1000 && payload.len() < 1 << 20 {
                break payload;
            }
        };
        let raw = {
            let decoder = decoder_of(&planes);
            let mut raw = vec![0; 1 << 20];
            decoder.tile(&payload, 0, &mut raw, &mut Default::default()).unwrap();
            raw
        };
        let tiles = vec![Tile { payload_len: payload.len() as u32, check: check32(&raw) }];
        let header = block_header(planes, 1 << 20, 1 << 20, &payload, tiles);
        assert_eq!(check(&gpu, &header, &payload), 1 << 20);
    }
}
