//! Compares the kernels with the CPU, bit for bit.

use super::PackedLm;
use crate::codec::lm::{decode_windows, encode_blocks};
use crate::codec::window::{Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock};
use crate::gpu::accelerator::GpuAccelerator;
use crate::gpu::coder::{GpuCoder, WindowKernels};
use crate::gpu::device::Wanted;
use crate::gpu::lanes::MAX_ITERATIONS;
use crate::gpu::tests::{gpu, open};
use crate::kernel::Kernel;
use crate::model::lm::Model;
use crate::model::lm::weights::{Config, TableConfig, Weights};
use crate::progress::Meter;
use crate::random::SplitMix;
use std::sync::Arc;

fn config(width: usize, state: usize, hidden: usize, layers: usize, tables: &[(u8, u8)]) -> Config {
    let tables = tables.iter().map(|&(order, log2_rows)| TableConfig { order, log2_rows }).collect();
    Config { width, state, hidden, layers, table_width: 6, tables }
}

/// Text-like noise that repeats itself, so that matches and guesses come into play.
fn text(len: usize, seed: u32) -> Vec<u8> {
    let mut rng = SplitMix(seed.into());
    let mut out: Vec<u8> = Vec::new();
    while out.len() < len {
        let x = rng.next_u32();
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

/// Decodes windows on the GPU and compares them with their content.
fn check(weights: Weights, lens: &[usize], limits: WindowLimits) {
    let Some(gpu) = gpu() else { return };
    let packed = PackedLm::new(&weights);
    let model = Model::with_kernel(weights, Kernel::Scalar).unwrap();
    let windows = windows(&model, lens, limits);
    let mut raw: Vec<Vec<u8>> = windows.iter().map(|(raw, _)| vec![0xAA; raw.len()]).collect();
    let mut jobs: Vec<WindowJob<'_>> =
        windows.iter().zip(&mut raw).map(|((_, w), raw)| WindowJob { payload: &w.payload, raw }).collect();
    let before = gpu.counters();
    let corrupt = packed.decode(&gpu, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
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

/// Encodes blocks of text of these lengths, see [`check_encoding_of`].
fn check_encoding(weights: Weights, lens: &[usize], limits: WindowLimits) {
    let blocks = lens.iter().enumerate().map(|(i, &len)| text(len, i as u32 + 3)).collect();
    check_encoding_of(weights, blocks, limits);
}

/// Encodes blocks on the GPU and compares the windows with the CPU's.
fn check_encoding_of(weights: Weights, blocks: Vec<Vec<u8>>, limits: WindowLimits) {
    let Some(gpu) = gpu() else { return };
    let packed = PackedLm::new(&weights);
    let model = Model::with_kernel(weights, Kernel::Scalar).unwrap();
    let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let expected = encode_blocks(&model, &slices, limits).unwrap();
    let before = gpu.counters();
    let found = packed.encode(&gpu, &slices, limits).unwrap().expect("the limits hold");
    let bytes: usize = slices.iter().map(|b| b.len()).sum();
    assert_eq!(gpu.counters().encoded_bytes - before.encoded_bytes, bytes as u64);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for (w, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert_eq!(expected, found, "block {i} window {w}");
        }
        assert_eq!(expected.len(), found.len(), "block {i}");
    }
}

#[test]
fn counters_follow_their_formulas() {
    let Some(gpu) = gpu() else { return };
    let weights = Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1);
    let packed = PackedLm::new(&weights);
    let lens = [700, 20, 300];
    let payload = [7; 90];
    let mut raw: Vec<Vec<u8>> = (0..40).map(|i| vec![0; lens[i / 16]]).collect();
    let mut jobs: Vec<_> = raw.iter_mut().map(|raw| WindowJob { payload: &payload, raw }).collect();
    let before = gpu.counters();
    let corrupt = packed.decode(&gpu, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
    assert!(corrupt.is_empty());
    let counted = gpu.counters();
    // Three workgroups, the longest windows first: 16 of 700 bytes; 8 of 300 and 8 of 20; 8 of 20.
    let steps = 700 + 300 + 20;
    assert_eq!(counted.weight_bytes - before.weight_bytes, steps * packed.step_bytes());
    let dispatches = 700usize.div_ceil(MAX_ITERATIONS / packed.step_iterations()) as u64;
    assert_eq!(counted.dispatches - before.dispatches, dispatches);
    assert_eq!(counted.readbacks - before.readbacks, 2);
}

#[test]
fn encoding_is_the_same() {
    let weights = || Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1);
    for payload in [16, 64, 256] {
        check_encoding(weights(), &[300, 1, 77, 512, 40], WindowLimits { payload, raw: 200 });
    }
}

#[test]
fn more_steps_than_a_driver_has_loop_iterations() {
    let limits = WindowLimits { payload: 1 << 16, raw: 1 << 18 };
    check(Weights::seeded(config(2, 2, 2, 1, &[(1, 8)]), 5), &[66_000, 300], limits);
}

#[test]
fn damaged_payloads_give_what_the_cpu_gives() {
    let Some(gpu) = gpu() else { return };
    let weights = || Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1);
    let (packed, model) = (PackedLm::new(&weights()), Model::with_kernel(weights(), Kernel::Scalar).unwrap());
    // A number of all ones lies outside every interval once the range is not a multiple of 2^16.
    let mut payloads: Vec<Vec<u8>> = (0..7).map(|i| text(30 + i, 100 + i as u32)).collect();
    payloads.extend([vec![0xFF; 40], Vec::new()]);
    let mut found: Vec<Vec<u8>> = payloads.iter().map(|_| vec![0; 60]).collect();
    let mut jobs: Vec<_> =
        payloads.iter().zip(&mut found).map(|(payload, raw)| WindowJob { payload, raw }).collect();
    let corrupt = packed.decode(&gpu, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
    for (i, payload) in payloads.iter().enumerate() {
        let mut expected = vec![0; 60];
        let result = decode_windows(&model, &mut [WindowJob { payload, raw: &mut expected }]);
        assert_eq!(corrupt.contains(&i), result.is_err(), "payload {i}");
        assert!(result.is_err() || found[i] == expected, "payload {i}");
    }
    assert!(!corrupt.is_empty() && corrupt.len() < payloads.len());
}

#[test]
fn carries_reach_held_words_in_encoding() {
    // Windows of few bytes start at many places, so that every way to end a payload is met.
    let weights = || Weights::seeded(config(2, 2, 2, 1, &[(1, 8)]), 5);
    for raw in [1, 2, 3] {
        check_encoding(weights(), &[120; 8], WindowLimits { payload: 16, raw });
    }
    check_encoding(weights(), &[4000, 900], WindowLimits { payload: 32, raw: 1 << 18 });
    // Bytes that become nearly certain keep the payload at its length while words of zeros follow.
    let runs = (0..16).map(|i| vec![i * 17; 3000]).collect();
    check_encoding_of(weights(), runs, WindowLimits { payload: 16, raw: 1 << 18 });
}

#[test]
fn a_lost_gpu_is_a_fault() {
    let Some(gpu) = open() else { return };
    let packed = PackedLm::new(&Weights::seeded(config(2, 2, 2, 1, &[(1, 8)]), 5));
    gpu.lose();
    let mut raw = vec![0; 10];
    let mut job = WindowJob { payload: &[1, 2, 3], raw: &mut raw };
    assert!(packed.decode(&gpu, &mut [&mut job]).is_err());
    assert!(packed.encode(&gpu, &[b"bytes"], WindowLimits { payload: 64, raw: 64 }).is_err());
}

#[test]
fn the_cpu_takes_over_from_a_lost_gpu() {
    let Ok(device) = GpuAccelerator::open(Wanted::Any) else { return };
    let weights = Weights::seeded(config(2, 2, 2, 1, &[(1, 8)]), 5);
    let cpu = Arc::new(Model::new(weights.clone()).unwrap());
    let coder = GpuCoder::new(device.clone(), PackedLm::new(&weights), cpu.clone());
    let block = text(500, 1);
    let windows = coder.encode(&[&block], &Cutting::BYTES, LIMITS, Meter::NONE).unwrap();
    assert_eq!(device.warning(), None);
    device.gpu().lose();
    assert_eq!(coder.encode(&[&block], &Cutting::BYTES, LIMITS, Meter::NONE).unwrap(), windows);
    let mut raw = vec![0; windows[0][0].raw_len];
    let job = WindowJob { payload: &windows[0][0].payload, raw: &mut raw };
    let jobs = WindowedBlock { params: None, windows: vec![job] };
    coder.decode(vec![jobs], u64::MAX, Meter::NONE).unwrap();
    assert_eq!(raw, block[..raw.len()]);
    assert!(device.warning().is_some());
    let strict = GpuCoder::new(device.without_fallback(), PackedLm::new(&weights), cpu);
    let e = strict.encode(&[&block], &Cutting::BYTES, LIMITS, Meter::NONE).unwrap_err();
    assert_eq!(e.kind(), crate::error::ErrorKind::Device);
}

#[test]
fn some_windows_on_the_gpu_and_others_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let weights = Weights::seeded(config(8, 6, 10, 2, &[(1, 8), (3, 5)]), 1);
    let (packed, model) = (PackedLm::new(&weights), Model::new(weights).unwrap());
    let windows = windows(&model, &[900, 700], WindowLimits { payload: 64, raw: 1 << 18 });
    let mut raw: Vec<Vec<u8>> = windows.iter().map(|(raw, _)| vec![0; raw.len()]).collect();
    let jobs = windows.iter().zip(&mut raw).map(|((_, w), raw)| WindowJob { payload: &w.payload, raw });
    let (mut even, mut odd) = (Vec::new(), Vec::new());
    jobs.enumerate().for_each(|(i, job)| if i % 2 == 0 { even.push(job) } else { odd.push(job) });
    assert!(packed.decode(&gpu, &mut even.iter_mut().collect::<Vec<_>>()).unwrap().is_empty());
    decode_windows(&model, &mut odd).unwrap();
    assert!(odd.len() > 2 && windows.iter().map(|w| &w.0).eq(&raw));
}
