//! How the encoder chooses the tables of symbols. Not part of the format; integers only.

use super::Hint;
use super::delta::key;
use super::encode::{Work, counts};
use super::params::{Context, Field, Transform};
use super::plan;
use super::tile::{difference, tables_of_row};
use crate::coder::rans::Freqs;
use crate::kernel::Kernel;

/// The level from which on rows and columns have classes.
const ROWS_LEVEL: u8 = 7;
/// Quantiles of the rows' means that the classes cover, in 1/64.
const QUANTILES: (usize, usize) = (1, 63);

/// Chooses the contexts of a field and counts its symbols.
pub fn learn(field: &mut Field, number: usize, tiles: &mut [Work<'_>], hint: Hint, level: u8, group: usize) {
    let rows = hint.row_bytes / group as u64;
    let single = field.width == group && field.per_group() == 1;
    let free = tiles.iter().all(|t| t.mask.is_none());
    let alone = Freqs::from_counts(&counts(tiles.iter().map(|t| &t.fields[number].symbols[..])));
    let keys = plan::scales(hint, number);
    let many = if let Some((first, minus)) = keys {
        by_fields(field, number, tiles, first, minus)
    } else if single
        && free
        && (2..1 << 32).contains(&rows)
        && (level >= ROWS_LEVEL || uneven(field, number, tiles, rows as usize))
    {
        by_rows(field, number, tiles, rows as usize)
    } else {
        false
    };
    if !many {
        (field.context, field.tables) = (Context::None, vec![alone]);
    }
    if let Some((map, tables)) = &mut field.low {
        let mut classes = vec![[0u32; 256]; 256];
        for split in tiles.iter().map(|t| &t.fields[number]) {
            split
                .symbols
                .iter()
                .zip(&split.bytes)
                .for_each(|(s, b)| classes[usize::from(*s)][usize::from(*b)] += 1);
        }
        let found;
        (found, *tables) = plan::join(&classes);
        map.copy_from_slice(&found);
    }
}

/// Tables by the symbols of earlier fields; false where one does as well.
pub fn by_fields(
    field: &mut Field,
    number: usize,
    tiles: &mut [Work<'_>],
    first: usize,
    minus: Option<usize>,
) -> bool {
    let per = field.per_group();
    let mut classes = vec![[0u32; 256]; 256];
    let key = |t: &Work<'_>, i: usize| {
        let symbol = |f: usize| t.fields[f].symbols[i];
        minus.map_or(symbol(first), |m| difference(symbol(first), symbol(m)))
    };
    for t in tiles.iter() {
        for (i, symbols) in t.fields[number].symbols.chunks_exact(per).enumerate() {
            let class = &mut classes[usize::from(key(t, i))];
            symbols.iter().for_each(|s| class[usize::from(*s)] += 1);
        }
    }
    let (map, tables) = plan::join(&classes);
    if tables.len() < 2 {
        return false;
    }
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        let count = t.fields[number].symbols.len() / per;
        let mut contexts = vec![0; count * per];
        for (i, group) in contexts.chunks_exact_mut(per).enumerate() {
            group.fill(map[usize::from(key(t, i))]);
        }
        t.fields[number].contexts = contexts;
    }
    (field.context, field.tables) = (Context::Fields { first, minus, map: boxed(&map) }, tables);
    true
}

/// The tables of 256 classes.
fn boxed(map: &[u8]) -> Box<[u8; 256]> {
    let mut boxed = Box::new([0; 256]);
    boxed.copy_from_slice(map);
    boxed
}

/// Tables by the exponents of a base's elements or by the symbols of the field before, where one does not do as well.
/// `base` gives the base's bytes from a group on.
pub fn by_base<'b>(
    field: &mut Field,
    number: usize,
    tiles: &mut [Work<'_>],
    group: usize,
    base: impl Fn(usize) -> &'b [u8],
) {
    let (mut before, mut exponents) = (vec![[0u32; 256]; 256], vec![[0u32; 256]; 256]);
    for t in tiles.iter().filter(|t| !t.constant) {
        let symbols = &t.fields[number].symbols;
        for (element, s) in base(t.first).chunks_exact(group).zip(symbols) {
            exponents[usize::from(key(element))][usize::from(*s)] += 1;
        }
        if number > 0 {
            for (b, s) in t.fields[number - 1].symbols.iter().zip(symbols) {
                before[usize::from(*b)][usize::from(*s)] += 1;
            }
        }
    }
    let mut all = [0; 256];
    exponents.iter().for_each(|c| all.iter_mut().zip(c).for_each(|(a, c)| *a += c));
    (field.context, field.tables) = (Context::None, vec![Freqs::from_counts(&all)]);
    let mut least = cost(&vec![0; 256], &field.tables, &exponents);
    for (classes, by_exponent) in [(exponents, true), (before, false)] {
        if number == 0 && !by_exponent {
            continue;
        }
        let (map, tables) = plan::join(&classes);
        let found = cost(&map, &tables, &classes);
        if tables.len() < 2 || found >= least {
            continue;
        }
        least = found;
        for t in tiles.iter_mut().filter(|t| !t.constant) {
            let count = t.fields[number].symbols.len();
            t.fields[number].contexts = if by_exponent {
                let elements = base(t.first).chunks_exact(group).take(count);
                elements.map(|e| map[usize::from(key(e))]).collect()
            } else {
                t.fields[number - 1].symbols.iter().map(|s| map[usize::from(*s)]).collect()
            };
        }
        field.context = if by_exponent {
            Context::Base { map: boxed(&map) }
        } else {
            Context::Fields { first: number - 1, minus: None, map: boxed(&map) }
        };
        field.tables = tables;
    }
}

/// What symbols counted by class cost with tables chosen by a map, tables included, in 1/256 bits.
fn cost(map: &[u8], tables: &[Freqs], classes: &[[u32; 256]]) -> u64 {
    let symbols = map.iter().zip(classes).map(|(m, c)| tables[usize::from(*m)].cost(c)).sum::<u64>();
    symbols + tables.iter().map(Freqs::stored_cost).sum::<u64>()
}

/// Whether rows differ so much that classes pay at any level: the means of some of them, from all over the block,
/// spread over an octave or more.
fn uneven(field: &Field, number: usize, tiles: &[Work<'_>], groups: usize) -> bool {
    let mut means = Vec::new();
    for t in tiles.iter().step_by(tiles.len().div_ceil(4)) {
        // Whole rows only.
        let skip = t.first.next_multiple_of(groups) - t.first;
        let symbols = t.fields[number].symbols.get(skip..).unwrap_or_default();
        means.extend(symbols.chunks_exact(groups).take(64).map(|row| {
            let sum = row.iter().map(|s| weight(field, *s)).sum();
            if field.element == 1 { log16(sum, groups as i64) } else { 16 * sum / groups as i64 }
        }));
    }
    let octave = match field.transform {
        _ if field.element == 1 => 16,
        // Symbols are exponents with as many bits of the mantissa as there are above the low bits and the sign.
        Transform::Float => 16 << mantissa(field.element).saturating_sub(field.low_bits - 1),
        _ => return false,
    };
    means.len() >= 16 && spread(&means) >= octave
}

/// Bits of the mantissa of the floats that are usual in this width.
fn mantissa(element: usize) -> u32 {
    match element {
        2 => 10,
        4 => 23,
        _ => 52,
    }
}

/// What a symbol adds to the mean of its row or column. Of whole numbers the size counts; of floats the exponent,
/// which grows with the symbol.
fn weight(field: &Field, symbol: u8) -> i64 {
    if field.element == 1 { i64::from((symbol as i8).unsigned_abs()) } else { i64::from(symbol) }
}

/// Tables by the means of rows and columns; false where one does as well.
fn by_rows(field: &mut Field, number: usize, tiles: &mut [Work<'_>], groups: usize) -> bool {
    let small = field.element == 1;
    let weight = |s: u8| weight(field, s);
    let columns_too = groups <= 1 << 14;
    let width = if columns_too { groups } else { 0 };
    let (mut rows, mut columns, mut counts) =
        (Vec::<(i64, i64)>::new(), vec![0i64; width], vec![0i64; width]);
    for t in tiles.iter() {
        for (row, column, symbols) in by_row(t.first, groups, &t.fields[number].symbols) {
            if rows.len() <= row {
                rows.resize(row + 1, (0, 0));
            }
            let sum = symbols.iter().map(|s| weight(*s)).sum::<i64>();
            rows[row] = (rows[row].0 + sum, rows[row].1 + symbols.len() as i64);
            if columns_too {
                columns[column..].iter_mut().zip(symbols).for_each(|(sum, s)| *sum += weight(*s));
                counts[column..column + symbols.len()].iter_mut().for_each(|count| *count += 1);
            }
        }
    }
    let mean = |m: &(i64, i64)| match m.1 {
        0 => -256,
        _ if small => log16(m.0, m.1),
        n => 16 * m.0 / n,
    };
    let (rows, columns): (Vec<i64>, Vec<i64>) =
        (rows.iter().map(mean).collect(), columns.into_iter().zip(counts).map(|m| mean(&m)).collect());
    let step = (spread(&rows).max(spread(&columns)) / 14).max(1);
    let (row_classes, column_classes) = (classes_of(&rows, step), classes_of(&columns, step));
    let mut classes = vec![[0u32; 256]; 16];
    // The map's values at the sums of the classes of row and column.
    let looked_up = |t: &Work<'_>, map: &[u8; 16], out: &mut Vec<u8>| {
        out.clear();
        for (row, column, symbols) in by_row(t.first, groups, &t.fields[number].symbols) {
            let columns = column_classes.get(column..column + symbols.len());
            tables_of_row(map, row_classes[row], columns, symbols.len(), Kernel::best(), out);
        }
    };
    let (itself, mut sums) = (std::array::from_fn(|sum| sum as u8), Vec::new());
    for t in tiles.iter() {
        looked_up(t, &itself, &mut sums);
        let pairs = sums.iter().zip(&t.fields[number].symbols);
        pairs.for_each(|(sum, s)| classes[usize::from(*sum)][usize::from(*s)] += 1);
    }
    let (found, tables) = plan::join(&classes);
    if tables.len() < 2 {
        return false;
    }
    let mut map = [0; 16];
    map.copy_from_slice(&found);
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        let mut contexts = Vec::new();
        looked_up(t, &map, &mut contexts);
        t.fields[number].contexts = contexts;
        let last = (t.first + t.fields[number].symbols.len() - 1) / groups;
        t.rows = row_classes[t.first / groups..=last].to_vec();
    }
    let columns = if column_classes.iter().any(|c| *c != 8) { column_classes } else { Vec::new() };
    (field.context, field.tables) = (Context::Rows { groups: groups as u64, columns, map }, tables);
    true
}

/// The rows of symbols of which the first is that of group `first`, `groups` to a row: row, column of the first, symbols.
fn by_row(first: usize, groups: usize, symbols: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let head = (groups - first % groups).min(symbols.len());
    let (start, rest) = symbols.split_at(head);
    let rows = rest.chunks(groups).enumerate();
    let whole = rows.map(move |(i, symbols)| (first / groups + 1 + i, 0, symbols));
    std::iter::once((first / groups, first % groups, start)).filter(|r| !r.2.is_empty()).chain(whole)
}

/// 16 times the logarithm of a mean of small numbers, to the base 2; negative numbers for means below 1.
fn log16(sum: i64, count: i64) -> i64 {
    if sum == 0 || count == 0 {
        return -256;
    }
    // Octaves in whole, then sixteenths by the place between two powers of two.
    let value = (sum << 16) / count;
    let octave = 63 - i64::from(value.max(1).leading_zeros());
    16 * (octave - 16) + ((value << 4) >> octave) - 16
}

fn spread(means: &[i64]) -> i64 {
    let mut sorted: Vec<i64> = means.iter().copied().filter(|m| *m > -256).collect();
    sorted.sort_unstable();
    match sorted.len() {
        0 => 0,
        n => sorted[(n - 1) * QUANTILES.1 / 64] - sorted[(n - 1) * QUANTILES.0 / 64],
    }
}

/// Classes 0..16, 8 for what lies in the middle. The lowest is for rows of nothing but zeros alone.
fn classes_of(means: &[i64], step: i64) -> Vec<u8> {
    let mut sorted: Vec<i64> = means.iter().copied().filter(|m| *m > -256).collect();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let class = |m: &i64| {
        if *m <= -256 { 0 } else { ((m - middle + step / 2).div_euclid(step) + 8).clamp(1, 15) as u8 }
    };
    means.iter().map(class).collect()
}
