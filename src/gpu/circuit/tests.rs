//! Compares records decoded on the GPU with the CPU.

use super::PackedCircuit;
use super::run::CircuitKernel;
use crate::codec::circuit::layout::Arrangement;
use crate::codec::circuit::{decode, encode};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits};
use crate::gpu::context::Gpu;
use crate::gpu::lanes;
use crate::gpu::tests::gpu;
use crate::kernel::Kernel;
use crate::model::circuit::{Alphabet, Model, Shape, Weights};
use crate::random::SplitMix;

/// A random small circuit: a tree in depth-first order with up to `states` states per node and alphabets of
/// up to `symbols` symbols.
fn circuit(seed: u64, width: usize, states: u64, symbols: u64) -> Weights {
    let mut rng = SplitMix(seed);
    let alphabet = |rng: &mut SplitMix| {
        let count = 1 + rng.below(symbols);
        let classes = 1 + rng.below(count);
        // Every class has a symbol.
        let class =
            (0..count).map(|s| if s < classes { s as u8 } else { rng.below(classes) as u8 }).collect();
        Alphabet { class, weight: (0..count).map(|_| 1 + rng.below(65535) as u16).collect() }
    };
    let alphabets: Vec<Alphabet> = (0..1 + rng.below(3)).map(|_| alphabet(&mut rng)).collect();
    let mut nodes: Vec<Shape> = Vec::new();
    for i in 0..width {
        // The node before, or one of its ancestors.
        let mut parent = i.checked_sub(1).map(|p| p as u16);
        while let Some(above) = parent.and_then(|p| nodes[usize::from(p)].parent) {
            if rng.below(2) == 0 {
                break;
            }
            parent = Some(above);
        }
        nodes.push(Shape {
            variable: (width - 1 - i) as u16,
            parent,
            alphabet: rng.below(alphabets.len() as u64) as u16,
            states: 2 + 2 * rng.below(states / 2) as u16,
        });
    }
    let mut weights = Weights {
        log2_steps: rng.below(4) as u8,
        patch: None,
        alphabets,
        nodes,
        edges: vec![],
        leaves: vec![],
    };
    for i in 0..width {
        let (above, states, classes) = weights.sizes(i);
        let mut codes = |n: usize| -> Vec<u8> {
            (0..n).map(|_| if rng.below(5) == 0 { 0 } else { rng.below(120) as u8 }).collect()
        };
        let (mut edge, mut leaf) = (codes(above * states), codes(classes * states));
        (0..above).for_each(|u| edge[u * states + u % states] = 3);
        (0..states).for_each(|k| leaf[k % classes * states + k] = 2);
        weights.edges.push(edge);
        weights.leaves.push(leaf);
    }
    weights
}

fn records(weights: &Weights, count: usize, seed: u64) -> Vec<u8> {
    let mut rng = SplitMix(seed);
    let mut sizes = vec![0; weights.nodes.len()];
    weights.nodes.iter().for_each(|n| {
        sizes[usize::from(n.variable)] = weights.alphabets[usize::from(n.alphabet)].class.len() as u64;
    });
    (0..count).flat_map(|_| sizes.iter().map(|&n| rng.below(n) as u8).collect::<Vec<_>>()).collect()
}

/// Windows of records, in blocks of the given numbers of records, with the raw bytes of each.
fn windows(
    weights: &Weights,
    model: &Model,
    blocks: &[usize],
    payload: usize,
) -> Vec<(Vec<u8>, EncodedWindow)> {
    let raw: Vec<Vec<u8>> =
        blocks.iter().enumerate().map(|(i, &count)| records(weights, count, i as u64)).collect();
    let slices: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let limits = WindowLimits { payload, raw: 1 << 18 };
    let mut out = Vec::new();
    for (raw, windows) in raw.iter().zip(encode(model, &Arrangement::Bytes, &slices, limits).unwrap()) {
        let mut rest = &raw[..];
        for window in windows {
            let (own, after) = rest.split_at(window.raw_len);
            out.push((own.to_vec(), window));
            rest = after;
        }
    }
    out
}

/// Decodes windows on the GPU with a limit of iterations; returns which of them are damaged, and the raw
/// bytes.
fn decoded(
    gpu: &Gpu,
    model: &Model,
    windows: &[(Vec<u8>, EncodedWindow)],
    most: usize,
) -> (Vec<usize>, Vec<Vec<u8>>) {
    let packed = PackedCircuit::new(model);
    let mut raw: Vec<Vec<u8>> = windows.iter().map(|(raw, _)| vec![0xAA; raw.len()]).collect();
    let jobs = windows.iter().zip(&mut raw).map(|((_, w), raw)| WindowJob { payload: &w.payload, raw });
    let mut jobs: Vec<WindowJob<'_>> = jobs.collect();
    let kernel = CircuitKernel::new(gpu, &packed, most).unwrap();
    let corrupt = lanes::decode(&kernel, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
    (corrupt, raw)
}

fn check(weights: &Weights, blocks: &[usize], payload: usize, most: usize) {
    let Some(gpu) = gpu() else { return };
    let model = Model::new(weights).unwrap();
    let windows = windows(weights, &model, blocks, payload);
    let before = gpu.counters().decoded_bytes;
    let (corrupt, raw) = decoded(&gpu, &model, &windows, most);
    assert!(corrupt.is_empty());
    for (i, ((expected, _), found)) in windows.iter().zip(&raw).enumerate() {
        assert!(expected == found, "window {i} of {}", windows.len());
    }
    let bytes: usize = blocks.iter().map(|n| n * weights.nodes.len()).sum();
    assert_eq!(gpu.counters().decoded_bytes - before, bytes as u64);
}

#[test]
fn any_circuit_any_lanes() {
    for seed in 0..12 {
        let weights =
            circuit(seed, [1, 2, 3, 7, 12][seed as usize % 5], [2, 4, 10, 30][seed as usize % 4], 9);
        let lanes = [1, 2, 15, 16, 17, 33][seed as usize % 6];
        let blocks: Vec<usize> = (0..lanes).map(|i| 1 + i * 7 % 9).collect();
        check(&weights, &blocks, 256, 60_000);
    }
}

#[test]
fn wide_messages_and_large_alphabets() {
    check(&circuit(100, 4, 256, 256), &[3, 2], 256, 60_000);
    check(&circuit(101, 3, 40, 256), &[30; 5], 128, 60_000);
}

#[test]
fn records_in_several_dispatches() {
    let weights = circuit(102, 12, 12, 20);
    // Several records per dispatch, several dispatches per record, one instruction per dispatch.
    for most in [2500, 700, 330] {
        check(&weights, &[9, 4, 1], 256, most);
    }
    let packed = PackedCircuit::new(&Model::new(&weights).unwrap());
    assert!(packed.schedule(200).is_none());
}

#[test]
fn long_windows() {
    // More than 65,535 iterations of a thread.
    check(&circuit(103, 5, 8, 9), &[400], 4096, 60_000);
}

#[test]
fn damaged_payloads_end_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let mut rng = SplitMix(5);
    let mut errors = 0;
    for seed in 200..208 {
        let weights = circuit(seed, 5, 10, 12);
        let model = Model::new(&weights).unwrap();
        let mut windows = windows(&weights, &model, &[20; 10], 64);
        for (_, window) in windows.iter_mut().filter(|w| !w.1.payload.is_empty()) {
            let len = window.payload.len();
            match rng.below(4) {
                0 => window.payload.truncate(rng.below(len as u64) as usize),
                1 => window.payload[..len.min(8)].fill(0xFF),
                _ => window.payload[rng.below(len as u64) as usize] ^= 1 << rng.below(8),
            }
        }
        let (corrupt, raw) = decoded(&gpu, &model, &windows, 60_000);
        for (i, ((_, window), found)) in windows.iter().zip(&raw).enumerate() {
            let mut expected = vec![0; found.len()];
            let job = WindowJob { payload: &window.payload, raw: &mut expected };
            let failed = decode(&model, &Arrangement::Bytes, &mut [job], Kernel::best()).is_err();
            assert_eq!(failed, corrupt.contains(&i), "window {i}");
            assert!(failed || expected == *found, "window {i}");
            errors += usize::from(failed);
        }
    }
    assert!(errors > 0);
}
