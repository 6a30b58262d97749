//! What encoder and decoder both compute of what a tile has shown so far, to choose the tables of symbols.

mod columns;
mod keys;

pub use columns::ColumnPredictor;
pub use keys::{base_exponent, repeat_classes, symbol_difference, tables_of_row};
