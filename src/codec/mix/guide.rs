//! The language model as a guide of `mix`: for every byte, the weights of its 256 values, summed for each
//! node of the binary tree over the byte's bits.

use crate::Result;
use crate::model::lm::{MAX_COLUMNS, Model, Single, Sums, Timeline, WeightSums};
use std::sync::Arc;

fn copy(from: WeightSums<'_>, to: &mut Sums) {
    for (node, sum) in to.iter_mut().enumerate().skip(2) {
        *sum = from.sum(node);
    }
}

/// The guide of an encoder, which knows all bytes of the block, so the network runs over many of them in one
/// pass.
pub struct Ahead<'a> {
    timeline: Timeline<'a>,
    bytes: &'a [u8],
    sums: Box<Sums>,
}

impl<'a> Ahead<'a> {
    /// Starts at the first of a block's `bytes`.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'a Model, bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { timeline: Timeline::new(model, MAX_COLUMNS)?, bytes, sums: Box::new([0; 512]) })
    }

    /// The weight sums for byte `i`. Must be called for every byte, in order.
    pub fn at(&mut self, i: usize) -> &Sums {
        let pass = self.timeline.max_steps();
        if i.is_multiple_of(pass) {
            self.timeline.run(self.bytes, i, pass.min(self.bytes.len() - i));
        }
        copy(self.timeline.weight_sums(i % pass), &mut self.sums);
        &self.sums
    }
}

/// The guide of a decoder, which learns the bytes one by one.
pub struct Behind(Single<Arc<Model>>);

impl Behind {
    /// Starts at the first byte of a block.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        Ok(Self(Single::new(model)?))
    }

    /// The weight sums for the byte after `history`, which holds the block's bytes so far. Must be called for
    /// every byte, in order.
    pub fn after(&mut self, history: &[u8]) -> &Sums {
        self.0.step(history)
    }
}
