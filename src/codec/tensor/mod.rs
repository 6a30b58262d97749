//! The `tensor` codec: numbers as planes, each with its own statistics, in tiles that decode alone
//! (`formats/tensor.md`).
//!
//! Five floors, each of which uses only those before it:
//!
//! - `stored`: what the bytes of a block say,
//! - `kernel`: inner loops,
//! - `predictor`: what encoder and decoder both compute in order to choose the tables of symbols,
//! - `decode`: decoding of tiles,
//! - `encode`: choosing the parameters of blocks, and writing them.
//!
//! On top stands `object`, the codec as the rest of nzip sees it.

mod decode;
mod encode;
mod kernel;
pub mod object;
mod predictor;
pub mod stored;
#[cfg(test)]
mod tests;

pub use decode::{TileDecoder, tiles};
pub use encode::{FAST, copy, keep};
pub use object::{base_of, is_widened};
