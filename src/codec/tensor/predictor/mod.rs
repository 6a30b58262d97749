//! Predictions that choose the tables of symbols, computed from the part of a tile that has been coded so
//! far. Encoder and decoder compute the same.

mod columns;
mod keys;

pub use columns::ColumnPredictor;
pub use keys::{base_exponent, repeat_classes, symbol_difference, tables_of_row};
