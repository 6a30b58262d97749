//! The kernels against the CPU, bit for bit.

use super::decode::decode;
use super::encode::encode;
use super::pack::Packed;
use crate::codec::lm::{check_limits, encode_blocks};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use crate::gpu::tests::gpu;
use crate::model::lm::weights::{Config, TableConfig, Weights};
use crate::model::lm::{Kernel, Model};

fn config(width: usize, state: usize, hidden: usize, layers: usize, tables: &[(u8, u8)]) -> Config {
    let tables = tables.iter().map(|&(order, log2_rows)| TableConfig { order, log2_rows }).collect();
    Config { width, state, hidden, layers, table_width: 6, tables }
}

/// Text-like noise that repeats itself, so that matches and guesses come into play.
fn text(len: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2654435761).wrapping_add(1);
    let mut out: Vec<u8> = Vec::new();
    while out.len() < len {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        let at = out.len();
        match x >> 28 {
            0..4 if at > 40 => {
                let from = (x >> 8) as usize % (at - 20);
                let copy = out[from..from + 8 + (x >> 4) as usize % 12].to_vec();
                out.extend(copy);
            }
            4..6 => out.push((x >> 16) as u8),
            _ => out.push(b"etaoin shrdlu,.ET\n"[(x >> 16) as usize % 18]),
        }
    }
    out.truncate(len);
    out
}

/// Blocks of these lengths as windows, with the raw bytes of each.
fn windows(model: &Model, lens: &[usize], limits: WindowLimits) -> Vec<(Vec<u8>, EncodedWindow)> {
    let blocks: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, &len)| text(len, i as u32 + 7)).collect();
    let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let mut out = Vec::new();
    for (block, windows) in blocks.iter().zip(encode_blocks(model, &slices, limits).unwrap()) {
        let mut rest = &block[..];
        for window in windows {
            let (raw, after) = rest.split_at(window.raw_len);
            out.push((raw.to_vec(), window));
            rest = after;
        }
    }
    out
}

/// Decodes windows on the GPU and compares them with what they hold.
fn check(weights: Weights, lens: &[usize], limits: WindowLimits) {
    let Some(gpu) = gpu() else { return };
    let packed = Packed::new(&weights);
    let model = Model::with_kernel(weights, Kernel::Scalar).unwrap();
    let windows = windows(&model, lens, limits);
    let mut raw: Vec<Vec<u8>> = windows.iter().map(|(raw, _)| vec![0xAA; raw.len()]).collect();
    let mut jobs: Vec<WindowJob<'_>> =
        windows.iter().zip(&mut raw).map(|((_, w), raw)| WindowJob { payload: &w.payload, raw }).collect();
    let before = gpu.counters();
    let corrupt = decode(&gpu, &packed, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
    assert!(corrupt.is_empty());
    let bytes: u64 = windows.iter().map(|(raw, _)| raw.len() as u64).sum();
    assert_eq!(gpu.counters().decoded_bytes - before.decoded_bytes, bytes);
    for (i, ((expected, _), found)) in windows.iter().zip(&raw).enumerate() {
        assert!(expected == found, "window {i} of {} bytes", expected.len());
    }
}

const LIMITS: WindowLimits = WindowLimits { payload: 256, raw: 1 << 18 };

#[test]
fn one_window() {
    check(Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1), &[300], LIMITS);
}

#[test]
fn odd_shapes_and_lane_counts() {
    let shapes = [(2, 2, 2, 1, &[(1, 8)][..]), (18, 34, 22, 3, &[(1, 8), (2, 9), (6, 4)])];
    for (seed, (width, state, hidden, layers, tables)) in shapes.into_iter().enumerate() {
        for lanes in [2, 8, 9, 33] {
            let lens: Vec<usize> = (0..lanes).map(|i| 20 + 37 * i % 190).collect();
            let weights = Weights::seeded(config(width, state, hidden, layers, tables), seed as u64);
            check(weights, &lens, LIMITS);
        }
    }
}

/// Encodes blocks on the GPU and compares the windows with the CPU's.
fn check_encoding(weights: Weights, lens: &[usize], limits: WindowLimits) {
    let Some(gpu) = gpu() else { return };
    let packed = Packed::new(&weights);
    let model = Model::with_kernel(weights, Kernel::Scalar).unwrap();
    let blocks: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, &len)| text(len, i as u32 + 3)).collect();
    let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let expected = encode_blocks(&model, &slices, limits).unwrap();
    let before = gpu.counters();
    let found = encode(&gpu, &packed, &slices, check_limits(limits).unwrap()).unwrap();
    let bytes: usize = lens.iter().sum();
    assert_eq!(gpu.counters().encoded_bytes - before.encoded_bytes, bytes as u64);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for (w, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert_eq!(expected, found, "block {i} window {w}");
        }
        assert_eq!(expected.len(), found.len(), "block {i}");
    }
}

#[test]
fn encoding_is_the_same() {
    let weights = || Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1);
    for payload in [16, 64, 256] {
        check_encoding(weights(), &[300, 1, 77, 512, 40], WindowLimits { payload, raw: 200 });
    }
}
