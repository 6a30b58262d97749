//! How many bits the symbols of each row and column take: what sets them apart where symbols are levels of a palette, and
//! say nothing of the size of what they stand for.

use super::tile::TileParts;
use crate::codec::tensor::stored::{FieldParams, Transform};
use crate::coder::rans::Freqs;

/// Stands for the mean of rows and columns that have none, because they have no symbols or only zeros.
pub const NO_MEAN: i64 = -256;
/// The most groups in a row for which columns have classes too.
pub const MAX_COLUMNS: usize = 1 << 14;
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

/// Cuts the symbols of a tile into rows of `groups` symbols, where the first symbol is that of group `first`
/// of the block. Returns for each row its number, the column of its first symbol, and its symbols.
pub fn by_row(first: usize, groups: usize, symbols: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let head = (groups - first % groups).min(symbols.len());
    let (start, rest) = symbols.split_at(head);
    let rows = rest.chunks(groups).enumerate();
    let whole = rows.map(move |(i, symbols)| (first / groups + 1 + i, 0, symbols));
    std::iter::once((first / groups, first % groups, start)).filter(|r| !r.2.is_empty()).chain(whole)
}
