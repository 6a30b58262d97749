//! `tensor`: numbers as planes, each with its own statistics, in tiles that decode alone (`formats/tensor.md`).

mod classes;
mod contexts;
mod cut;
mod delta;
mod encode;
mod forms;
mod look_up;
mod low_bits;
mod merge;
pub mod object;
pub mod params;
mod pieces;
mod plan;
mod predict;
mod prediction;
mod products;
pub mod sections;
mod split;
#[cfg(test)]
mod tests;
pub mod tile;
pub mod tiles;

pub use encode::{BasePiece, copy, encode_block, encode_delta};
pub use params::Params;
pub use tile::{Scratch, TileDecoder};

use super::Codec;
use super::block::EncodedBlock;
use crate::tensor::Dtype;
use crate::tensor::form::Form;

/// What a caller knows about the bytes of a block. They are coded without loss, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The type of the elements.
    pub dtype: Dtype,
    /// Bytes of a row; a block starts where a row starts. 0 where there are no rows.
    pub row_bytes: u64,
    /// How it packs fields of some bits, where that is known.
    pub form: Option<Form>,
}
