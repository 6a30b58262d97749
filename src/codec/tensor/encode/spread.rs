//! How many bits the symbols of each row and column take: what sets them apart where symbols are levels of a palette, and
//! say nothing of the size of what they stand for.

use super::rows::{MAX_COLUMNS, NO_MEAN, by_row};
use super::tile::TileParts;
use crate::codec::tensor::stored::{FieldParams, Transform};
use crate::coder::rans::Freqs;

/// Shorter rows have too few symbols to tell.
const SHORTEST: usize = 64;

/// Whether rows and columns of this many symbols are told apart by their bits.
pub fn suits(field: &FieldParams, groups: usize) -> bool {
    field.element > 1 && groups >= SHORTEST && matches!(field.transform, Transform::Palette(..))
}

/// The bits of a symbol, in sixteenths, in each row and each column, unless there are too many columns.
pub fn bits(number: usize, tiles: &[TileParts<'_>], groups: usize) -> (Vec<i64>, Vec<i64>) {
    let columns_too = groups <= MAX_COLUMNS;
    let mut columns = vec![[0u32; 256]; if columns_too { groups } else { 0 }];
    let (mut rows, mut current) = (Vec::new(), [0u32; 256]);
    for t in tiles {
        for (row, column, symbols) in by_row(t.first, groups, &t.fields[number].symbols) {
            // A row may begin in one tile and end in the next.
            if row >= rows.len() {
                current = [0; 256];
                rows.resize(row + 1, NO_MEAN);
            }
            symbols.iter().for_each(|s| current[usize::from(*s)] += 1);
            rows[row] = of(&current);
            for (counts, s) in columns.iter_mut().skip(column).zip(symbols) {
                counts[usize::from(*s)] += 1;
            }
        }
    }
    (rows, columns.iter().map(of).collect())
}

/// The bits of a symbol, in sixteenths, by the frequencies of these.
fn of(counts: &[u32; 256]) -> i64 {
    match counts.iter().map(|c| i64::from(*c)).sum() {
        0 => NO_MEAN,
        all => Freqs::estimate(counts) as i64 / (16 * all),
    }
}
