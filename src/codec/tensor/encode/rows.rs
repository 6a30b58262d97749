//! Chooses tables by the rows and columns of a tensor, whose numbers often have sizes of their own.
//!
//! Rows and columns get classes by the mean of their symbols, or in palettes by the bits of these; the sum of both
//! classes chooses the table.

use super::join::join_classes;
use super::spread::{self, MAX_COLUMNS, NO_MEAN, by_row};
use super::tile::TileParts;
use crate::codec::tensor::predictor::tables_of_row;
use crate::codec::tensor::stored::{Context, FieldParams, Transform};
use crate::coder::rans::Freqs;
use crate::kernel::Kernel;
use crate::tensor::Dtype;

/// The quantiles of the means, in 1/64, that the classes cover: a few extreme rows must not widen the classes
/// of all.
const QUANTILES: (usize, usize) = (1, 63);

/// How symbols tell the size of the numbers that they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    /// Symbols are signed bytes: their magnitude is the size.
    Linear,
    /// Symbols grow with the logarithm of the size, by `octave` where the size doubles. Those of 8-bit floats
    /// have the sign above, which the mask takes off.
    Logarithmic { octave: i64, mask: u8 },
}

impl Sizes {
    /// The sizes that the symbols of a field stand for, in a block of this type.
    fn of(field: &FieldParams, dtype: Dtype) -> Self {
        use Dtype::{F8E4m3, F8E4m3fnuz, F8E5m2, F8E5m2fnuz, F8E8m0};
        match dtype {
            F8E4m3 | F8E4m3fnuz => Sizes::Logarithmic { octave: 8, mask: 0x7F },
            F8E5m2 | F8E5m2fnuz => Sizes::Logarithmic { octave: 4, mask: 0x7F },
            F8E8m0 => Sizes::Logarithmic { octave: 1, mask: 0xFF },
            _ if field.element == 1 => Sizes::Linear,
            // The symbols of floats are exponents, followed by as many bits of the mantissa as are not low
            // bits. One of the low bits is the sign.
            _ => {
                let bits = mantissa_bits(field.element).saturating_sub(field.low_bits.saturating_sub(1));
                Sizes::Logarithmic { octave: 1 << bits, mask: 0xFF }
            }
        }
    }

    /// The value that a symbol adds to the sum of its row or column.
    fn weight(self, symbol: u8) -> i64 {
        match self {
            Sizes::Linear => i64::from((symbol as i8).unsigned_abs()),
            Sizes::Logarithmic { mask, .. } => i64::from(symbol & mask),
        }
    }

    /// The mean of `count` symbols, at least 1, with this sum: in sixteenths of an octave of linear sizes, or
    /// of a symbol.
    fn mean(self, sum: i64, count: i64) -> i64 {
        match self {
            Sizes::Linear => log16(sum, count),
            Sizes::Logarithmic { .. } => 16 * sum / count,
        }
    }

    /// How far means lie apart where sizes differ by an octave.
    fn octave(self) -> i64 {
        match self {
            Sizes::Linear => 16,
            Sizes::Logarithmic { octave, .. } => 16 * octave,
        }
    }
}

/// Whether rows differ so much that classes pay even where quick choices are wanted: whether the means of
/// some rows, taken from all over the block, spread over an octave or more. Rows of a palette may always do. Rows have
/// `groups` groups.
pub fn rows_are_uneven(
    field: &FieldParams,
    number: usize,
    tiles: &[TileParts<'_>],
    groups: usize,
    dtype: Dtype,
) -> bool {
    if field.element > 1 && field.transform != Transform::Float {
        return spread::suits(field, groups);
    }
    let sizes = Sizes::of(field, dtype);
    let mut means = Vec::new();
    for t in tiles.iter().step_by(tiles.len().div_ceil(4)) {
        // Only whole rows count.
        let skip = t.first.next_multiple_of(groups) - t.first;
        let symbols = t.fields[number].symbols.get(skip..).unwrap_or_default();
        means.extend(symbols.chunks_exact(groups).take(64).map(|row| {
            let sum = row.iter().map(|s| sizes.weight(*s)).sum();
            sizes.mean(sum, groups as i64)
        }));
    }
    means.len() >= 16 && width_of(&means) >= sizes.octave()
}

/// Chooses tables by the means of rows and columns. Returns false and changes nothing where one table does as
/// well.
pub fn choose_by_rows(
    field: &mut FieldParams,
    number: usize,
    tiles: &mut [TileParts<'_>],
    groups: usize,
    dtype: Dtype,
) -> bool {
    let (rows, columns) = if spread::suits(field, groups) {
        spread::bits(number, tiles, groups)
    } else {
        means(Sizes::of(field, dtype), number, tiles, groups)
    };
    let step = (width_of(&rows).max(width_of(&columns)) / 14).max(1);
    let (row_classes, column_classes) = (classes_of(&rows, step), classes_of(&columns, step));
    let column_classes = if column_classes.iter().any(|c| *c != 8) { column_classes } else { Vec::new() };
    // Appends the map's entry for each symbol of a tile.
    let look_up = |t: &TileParts<'_>, map: &[u8; 16], out: &mut Vec<u8>| {
        for (row, column, symbols) in by_row(t.first, groups, &t.fields[number].symbols) {
            let columns = column_classes.get(column..column + symbols.len());
            tables_of_row(map, row_classes[row], columns, symbols.len(), Kernel::best(), out);
        }
    };
    let (identity, mut sums) = (std::array::from_fn(|sum| sum as u8), Vec::new());
    let mut counts = vec![[0u32; 256]; 16];
    for t in tiles.iter() {
        sums.clear();
        look_up(t, &identity, &mut sums);
        let pairs = sums.iter().zip(&t.fields[number].symbols);
        pairs.for_each(|(sum, s)| counts[usize::from(*sum)][usize::from(*s)] += 1);
    }
    let (found, tables) = join_classes(&counts);
    if tables.len() < 2 || !pays(&counts, &found, &tables, row_classes.len() + column_classes.len()) {
        return false;
    }
    let mut map = [0; 16];
    map.copy_from_slice(&found);
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        let mut contexts = Vec::new();
        look_up(t, &map, &mut contexts);
        t.fields[number].contexts = contexts;
        let last = (t.first + t.fields[number].symbols.len() - 1) / groups;
        t.row_classes = row_classes[t.first / groups..=last].to_vec();
    }
    (field.context, field.tables) =
        (Context::Rows { groups: groups as u64, columns: column_classes, map }, tables);
    true
}

/// Whether several tables, and the nibbles that choose them, take less than one table for all symbols.
/// `counts` holds the symbols of each sum of classes. Where rows are short, their classes cost more than they
/// save.
fn pays(counts: &[[u32; 256]], map: &[u8], tables: &[Freqs], nibbles: usize) -> bool {
    let mut all = [0; 256];
    counts.iter().flatten().zip((0..256).cycle()).for_each(|(c, s)| all[s] += c);
    let one = Freqs::from_counts(&all);
    let symbols: u64 = map.iter().zip(counts).map(|(m, c)| tables[usize::from(*m)].cost(c)).sum();
    let stored: u64 = tables.iter().map(Freqs::stored_cost).sum();
    symbols + stored + (nibbles as u64) * 4 * 256 < one.cost(&all) + one.stored_cost()
}

/// The means of all rows, and of all columns unless there are too many: in sixteenths of symbols, or of
/// octaves where elements are bytes.
fn means(sizes: Sizes, number: usize, tiles: &[TileParts<'_>], groups: usize) -> (Vec<i64>, Vec<i64>) {
    let columns_too = groups <= MAX_COLUMNS;
    // Sums and counts.
    let mut rows = Vec::<(i64, i64)>::new();
    let mut columns = vec![(0i64, 0i64); if columns_too { groups } else { 0 }];
    for t in tiles {
        for (row, column, symbols) in by_row(t.first, groups, &t.fields[number].symbols) {
            if rows.len() <= row {
                rows.resize(row + 1, (0, 0));
            }
            let sum = symbols.iter().map(|s| sizes.weight(*s)).sum::<i64>();
            rows[row] = (rows[row].0 + sum, rows[row].1 + symbols.len() as i64);
            if columns_too {
                for ((sum, count), s) in columns[column..].iter_mut().zip(symbols) {
                    (*sum, *count) = (*sum + sizes.weight(*s), *count + 1);
                }
            }
        }
    }
    let mean = |(sum, count): (i64, i64)| match count {
        0 => NO_MEAN,
        count => sizes.mean(sum, count),
    };
    (rows.into_iter().map(mean).collect(), columns.into_iter().map(mean).collect())
}

/// The bits of the mantissa of the usual floats of `element` bytes.
fn mantissa_bits(element: usize) -> u32 {
    match element {
        2 => 10,
        4 => 23,
        _ => 52,
    }
}

/// The logarithm to base 2 of the mean `sum / count`, times 16; negative for means below 1.
fn log16(sum: i64, count: i64) -> i64 {
    if sum == 0 || count == 0 {
        return NO_MEAN;
    }
    // Whole octaves, then sixteenths by linear interpolation between powers of two.
    let value = (sum << 16) / count;
    let octave = 63 - i64::from(value.max(1).leading_zeros());
    16 * (octave - 16) + ((value << 4) >> octave) - 16
}

/// The means other than [`NO_MEAN`], in rising order.
fn sorted(means: &[i64]) -> Vec<i64> {
    let mut sorted: Vec<i64> = means.iter().copied().filter(|m| *m > NO_MEAN).collect();
    sorted.sort_unstable();
    sorted
}

/// The distance between the two quantiles of the means.
fn width_of(means: &[i64]) -> i64 {
    let sorted = sorted(means);
    match sorted.len() {
        0 => 0,
        n => sorted[(n - 1) * QUANTILES.1 / 64] - sorted[(n - 1) * QUANTILES.0 / 64],
    }
}

/// The class of each mean, with classes `step` apart: 8 in the middle, 1 to 15 around it, and 0 for rows
/// without a mean.
fn classes_of(means: &[i64], step: i64) -> Vec<u8> {
    let sorted = sorted(means);
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let class = |m: &i64| match *m {
        ..=NO_MEAN => 0,
        m => ((m - middle + step / 2).div_euclid(step) + 8).clamp(1, 15) as u8,
    };
    means.iter().map(class).collect()
}
