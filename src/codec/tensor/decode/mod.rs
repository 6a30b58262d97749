//! Decoding of tiles.

mod above;
mod base;
mod field;
mod low_bits;
mod predicted;
mod tile;
pub mod tiles;

#[cfg(test)]
pub use tile::Scratch;
pub use tile::TileDecoder;
