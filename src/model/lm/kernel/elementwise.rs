//! The parts of the step between the matrix products (`formats/lm.md`, section "Step"), as loops over
//! whole groups of columns that compilers turn into vector code. Columns beyond those in use hold
//! anything, so nothing here may panic or depend on what the inputs are.

use super::super::tables::{EXP2, squash};
use super::{GROUP, pair};

/// Largest magnitude of the residual stream (Q12).
const RESIDUAL_MAX: i32 = (1 << 22) - 1;
/// Largest magnitude of an int16 activation.
const ACTIVATION_MAX: i32 = 32767;
/// Cap of the feed-forward part before squaring (Q8): its square just fits an activation.
const RELU_MAX: i32 = 1448;
/// One node for each set of symbols with a common prefix: node 1 is the root, node n has the
/// children 2n and 2n + 1, leaf 256 + s is symbol s.
pub const TREE_NODES: usize = 512;

/// Where the columns of a call lie.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// Distance between rows.
    pub stride: usize,
    /// Columns in use, at most `stride`.
    pub count: usize,
}

impl Columns {
    /// First columns of the groups that hold columns in use.
    #[inline(always)]
    fn groups(self) -> impl Iterator<Item = usize> {
        (0..self.count).step_by(GROUP)
    }
}

/// The group of columns of a row, as an array.
#[inline(always)]
fn group(data: &[i32], at: usize) -> &[i32; GROUP] {
    data[at..at + GROUP].try_into().expect("a slice of this length")
}

#[inline(always)]
fn group_mut(data: &mut [i32], at: usize) -> &mut [i32; GROUP] {
    (&mut data[at..at + GROUP]).try_into().expect("a slice of this length")
}

/// `x = clamp(x + p)` for `rows` rows, with the sum as if unbounded.
#[inline(always)]
pub fn add(x: &mut [i32], p: &[i32], rows: usize, columns: Columns) {
    for r in 0..rows {
        for c in columns.groups() {
            let at = r * columns.stride + c;
            let (x, p) = (group_mut(x, at), group(p, at));
            for (x, &p) in x.iter_mut().zip(p) {
                // |x| < 2^22, so that limiting p first changes nothing.
                *x = (*x + p.clamp(-(1 << 23), 1 << 23)).clamp(-RESIDUAL_MAX, RESIDUAL_MAX);
            }
        }
    }
}

/// Norm: the rows of `x` over their root mean square per column, in Q10, as activations.
#[inline(always)]
pub fn norm(x: &[i32], rows: usize, columns: Columns, out: &mut [i32]) {
    for c in columns.groups() {
        let mut squares = [0i64; GROUP];
        for r in 0..rows {
            for (sum, &x) in squares.iter_mut().zip(group(x, r * columns.stride + c)) {
                *sum += i64::from(x) * i64::from(x);
            }
        }
        let scale = squares.map(|sum| norm_scale(sum, rows));
        for r in (0..rows).step_by(2) {
            let at = r * columns.stride + c;
            let (even, odd) = (group(x, at), group(x, at + columns.stride));
            let out = group_mut(out, r / 2 * columns.stride + c);
            for i in 0..GROUP {
                out[i] = pair(normed(even[i], scale[i]), normed(odd[i], scale[i]));
            }
        }
    }
}

/// 2^36 over the root mean square in Q16, from the sum of squares of `rows` Q12 numbers.
#[inline(always)]
fn norm_scale(sum: i64, rows: usize) -> i32 {
    let rms = (sum as u64 * 256 / rows as u64).isqrt();
    ((1u64 << 36) / rms.max(64)) as i32
}

#[inline(always)]
fn normed(x: i32, scale: i32) -> i32 {
    // The quotient is below 2^16 in magnitude, so a logical shift gives the same low 32 bits.
    let wide = i64::from(x) * i64::from(scale) + (1 << 21);
    ((wide as u64 >> 22) as i32).clamp(-ACTIVATION_MAX, ACTIVATION_MAX)
}

/// One step of a recurrence: the new state and the layer's output.
#[inline(always)]
fn recur(h: i32, update: i32, candidate: i32, output: i32) -> (i32, i32) {
    let target = candidate.clamp(-ACTIVATION_MAX, ACTIVATION_MAX) << 9;
    let wide = i64::from(squash(update)) * i64::from(target - h) + (1 << 15);
    let h = h + (wide as u64 >> 16) as i32;
    let y = ((h >> 9) * squash(output) + (1 << 15)) >> 16;
    (h, y)
}

/// The recurrence where every column is a window of its own: `h` is `[rows][stride]`. `gates` holds
/// update gate, candidate and output gate, `rows` each; the output goes to `out` as activations.
#[inline(always)]
pub fn recur_lanes(gates: &[i32], h: &mut [i32], rows: usize, columns: Columns, out: &mut [i32]) {
    let part = rows * columns.stride;
    let (updates, rest) = gates.split_at(part);
    let (candidates, outputs) = rest.split_at(part);
    for r in (0..rows).step_by(2) {
        for c in columns.groups() {
            let mut y = [[0; GROUP]; 2];
            for (half, y) in y.iter_mut().enumerate() {
                let at = (r + half) * columns.stride + c;
                let (a, b, g) = (group(updates, at), group(candidates, at), group(outputs, at));
                let h = group_mut(h, at);
                for i in 0..GROUP {
                    (h[i], y[i]) = recur(h[i], a[i], b[i], g[i]);
                }
            }
            let out = group_mut(out, r / 2 * columns.stride + c);
            for i in 0..GROUP {
                out[i] = pair(y[0][i], y[1][i]);
            }
        }
    }
}

/// The recurrence where the columns are successive time steps of one window: `h` has one number per
/// row and afterwards holds the state after the last column in use.
#[inline(always)]
pub fn recur_time(gates: &[i32], h: &mut [i32], rows: usize, columns: Columns, out: &mut [i32]) {
    let part = rows * columns.stride;
    let (updates, rest) = gates.split_at(part);
    let (candidates, outputs) = rest.split_at(part);
    for r in (0..rows).step_by(2) {
        let span = |r: usize| r * columns.stride..r * columns.stride + columns.count;
        let (a0, b0, g0) = (&updates[span(r)], &candidates[span(r)], &outputs[span(r)]);
        let (a1, b1, g1) = (&updates[span(r + 1)], &candidates[span(r + 1)], &outputs[span(r + 1)]);
        let out = &mut out[span(r / 2)];
        let (mut even, mut odd) = (h[r], h[r + 1]);
        for c in 0..columns.count {
            let y;
            let z;
            (even, y) = recur(even, a0[c], b0[c], g0[c]);
            (odd, z) = recur(odd, a1[c], b1[c], g1[c]);
            out[c] = pair(y, z);
        }
        (h[r], h[r + 1]) = (even, odd);
    }
}

/// Squared rectifier: `rows` rows of `p` as activations.
#[inline(always)]
pub fn squared_relu(p: &[i32], rows: usize, columns: Columns, out: &mut [i32]) {
    let square = |p: i32| {
        let q = p.clamp(0, RELU_MAX);
        (q * q + 32) >> 6
    };
    for r in (0..rows).step_by(2) {
        for c in columns.groups() {
            let at = r * columns.stride + c;
            let (even, odd) = (group(p, at), group(p, at + columns.stride));
            let out = group_mut(out, r / 2 * columns.stride + c);
            for i in 0..GROUP {
                out[i] = pair(square(even[i]), square(odd[i]));
            }
        }
    }
}

/// Turns log weights `[256][stride]` (Q8 octaves) into the tree of weight sums
/// `[TREE_NODES][stride]`; rows 256.. of it are the weights of the symbols.
#[inline(always)]
pub fn weight_tree(logits: &[i32], columns: Columns, tree: &mut [i32]) {
    let stride = columns.stride;
    for c in columns.groups() {
        let mut max = [i32::MIN; GROUP];
        for s in 0..256 {
            for (max, &l) in max.iter_mut().zip(group(logits, s * stride + c)) {
                *max = (*max).max(l);
            }
        }
        for s in 0..256 {
            let l = group(logits, s * stride + c);
            let weights = group_mut(tree, (256 + s) * stride + c);
            for i in 0..GROUP {
                let d = (max[i] as u32).wrapping_sub(l[i] as u32).min(8191);
                weights[i] = (EXP2[(d & 255) as usize] >> (d >> 8)) as i32 + 1;
            }
        }
        for node in (1..256).rev() {
            let (left, right) =
                (*group(tree, 2 * node * stride + c), *group(tree, (2 * node + 1) * stride + c));
            let sum = group_mut(tree, node * stride + c);
            for i in 0..GROUP {
                sum[i] = left[i].wrapping_add(right[i]);
            }
        }
    }
}
