//! The parts of the step between the matrix products (`formats/lm.md`, section "Step"), for one group of
//! columns. Columns beyond those in use may hold any values, so nothing here may panic, whatever the inputs
//! are.
//!
//! Vector operations are only called from `inline(always)` functions, and not from closures: they must end up
//! inside the function that is compiled for the instruction set.

use super::{GROUP, Vector};

/// The largest magnitude of the residual stream (Q12).
const RESIDUAL_MAX: i32 = (1 << 22) - 1;
/// The largest magnitude of an int16 activation.
const ACTIVATION_MAX: i32 = 32767;
/// The cap of the feed-forward part before squaring (Q8): its square just fits into an activation.
const RELU_MAX: i32 = 1448;
/// The number of nodes in the tree of weight sums, one for each set of symbols with a common prefix: node 1
/// is the root, node n has the children 2n and 2n + 1, leaf 256 + s is symbol s. Node 0 is not used.
pub const TREE_NODES: usize = 512;

/// The numbers of a group's eight columns in one row.
pub type Row = [i32; GROUP];

#[inline(always)]
fn clamp<V: Vector>(x: V, low: i32, high: i32) -> V {
    x.max(V::splat(low)).min(V::splat(high))
}

/// Adds `p` to the residual stream, `x = clamp(x + p)`, as if the sum had no bounds before it is clamped.
#[inline(always)]
pub fn add<V: Vector>(x: &mut [Row], p: &[Row]) {
    for (x, p) in x.iter_mut().zip(p) {
        // |x| < 2^22, so clamping p first changes nothing, and the sum does not wrap.
        let p = clamp(V::load(p), -(1 << 23), 1 << 23);
        clamp(V::load(x).add(p), -RESIDUAL_MAX, RESIDUAL_MAX).store(x);
    }
}

/// The norm: the rows of `x` divided by their root mean square in each column, in Q10, as activations.
#[inline(always)]
pub fn norm<V: Vector>(x: &[Row], out: &mut [Row]) {
    let scale = V::load(&V::sum_squares(x).map(|sum| norm_scale(sum, x.len())));
    for (x, out) in x.as_chunks::<2>().0.iter().zip(out) {
        normed(&x[0], scale).pair(normed(&x[1], scale)).store(out);
    }
}

/// A row times the norm's scale (Q10).
#[inline(always)]
pub fn normed<V: Vector>(x: &Row, scale: V) -> V {
    // The quotient is below 2^16 in magnitude, so its low 32 bits are all of it.
    clamp(V::load(x).mul_shift::<22>(scale), -ACTIVATION_MAX, ACTIVATION_MAX)
}

/// The norm's scale, 2^36 over the root mean square in Q16, from the sum of squares of `rows` numbers in Q12.
#[inline(always)]
pub fn norm_scale(sum: u64, rows: usize) -> i32 {
    let rms = (sum * 256 / rows as u64).isqrt();
    ((1u64 << 36) / rms.max(64)) as i32
}

/// Splits the product of the gates into its parts: update gate, candidate, output gate.
#[inline(always)]
fn gate_parts(gates: &[Row], rows: usize) -> (&[Row], &[Row], &[Row]) {
    let (updates, rest) = gates.split_at(rows);
    let (candidates, outputs) = rest.split_at(rows);
    (updates, candidates, outputs)
}

/// The state (Q20) towards which a candidate moves.
#[inline(always)]
fn target<V: Vector>(candidate: &Row) -> V {
    clamp(V::load(candidate), -ACTIVATION_MAX, ACTIVATION_MAX).shift_left::<9>()
}

/// The output (Q11) of a layer for a state: the state, gated.
#[inline(always)]
fn output<V: Vector>(h: V, gate: &Row) -> V {
    let gate = V::load(gate).squash();
    h.shift_right::<9>().mul(gate).add(V::splat(1 << 15)).shift_right::<16>()
}

/// The recurrence where every column is a window of its own: `h` holds one row for each state. The output
/// goes to `out` as activations.
#[inline(always)]
pub fn recur_lanes<V: Vector>(gates: &[Row], h: &mut [Row], out: &mut [Row]) {
    let (updates, candidates, outputs) = gate_parts(gates, h.len());
    for (r, out) in (0..outputs.len()).step_by(2).zip(out) {
        let even = recur_row::<V>(&updates[r], &candidates[r], &outputs[r], &mut h[r]);
        let odd = recur_row::<V>(&updates[r + 1], &candidates[r + 1], &outputs[r + 1], &mut h[r + 1]);
        even.pair(odd).store(out);
    }
}

/// One row of the recurrence: moves the state towards its target by the share that the update gate opens, and
/// returns the output (Q11).
#[inline(always)]
pub fn recur_row<V: Vector>(update: &Row, candidate: &Row, gate: &Row, h: &mut Row) -> V {
    let old = V::load(h);
    let new = old.add(V::load(update).squash().mul_shift::<16>(target::<V>(candidate).sub(old)));
    new.store(h);
    output(new, gate)
}

/// The recurrence where the first `steps` columns are successive time steps of one window: `h` holds one
/// number for each state, and is updated to the state after those steps.
#[inline(always)]
pub fn recur_time<V: Vector>(gates: &[Row], h: &mut [i32], steps: usize, out: &mut [Row]) {
    let (updates, candidates, outputs) = gate_parts(gates, h.len());
    for (r, out) in (0..outputs.len()).step_by(2).zip(out) {
        let even = recur_steps::<V>(&updates[r], &candidates[r], &outputs[r], steps, &mut h[r]);
        let odd =
            recur_steps::<V>(&updates[r + 1], &candidates[r + 1], &outputs[r + 1], steps, &mut h[r + 1]);
        even.pair(odd).store(out);
    }
}

/// One row of the recurrence over time steps. Only the state itself goes step by step; its gates and targets
/// are computed for all steps at once.
#[inline(always)]
fn recur_steps<V: Vector>(update: &Row, candidate: &Row, gate: &Row, steps: usize, h: &mut i32) -> V {
    let (mut weight, mut wanted, mut states) = ([0; GROUP], [0; GROUP], [0; GROUP]);
    V::load(update).squash().store(&mut weight);
    target::<V>(candidate).store(&mut wanted);
    let mut state = *h;
    for t in 0..GROUP {
        let change = i64::from(weight[t]) * i64::from(wanted[t] - state) + (1 << 15);
        state += (change >> 16) as i32;
        states[t] = state;
    }
    *h = states[steps - 1];
    output(V::load(&states), gate)
}

/// The squared rectifier, as activations.
#[inline(always)]
pub fn squared_relu<V: Vector>(p: &[Row], out: &mut [Row]) {
    for (p, out) in p.as_chunks::<2>().0.iter().zip(out) {
        square::<V>(&p[0]).pair(square(&p[1])).store(out);
    }
}

/// The squared rectifier of one row (Q10).
#[inline(always)]
pub fn square<V: Vector>(p: &Row) -> V {
    let q = clamp(V::load(p), 0, RELU_MAX);
    q.mul(q).add(V::splat(32)).shift_right::<6>()
}

/// Turns log weights (256 rows, Q8 octaves) into the tree of weight sums; its rows 256.. are the weights of
/// the symbols.
#[inline(always)]
pub fn weight_tree<V: Vector>(logits: &[Row], tree: &mut [Row]) {
    let mut max = V::splat(i32::MIN);
    for l in logits {
        max = max.max(V::load(l));
    }
    for (l, weight) in logits.iter().zip(&mut tree[256..]) {
        self::weight(l, max).store(weight);
    }
    for node in (1..256).rev() {
        let sum = V::load(&tree[2 * node]).add(V::load(&tree[2 * node + 1]));
        sum.store(&mut tree[node]);
    }
}

/// The weight (Q22, plus 1) of a log weight, relative to the greatest one `max`.
#[inline(always)]
pub fn weight<V: Vector>(logit: &Row, max: V) -> V {
    let d = max.sub(V::load(logit)).min_unsigned(V::splat(8191));
    d.exp2().add(V::splat(1))
}
