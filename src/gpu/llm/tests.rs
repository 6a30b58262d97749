//! Compares steps on the GPU with the CPU, bit for bit.

use super::decode::decode;
use super::pack::PackedLlm;
use super::step::GpuSession;
use crate::codec::llm::{decode_windows, encode_blocks};
use crate::codec::window::{WindowJob, WindowLimits};
use crate::gpu::context::Gpu;
use crate::gpu::tests::gpu;
use crate::kernel::Kernel;
use crate::model::llm::cuts::Cut;
use crate::model::llm::weights::{Layer, Matrix, Scale};
use crate::model::llm::{self, Column, Model, Shape, Tokenizer, Weights};
use crate::random::SplitMix;
use std::collections::BTreeSet;

/// Random int8 weights whose sums stay in range, with multipliers around 2^23.
fn matrix(rng: &mut SplitMix, rows: usize, cols: usize, exponent: u8) -> Matrix {
    let most = (1 + rng.below(127)) as i64;
    let weights = (0..rows * cols).map(|_| (rng.below(2 * most as u64 + 1) as i64 - most) as i8).collect();
    let multipliers = (0..rows).map(|_| rng.below(1 << 24) as u32).collect();
    Matrix { rows, cols, scale: Scale { exponent, multipliers }, weights }
}

fn gains(rng: &mut SplitMix, n: usize) -> Vec<i32> {
    (0..n).map(|_| rng.below(1 << 22) as i32 - (1 << 20)).collect()
}

/// A model of random weights. Exponents keep activations within their usual magnitudes or, with `any`, are
/// arbitrary.
fn model(seed: u64, shape: Shape, own_head: bool, any: bool) -> Weights {
    let mut rng = SplitMix(seed);
    let matrix = |rng: &mut SplitMix, rows, cols, exponent| {
        let exponent = if any { 24 + rng.below(16) as u8 } else { exponent };
        self::matrix(rng, rows, cols, exponent)
    };
    let (q, kv) = (shape.heads * shape.head, shape.kv_heads * shape.head);
    let (d, m) = (shape.width, shape.hidden);
    let layer = |rng: &mut SplitMix| Layer {
        attention_norm: gains(rng, d),
        query: matrix(rng, q, d, 30),
        key: matrix(rng, kv, d, 36),
        value: matrix(rng, kv, d, 36),
        output: matrix(rng, d, q, 33),
        hidden_norm: gains(rng, d),
        gate: matrix(rng, m, d, 35),
        up: matrix(rng, m, d, 35),
        down: matrix(rng, d, m, 35),
    };
    let embedding = matrix(&mut rng, shape.vocab, d, 30);
    let layers = (0..shape.layers).map(|_| layer(&mut rng)).collect();
    // The head's input is normed; with this exponent its weights differ from each other.
    let head = self::matrix(&mut rng, shape.vocab, d, 38);
    let angle = |rng: &mut SplitMix| (rng.below(1 << 15) as i32 - (1 << 14)) as i16;
    let rope = (0..shape.context * shape.head / 2).map(|_| [angle(&mut rng), angle(&mut rng)]).collect();
    Weights {
        shape,
        epsilon: rng.below(1 << 20) as u32,
        embedding,
        layers,
        final_norm: gains(&mut rng, d),
        head_scale: head.scale,
        head: own_head.then_some(head.weights),
        rope,
        tokenizer: Tokenizer::new(Cut::Nowhere, &vec![vec![b'a']; shape.vocab], &[], vec![]).unwrap(),
    }
}

/// Steps windows of the given lengths, `together` columns of each at a time. Returns the number of different
/// weights in the results.
fn check(gpu: &Gpu, weights: &Weights, lens: &[usize], together: usize) -> usize {
    let shape = weights.shape;
    let packed = PackedLlm::new(weights).unwrap();
    let model = Model::with_kernel(weights.clone(), Kernel::Scalar).unwrap();
    let tokens = *lens.iter().max().unwrap();
    let mut on_cpu = llm::Session::new(&model, lens.len(), tokens).unwrap();
    let mut on_gpu = GpuSession::new(gpu, &packed, lens.len(), tokens, lens.len() * together).unwrap();
    let mut rng = SplitMix(9);
    let mut distinct: BTreeSet<u32> = BTreeSet::new();
    for start in (0..tokens).step_by(together) {
        let mut columns = Vec::new();
        for (lane, &len) in lens.iter().enumerate() {
            let count = len.saturating_sub(start).min(together);
            columns.extend((0..count).map(|_| Column { lane, token: rng.below(shape.vocab as u64) as u32 }));
        }
        on_cpu.step(&columns);
        let found = on_gpu.step(&columns).unwrap();
        for (c, found) in found.chunks_exact(shape.vocab).enumerate() {
            llm::powers(&mut on_cpu, c);
            let expected: Vec<u32> = on_cpu.logits(c).iter().map(|&w| w as u32).collect();
            distinct.extend(&expected);
            assert!(found == expected, "{shape:?}, column {c} from token {start}");
        }
    }
    distinct.len()
}

fn shape(vocab: usize, width: usize, layers: usize, heads: [usize; 3], hidden: usize) -> Shape {
    let [heads, kv_heads, head] = heads;
    Shape { vocab, width, layers, heads, kv_heads, head, hidden, context: 300, start: 0 }
}

#[test]
fn any_shape_any_columns() {
    let Some(gpu) = gpu() else { return };
    let shapes = [
        (shape(1, 2, 1, [1, 1, 2], 2), &[1][..], 1),
        (shape(300, 16, 2, [2, 1, 8], 24), &[5, 9, 1], 1),
        (shape(70, 18, 1, [6, 3, 10], 34), &[7, 3, 4, 8, 2], 2),
        (shape(33, 64, 3, [4, 4, 16], 10), &[12], 5),
        (shape(40, 30, 1, [3, 1, 128], 300), &[4, 3], 3),
    ];
    for (seed, (shape, lens, together)) in shapes.into_iter().enumerate() {
        let distinct = check(&gpu, &model(seed as u64, shape, seed % 2 == 0, false), lens, together);
        assert!(distinct > 100 || shape.vocab == 1, "{distinct}");
    }
}

#[test]
fn positions_beyond_a_workgroup() {
    let Some(gpu) = gpu() else { return };
    check(&gpu, &model(20, shape(9, 10, 2, [2, 2, 6], 8), true, false), &[290, 3], 16);
}

#[test]
fn numbers_at_their_limits() {
    let Some(gpu) = gpu() else { return };
    let one = |seed| check(&gpu, &model(seed, shape(20, 12, 2, [2, 1, 8], 16), true, true), &[4, 4, 4], 1);
    // In some of them, all numbers become zero.
    assert!((30..42).filter(|&seed| one(seed) > 20).count() > 8);
}

/// FNV-1a with 64 bits over little-endian 32-bit numbers.
fn fnv(numbers: &[u32]) -> u64 {
    numbers.iter().flat_map(|n| n.to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn vector(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/formats/vectors/llm/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn micro() -> Weights {
    Weights::from_bytes(&vector("micro.nzllm")).unwrap()
}

#[test]
fn the_micro_model_leaves_its_trace() {
    let Some(gpu) = gpu() else { return };
    let weights = micro();
    let trace = String::from_utf8(vector("trace.txt")).unwrap();
    let packed = PackedLlm::new(&weights).unwrap();
    let mut session = GpuSession::new(&gpu, &packed, 1, weights.shape.context, 1).unwrap();
    let mut found = session.step(&[Column { lane: 0, token: weights.shape.start }]).unwrap();
    for line in trace.lines() {
        let mut words = line.split(' ').skip(1);
        let symbol: u32 = words.next().unwrap().parse().unwrap();
        assert_eq!(format!("{:016x}", fnv(&found)), words.next().unwrap(), "{line}");
        // Escaped bytes are not tokens.
        if (symbol as usize) < weights.shape.vocab && session.len(0) < weights.shape.context {
            found = session.step(&[Column { lane: 0, token: symbol }]).unwrap();
        }
    }
    session.reset(0);
    assert_eq!(session.len(0), 0);
}

/// Windows of the micro model, damaged or not, end in the same way as on the CPU.
#[test]
fn windows_decode() {
    let Some(gpu) = gpu() else { return };
    let weights = micro();
    let packed = PackedLlm::new(&weights).unwrap();
    let model = Model::new(weights).unwrap();
    let raw = vector("sample.raw");
    let windows = encode_blocks(&model, &[&raw], WindowLimits { payload: 64, raw: 2000 }).unwrap().remove(0);
    let mut payloads: Vec<(usize, Vec<u8>)> = windows.into_iter().map(|w| (w.raw_len, w.payload)).collect();
    let whole = payloads.len();
    let mut rng = SplitMix(1);
    for i in 0..8 {
        let (len, mut payload) = payloads[i % whole].clone();
        payload[rng.below(8) as usize] ^= 1 << rng.below(8);
        payloads.push((len, payload));
    }
    let mut found: Vec<Vec<u8>> = payloads.iter().map(|(len, _)| vec![0; *len]).collect();
    let jobs = payloads.iter().zip(&mut found).map(|((_, payload), raw)| WindowJob { payload, raw });
    let mut jobs: Vec<WindowJob<'_>> = jobs.collect();
    let before = gpu.counters().decoded_bytes;
    let corrupt = decode(&gpu, &packed, &model, &mut jobs.iter_mut().collect::<Vec<_>>()).unwrap();
    assert!(corrupt.iter().all(|i| *i >= whole) && found[..whole].concat() == raw);
    for (i, ((len, payload), found)) in payloads.iter().zip(&found).enumerate() {
        let mut expected = vec![0; *len];
        let failed = decode_windows(&model, &mut [WindowJob { payload, raw: &mut expected }]).is_err();
        assert_eq!(failed, corrupt.contains(&i), "window {i}");
        assert!(failed || expected == *found, "window {i}");
    }
    let bytes = |i: &usize| payloads[*i].0 as u64;
    let decoded: u64 = (0..payloads.len()).filter(|i| !corrupt.contains(i)).map(|i| bytes(&i)).sum();
    assert_eq!(gpu.counters().decoded_bytes - before, decoded);
}
