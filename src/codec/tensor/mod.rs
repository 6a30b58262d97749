//! `tensor`: numbers as planes, each with its own statistics, in tiles that decode alone (`formats/tensor.md`).
//!
//! Five floors, each of which uses only those before it:
//!
//! - `stored`: what the bytes of a block say,
//! - `kernel`: inner loops,
//! - `predictor`: what encoder and decoder both compute to choose the tables of symbols,
//! - `decode`: decoding tiles,
//! - `encode`: choosing the parameters of blocks, and writing these.

mod decode;
mod encode;
mod kernel;
mod predictor;
pub mod stored;
#[cfg(test)]
mod tests;

pub use decode::{Scratch, TileDecoder};
pub use encode::{BasePiece, Hint, copy, encode_block, encode_delta, keep};
pub use stored::Params;
