//! Fused float operations with their own backward passes.

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// The largest value of a rectified unit before it is squared: 1448 in Q8 (`formats/lm.md`, step 3.6).
const RELU_LIMIT: f32 = 1448.0 / 256.0;

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::Msg("operation wants a contiguous tensor".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn values(t: &Tensor) -> Result<Vec<f32>> {
    t.flatten_all()?.to_vec1::<f32>()
}

/// e^x without branches, so that loops vectorise; its relative error of about 1e-5 does not matter in
/// training.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let t = (x * std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    let whole = (t + 12_582_912.0) - 12_582_912.0;
    let f = t - whole;
    let p = 1.0
        + f * (std::f32::consts::LN_2
            + f * (0.240_226_5 + f * (0.055_504_1 + f * (0.009_618_1 + f * 0.001_333_4))));
    p * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019), without a gain: the
/// matrix that follows already has one.
pub struct RmsNorm;

const NORM_EPS: f32 = 1e-6;

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(s, l)?;
        let d = l.dims()[l.dims().len() - 1];
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(d * 64).zip(x.par_chunks(d * 64)).for_each(|(o, x)| {
            for (o, x) in o.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                let scale = inverse_rms(x);
                o.iter_mut().zip(x).for_each(|(o, x)| *o = x * scale);
            }
        });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let d = arg.dims()[arg.dims().len() - 1];
        let (x, n, g) = (values(arg)?, values(res)?, values(grad)?);
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(d)
            .zip(x.par_chunks(d).zip(n.par_chunks(d)).zip(g.par_chunks(d)))
            .with_min_len(64)
            .for_each(|(o, ((x, n), g))| {
                let scale = inverse_rms(x);
                let dot = n.iter().zip(g).map(|(n, g)| n * g).sum::<f32>() / d as f32;
                for i in 0..d {
                    o[i] = scale * (g[i] - n[i] * dot);
                }
            });
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

fn inverse_rms(x: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for c in x.chunks_exact(8) {
        for (s, v) in sums.iter_mut().zip(c) {
            *s += v * v;
        }
    }
    let tail: f32 = x.chunks_exact(8).remainder().iter().map(|v| v * v).sum();
    1.0 / ((sums.iter().sum::<f32>() + tail) / x.len() as f32 + NORM_EPS).sqrt()
}

/// min(max(x, 0), limit)².
pub struct ReluSquared;

impl CustomOp1 for ReluSquared {
    fn name(&self) -> &'static str {
        "relu-squared"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(s, l)?;
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(8192).zip(x.par_chunks(8192)).for_each(|(o, x)| {
            for (o, x) in o.iter_mut().zip(x) {
                let r = x.clamp(0.0, RELU_LIMIT);
                *o = r * r;
            }
        });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, mut g) = (values(arg)?, values(grad)?);
        g.par_chunks_mut(8192).zip(x.par_chunks(8192)).for_each(|(g, x)| {
            for (g, x) in g.iter_mut().zip(x) {
                *g *= if *x > 0.0 && *x < RELU_LIMIT { 2.0 * x } else { 0.0 };
            }
        });
        Ok(Some(Tensor::from_vec(g, arg.shape(), arg.device())?))
    }
}

/// The states after every step of a `Recurrence`: `lanes × steps × state`.
pub type States = Arc<Mutex<Vec<f32>>>;

/// Gated linear recurrence (the minGRU family, Feng et al. 2024) over `lanes` sequences of `steps`:
/// h = h + σ(a)·(b − h), y = h·σ(g). Arguments: gate pre-activations `(lanes·steps) × 3·state` in the order
/// a, b, g; their bias `3·state`; the states before the first step `lanes × state` (no gradient).
pub struct Recurrence {
    pub lanes: usize,
    pub state: usize,
    pub states: States,
}

impl Recurrence {
    fn steps(&self, gates: usize) -> usize {
        gates / (self.lanes * 3 * self.state)
    }
}

impl CustomOp3 for Recurrence {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gates, bias, start) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let (n, steps) = (self.state, self.steps(gates.len()));
        let mut out = vec![0f32; self.lanes * steps * n];
        let mut states = vec![0f32; self.lanes * steps * n];
        let lane_outputs = out.par_chunks_mut(steps * n).zip(states.par_chunks_mut(steps * n));
        let lane_inputs = gates.par_chunks(steps * 3 * n).zip(start.par_chunks(n));
        lane_outputs.zip(lane_inputs).for_each(|((out, states), (gates, start))| {
            let mut h = start.to_vec();
            let rows = out.chunks_exact_mut(n).zip(states.chunks_exact_mut(n)).zip(gates.chunks_exact(3 * n));
            for ((y, kept), gates) in rows {
                let (a, rest) = gates.split_at(n);
                let (b, g) = rest.split_at(n);
                for i in 0..n {
                    let z = sigmoid(a[i] + bias[i]);
                    let o = sigmoid(g[i] + bias[2 * n + i]);
                    h[i] += z * (b[i] + bias[n + i] - h[i]);
                    y[i] = h[i] * o;
                }
                kept.copy_from_slice(&h);
            }
        });
        *self.states.lock().expect("no panic while held") = states;
        Ok((CpuStorage::F32(out), Shape::from((self.lanes * steps, n))))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        bias: &Tensor,
        start: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (g, b, s, dy) = (values(gates)?, values(bias)?, values(start)?, values(grad)?);
        let (n, steps) = (self.state, self.steps(g.len()));
        let states = std::mem::take(&mut *self.states.lock().expect("no panic while held"));
        let mut dg = vec![0f32; g.len()];
        let bias_parts: Vec<Vec<f32>> = dg
            .par_chunks_mut(steps * 3 * n)
            .enumerate()
            .map(|(lane, dg)| {
                let part = |width: usize| lane * steps * width..(lane + 1) * steps * width;
                let lane = LaneBackward {
                    n,
                    gates: &g[part(3 * n)],
                    bias: &b,
                    start: &s[lane * n..(lane + 1) * n],
                    states: &states[part(n)],
                    dy: &dy[part(n)],
                };
                lane.run(dg)
            })
            .collect();
        let mut db = vec![0f32; 3 * n];
        for part in &bias_parts {
            db.iter_mut().zip(part).for_each(|(d, p)| *d += p);
        }
        let dg = Tensor::from_vec(dg, gates.shape(), gates.device())?;
        Ok((Some(dg), Some(Tensor::from_vec(db, bias.shape(), bias.device())?), None))
    }
}

/// The backward pass of one lane, from its last step to its first.
struct LaneBackward<'a> {
    n: usize,
    gates: &'a [f32],
    bias: &'a [f32],
    start: &'a [f32],
    states: &'a [f32],
    dy: &'a [f32],
}

impl LaneBackward<'_> {
    /// Fills `dg` (like `gates`) and returns the gradient of the bias.
    fn run(&self, dg: &mut [f32]) -> Vec<f32> {
        let n = self.n;
        let (mut dh, mut db) = (vec![0f32; n], vec![0f32; 3 * n]);
        for t in (0..self.dy.len() / n).rev() {
            let before = if t == 0 { self.start } else { &self.states[(t - 1) * n..t * n] };
            let h = &self.states[t * n..(t + 1) * n];
            let dy = &self.dy[t * n..(t + 1) * n];
            let (a, rest) = self.gates[t * 3 * n..(t + 1) * 3 * n].split_at(n);
            let (b, g) = rest.split_at(n);
            let (da, rest) = dg[t * 3 * n..(t + 1) * 3 * n].split_at_mut(n);
            let (dc, dgate) = rest.split_at_mut(n);
            let (bias_a, rest) = self.bias.split_at(n);
            let (bias_b, bias_g) = rest.split_at(n);
            for i in 0..n {
                let z = sigmoid(a[i] + bias_a[i]);
                let o = sigmoid(g[i] + bias_g[i]);
                dgate[i] = dy[i] * h[i] * o * (1.0 - o);
                let d = dh[i] + dy[i] * o;
                da[i] = d * (b[i] + bias_b[i] - before[i]) * z * (1.0 - z);
                dc[i] = d * z;
                dh[i] = d * (1.0 - z);
            }
            db.iter_mut().zip(&dg[t * 3 * n..(t + 1) * 3 * n]).for_each(|(s, d)| *s += d);
        }
        db
    }
}

/// Mean cross-entropy in nats of `targets` under softmax(logits + bias). Arguments: logits `rows × 256`, bias
/// `256`.
pub struct CrossEntropy {
    pub targets: Arc<Vec<u8>>,
    probabilities: Mutex<Vec<f32>>,
}

impl CrossEntropy {
    pub fn new(targets: Arc<Vec<u8>>) -> Self {
        Self { targets, probabilities: Mutex::default() }
    }
}

impl CustomOp2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (logits, bias) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut p = vec![0f32; logits.len()];
        let loss: f64 = p
            .par_chunks_mut(256 * 64)
            .zip(logits.par_chunks(256 * 64).zip(self.targets.par_chunks(64)))
            .map(|(p, (logits, targets))| {
                let rows = p.chunks_exact_mut(256).zip(logits.chunks_exact(256)).zip(targets);
                rows.map(|((p, l), &target)| softmax_row(p, l, bias, target)).sum::<f64>()
            })
            .sum();
        *self.probabilities.lock().expect("no panic while held") = p;
        Ok((CpuStorage::F32(vec![(loss / self.targets.len() as f64) as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = grad.to_scalar::<f32>()? / self.targets.len() as f32;
        let mut d = std::mem::take(&mut *self.probabilities.lock().expect("no panic while held"));
        d.par_chunks_mut(256).zip(self.targets.par_iter()).with_min_len(64).for_each(|(row, &target)| {
            row[target as usize] -= 1.0;
            row.iter_mut().for_each(|v| *v *= scale);
        });
        let mut db = vec![0f32; 256];
        for row in d.chunks_exact(256) {
            db.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        let d = Tensor::from_vec(d, logits.shape(), logits.device())?;
        Ok((Some(d), Some(Tensor::from_vec(db, bias.shape(), bias.device())?)))
    }
}

/// Fills `p` with softmax(l + bias) and returns the target's −ln p.
fn softmax_row(p: &mut [f32], l: &[f32], bias: &[f32], target: u8) -> f64 {
    p.iter_mut().zip(l.iter().zip(bias)).for_each(|(p, (l, b))| *p = l + b);
    let max = p.iter().copied().fold(f32::MIN, f32::max);
    let wanted = p[target as usize] - max;
    p.iter_mut().for_each(|v| *v = exp(*v - max));
    let sum: f32 = p.iter().sum();
    let inverse = 1.0 / sum;
    p.iter_mut().for_each(|v| *v *= inverse);
    f64::from(sum.ln() - wanted)
}

/// Passes gradients through unchanged; the forward value is replaced (straight-through estimator, Bengio et
/// al. 2013).
pub struct StraightThrough(pub Vec<f32>);

impl CustomOp1 for StraightThrough {
    fn name(&self) -> &'static str {
        "straight-through"
    }

    fn cpu_fwd(&self, _s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.0.clone()), l.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.clone()))
    }
}
