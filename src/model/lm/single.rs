//! One window that steps by itself, byte by byte. A decoder of one window must do so, and a vector of columns
//! would then be empty except for one; here a vector holds eight rows of the single column instead.

use std::borrow::Borrow;

#[cfg(target_arch = "x86_64")]
use super::kernel::Avx2;
#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
use super::kernel::Ops128;
use super::kernel::elementwise::{self, TREE_NODES};
use super::kernel::{GROUP, Ops, Scalar, single as ops};
use super::step::{Model, rows, rows_mut};
use crate::error::Result;
use crate::kernel::dispatch;
use crate::model::fixed::Aligned;

/// The weights of the 256 symbols as sums over common prefixes: entry 1 is the sum of all, the children of
/// entry n are 2n (next bit 0) and 2n + 1 (next bit 1), and entry 256 + s is symbol s. Entry 0 is not used.
pub type Sums = [u32; TREE_NODES];

/// A window that steps by itself: its recurrent state, and the scratch numbers of a step.
#[derive(Debug)]
pub struct Single<M> {
    model: M,
    states: Vec<Aligned<i32>>,
    scratch: Scratch,
}

/// The numbers of a step, padded to whole vectors.
#[derive(Debug)]
struct Scratch {
    /// The residual stream.
    x: Aligned<i32>,
    /// The result of the last product.
    product: Aligned<i32>,
    /// Activations as pairs.
    act: Aligned<i32>,
    sums: Box<Sums>,
}

impl<M: Borrow<Model>> Single<M> {
    /// A window at its start.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: M) -> Result<Self> {
        let c = model.borrow().config();
        let padded = |rows: usize| rows.next_multiple_of(GROUP);
        let inputs = [c.tables.len() * c.table_width, c.width, c.state, c.hidden];
        let outputs = [3 * c.state, c.width, c.hidden, 256];
        let states = (0..c.layers).map(|_| Aligned::zeroed(padded(c.state))).collect::<Result<_>>()?;
        let scratch = Scratch {
            x: Aligned::zeroed(padded(c.width))?,
            product: Aligned::zeroed(padded(outputs.into_iter().max().unwrap_or(0)) + GROUP)?,
            act: Aligned::zeroed(padded(inputs.into_iter().max().unwrap_or(0)) / 2)?,
            sums: Box::new([0; TREE_NODES]),
        };
        Ok(Self { states, scratch, model })
    }

    /// Steps once: returns the weights for the byte after `history`, which holds the window's bytes so far.
    /// Must be called for every byte, in order.
    pub fn step(&mut self, history: &[u8]) -> &Sums {
        let model = self.model.borrow();
        for (act, pair) in self.scratch.act.iter_mut().zip(model.embedding(history)) {
            *act = pair;
        }
        forward(model, &mut self.scratch, &mut self.states);
        &self.scratch.sums
    }

    /// Starts a new window.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(|state| state.fill(0));
    }

    /// The recurrent state of a layer (Q20), one number for each state.
    pub fn state(&self, layer: usize) -> &[i32] {
        &self.states[layer][..self.model.borrow().config().state]
    }
}

#[inline(always)]
fn forward_with<K: Ops>(model: &Model, scratch: &mut Scratch, states: &mut [Aligned<i32>]) {
    let Scratch { x, product, act, sums } = scratch;
    let (x, width, state) = (rows_mut(x), model.config().width, model.config().state);
    K::product_single(&model.input, act, product);
    x.fill([0; GROUP]);
    elementwise::add::<K::V>(x, rows(product));
    for (layer, h) in model.layers.iter().zip(states) {
        ops::norm::<K::V>(x, width, act);
        K::product_single(&layer.gates, act, product);
        ops::recur::<K::V>(product, state, rows_mut(h), act);
        K::product_single(&layer.out, act, product);
        elementwise::add::<K::V>(x, rows(product));
        ops::norm::<K::V>(x, width, act);
        K::product_single(&layer.up, act, product);
        ops::squared_relu::<K::V>(rows(product), act);
        K::product_single(&layer.down, act, product);
        elementwise::add::<K::V>(x, rows(product));
    }
    ops::norm::<K::V>(x, width, act);
    K::product_single(&model.head, act, product);
    ops::weight_tree::<K::V>(&rows(product)[..256 / GROUP], sums);
}

/// [`forward_with`], compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn forward_avx2(model: &Model, scratch: &mut Scratch, states: &mut [Aligned<i32>]) {
    forward_with::<Avx2>(model, scratch, states);
}

fn forward(model: &Model, scratch: &mut Scratch, states: &mut [Aligned<i32>]) {
    dispatch!(
        model.kernel(),
        scalar: forward_with::<Scalar>(model, scratch, states),
        avx2: forward_avx2(model, scratch, states),
        v128: forward_with::<Ops128>(model, scratch, states),
    )
}
