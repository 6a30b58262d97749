//! The language model as a guide of `mix`: for every byte its weights, summed up by node.

use crate::Result;
use crate::model::lm::{MAX_COLUMNS, Model, Single, Sums, Timeline, WeightSums};
use std::sync::Arc;

fn copy(from: WeightSums<'_>, to: &mut Sums) {
    for (node, sum) in to.iter_mut().enumerate().skip(2) {
        *sum = from.sum(node);
    }
}

/// Guides an encoder, which knows the bytes: the network runs over many of them in one pass.
pub struct Ahead<'a> {
    timeline: Timeline<'a>,
    bytes: &'a [u8],
    sums: Box<Sums>,
}

impl<'a> Ahead<'a> {
    /// At the start of a block.
    pub fn new(model: &'a Model, bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { timeline: Timeline::new(model, MAX_COLUMNS)?, bytes, sums: Box::new([0; 512]) })
    }

    /// The guess for byte `i`; called for every byte in order.
    pub fn at(&mut self, i: usize) -> &Sums {
        let pass = self.timeline.max_steps();
        if i.is_multiple_of(pass) {
            self.timeline.run(self.bytes, i, pass.min(self.bytes.len() - i));
        }
        copy(self.timeline.weight_sums(i % pass), &mut self.sums);
        &self.sums
    }
}

/// Guides a decoder, which learns of the bytes one by one.
pub struct Behind(Single<Arc<Model>>);

impl Behind {
    /// At the start of a block.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        Ok(Self(Single::new(model)?))
    }

    /// The guess for the byte that follows `history`, the block's bytes so far; called for every byte in order.
    pub fn after(&mut self, history: &[u8]) -> &Sums {
        self.0.step(history)
    }
}
