//! The symbols of a tile, column by column, and the sizes of its rows.

use super::values::VALUE_UNIT;
use crate::codec::tensor::kernel::transpose;
use std::ops::Range;

/// The standard deviation of the small numbers from which products are computed.
pub const SMALL_UNIT: f64 = 256.0;
/// The largest of these numbers.
pub const MAX_SMALL: i32 = 2047;
/// Rows of at least this many symbols have a size of their own.
const WIDE: usize = 64;

/// The symbols of a tile of whole rows, column by column.
pub struct TileColumns {
    /// All symbols: those of column 0, one for each row, then those of column 1, and so on.
    pub symbols: Vec<u8>,
    /// The number of rows.
    pub rows: usize,
    /// The standard deviation of the numbers of each row, in units of the stored values.
    pub sizes: Vec<f64>,
}

impl TileColumns {
    /// Takes the symbols of a tile row by row, with `row` symbols in each row. `values` are the stored
    /// values.
    pub fn new(symbols: &[u8], row: usize, values: &[i16; 256]) -> Self {
        let mut columns = vec![0; symbols.len()];
        transpose(symbols, row, &mut columns);
        // The class of a short row would cost as much as it tells about the row's numbers.
        let size = |row: &[u8]| {
            if row.len() < WIDE {
                return VALUE_UNIT;
            }
            let square = |s: &u8| i64::from(values[usize::from(*s)]).pow(2);
            (row.iter().map(square).sum::<i64>() as f64 / row.len() as f64).sqrt()
        };
        let sizes = symbols.chunks_exact(row).map(size).collect();
        Self { symbols: columns, rows: symbols.len() / row, sizes }
    }

    /// The symbols of a column, one for each row.
    pub fn column(&self, column: usize) -> &[u8] {
        &self.symbols[column * self.rows..(column + 1) * self.rows]
    }

    /// The numbers of some rows of a column whose size is `size`, divided by the sizes of row and column:
    /// small numbers with a standard deviation of [`SMALL_UNIT`].
    pub fn numbers(&self, column: usize, rows: Range<usize>, values: &[i16; 256], size: f64) -> Vec<i16> {
        let pairs = self.column(column)[rows.clone()].iter().zip(&self.sizes[rows]);
        let number = |(s, row_size): (&u8, &f64)| match row_size * size {
            all if all > 0.0 => {
                let x = f64::from(values[usize::from(*s)]) / all * SMALL_UNIT;
                (x.round_ties_even() as i32).clamp(-MAX_SMALL, MAX_SMALL) as i16
            }
            _ => 0,
        };
        pairs.map(number).collect()
    }
}

/// The standard deviation of a column of some tiles, with every row scaled to the same size; 1 for a column
/// of zeros.
pub fn column_size(tiles: &[TileColumns], values: &[i16; 256], column: usize) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for tile in tiles {
        for (s, size) in tile.column(column).iter().zip(&tile.sizes).filter(|(_, size)| **size > 0.0) {
            let x = f64::from(values[usize::from(*s)]) / size;
            sum += x * x;
            n += 1.0;
        }
    }
    let size = (sum / f64::max(n, 1.0)).sqrt();
    if size > 0.0 { size } else { 1.0 }
}

/// The logarithm to base 2, interpolated linearly between powers of two.
pub fn octaves(x: f64) -> f64 {
    let bits = x.to_bits();
    let whole = (bits >> 52) as i32 - 1023;
    let part = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52) - 1.0;
    f64::from(whole) + part
}
