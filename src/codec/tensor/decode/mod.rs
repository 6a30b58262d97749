//! Decoding tiles.

mod base;
mod field;
mod low_bits;
mod predicted;
mod tile;

pub use tile::{Scratch, TileDecoder};
