//! Encoding: chooses the parameters of a block and writes it. None of the choices is part of the format.
//!
//! A block is planned from a sample (`plan`, `packing`, `symbols`), its tiles are split into parts (`tile`,
//! `field_parts`), the tables of every field are chosen (`contexts`, `rows`, `classes`, `prediction`), and
//! everything is written (`write`). `block` does this once for each way that may pay, and keeps the smallest
//! result.
//!
//! Choices are made with integers, so that every machine makes the same ones. Predictions are fitted in
//! floating point; `least_squares` explains why the outcome is still the same everywhere.

mod above;
mod block;
mod classes;
mod contexts;
mod differences;
mod field_parts;
mod join;
mod least_squares;
mod packing;
mod plan;
mod prediction;
mod rows;
mod spread;
mod symbols;
mod tile;
mod tile_columns;
mod values;
mod write;

#[cfg(test)]
pub use block::encode_with;
pub use block::{copy, encode_block, encode_delta, keep};
pub use plan::FAST;
