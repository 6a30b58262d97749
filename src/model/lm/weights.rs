//! The weight file of a language model (`formats/lm.md`, section "Weight file").

use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every language-model weight file.
pub const MAGIC: [u8; 8] = *b"\x93NZLM\r\n\x1a";
/// The version of the weight file and of the integer step that it drives.
pub const VERSION: u16 = 1;

/// One hashed n-gram embedding table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableConfig {
    /// How many of the last bytes select the row, 1..=8.
    pub order: u8,
    /// log2 of the number of rows, 1..=20; exactly 8 for order 1, whose row is the byte itself.
    pub log2_rows: u8,
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Width of the residual stream, a multiple of 2.
    pub width: usize,
    /// Width of the recurrent state of a layer, a multiple of 2.
    pub state: usize,
    /// Hidden width of the feed-forward part, a multiple of 2.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Entries per row of the n-gram tables, a multiple of 2.
    pub table_width: usize,
    /// The n-gram tables.
    pub tables: Vec<TableConfig>,
}

/// A matrix of int8 weights with an int32 bias and a right shift per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs, even.
    pub cols: usize,
    /// Row-major weights, `rows * cols`.
    pub weights: Vec<i8>,
    /// One per row, added to the sum of products before the shift.
    pub bias: Vec<i32>,
    /// One per row, 0..=31.
    pub shift: Vec<u8>,
}

/// One layer of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `3·state × width`: update gate, candidate, output gate.
    pub gates: Matrix,
    /// `width × state`.
    pub out: Matrix,
    /// `hidden × width`.
    pub up: Matrix,
    /// `width × hidden`.
    pub down: Matrix,
}

/// A whole weight file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// Shape.
    pub config: Config,
    /// The n-gram tables, row-major, `2^log2_rows × table_width` each.
    pub tables: Vec<Vec<i8>>,
    /// `width × (tables · table_width)`.
    pub input: Matrix,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// `256 × width`.
    pub head: Matrix,
}

impl TableConfig {
    /// The row that the end of `history` selects; `history` holds at least `order` bytes, zeros standing for those
    /// before the window's start (`formats/lm.md`, "Row of a table").
    pub fn row(&self, history: &[u8]) -> usize {
        let newest_first = history.iter().rev().take(usize::from(self.order));
        if self.order == 1 {
            return newest_first.copied().map(usize::from).sum();
        }
        let mut k = u32::from(self.order);
        for &byte in newest_first {
            k = k.wrapping_add(u32::from(byte)).wrapping_add(1).wrapping_mul(0x9E37_79B1);
            k ^= k >> 15;
        }
        (k.wrapping_mul(0x85EB_CA6B) >> (32 - u32::from(self.log2_rows))) as usize
    }
}
