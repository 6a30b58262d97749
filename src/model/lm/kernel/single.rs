//! The parts of the step between the matrix products for one column by itself: a vector holds eight of its
//! rows. The arithmetic is that of [`super::elementwise`]. The padding rows of the residual stream are 0;
//! those of other numbers may hold any value.

use super::elementwise::{self as ops, TREE_NODES};
use super::{GROUP, Vector, pair};

/// Eight consecutive rows of the column.
type Rows = [i32; GROUP];

/// Stores eight consecutive rows as four pairs.
#[inline(always)]
fn store_pairs<V: Vector>(rows: V, out: &mut [i32; GROUP / 2]) {
    let mut values = [0; GROUP];
    rows.store(&mut values);
    for (out, values) in out.iter_mut().zip(values.as_chunks::<2>().0) {
        *out = pair(values[0], values[1]);
    }
}

/// The norm of the `width` rows in `x`, which are padded with zeros, as activations.
#[inline(always)]
pub fn norm<V: Vector>(x: &[Rows], width: usize, out: &mut [i32]) {
    let scale = V::splat(ops::norm_scale(V::sum_squares(x).iter().sum(), width));
    for (x, out) in x.iter().zip(out.as_chunks_mut().0) {
        store_pairs(ops::normed(x, scale), out);
    }
}

/// The recurrence: `gates` holds three parts of `state` rows each, followed by at least one more vector of
/// any values.
#[inline(always)]
pub fn recur<V: Vector>(gates: &[i32], state: usize, h: &mut [Rows], out: &mut [i32]) {
    let part = |number: usize| gates[number * state..].as_chunks::<GROUP>().0;
    let gates = part(0).iter().zip(part(1)).zip(part(2));
    for ((((update, candidate), gate), h), out) in gates.zip(h).zip(out.as_chunks_mut().0) {
        store_pairs(ops::recur_row::<V>(update, candidate, gate, h), out);
    }
}

/// The squared rectifier, as activations.
#[inline(always)]
pub fn squared_relu<V: Vector>(p: &[Rows], out: &mut [i32]) {
    for (p, out) in p.iter().zip(out.as_chunks_mut().0) {
        store_pairs(ops::square::<V>(p), out);
    }
}

/// The tree of weight sums of 256 log weights (Q8 octaves).
#[inline(always)]
pub fn weight_tree<V: Vector>(logits: &[Rows], tree: &mut [u32; TREE_NODES]) {
    let mut most = V::splat(i32::MIN);
    for l in logits {
        most = most.max(V::load(l));
    }
    let mut columns = [0; GROUP];
    most.store(&mut columns);
    let most = V::splat(columns.into_iter().fold(i32::MIN, i32::max));
    for (l, weights) in logits.iter().zip(tree[256..].as_chunks_mut::<GROUP>().0) {
        ops::weight(l, most).store(&mut columns);
        *weights = columns.map(|w| w as u32);
    }
    for node in (1..256).rev() {
        tree[node] = tree[2 * node] + tree[2 * node + 1];
    }
}
