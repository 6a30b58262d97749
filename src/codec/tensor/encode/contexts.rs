//! Chooses the contexts of a field's tables.

use super::above::choose_by_above;
use super::join::join_classes;
use super::rows::{choose_by_rows, rows_are_uneven};
use super::tile::TileParts;
use crate::codec::hints::Hint;
use crate::codec::tensor::kernel::histogram;
use crate::codec::tensor::predictor::{base_exponent, symbol_difference};
use crate::codec::tensor::stored::{Context, FieldParams, TableMap};
use crate::coder::rans::Freqs;
use crate::tensor::Dtype;
use crate::tensor::ggml::FieldKind;

/// The first level at which rows and columns have classes even where rows seem to be alike.
const ROWS_LEVEL: u8 = 7;

/// The symbols that a class must have on average.
const ENOUGH: usize = 4;

/// The first level at which 8-bit floats may have tables by the row above: their symbols hold signs and mantissas, which
/// in keys and values depend on the token before.
const ABOVE_LEVEL: u8 = 4;

/// Chooses the context and the tables of a field of groups of `group` bytes: by the scales of block-quantised
/// types, by rows and columns, or a single table. Also chooses the tables of its low bits, where these are
/// coded.
pub fn choose_usual(
    field: &mut FieldParams,
    number: usize,
    tiles: &mut [TileParts<'_>],
    hint: Hint,
    level: u8,
    group: usize,
) {
    let rows = hint.row_bytes / group as u64;
    let single = field.width == group && field.per_group() == 1;
    let masked = tiles.iter().any(|t| t.mask.is_some());
    let several = if let Some((first, minus)) = scales(hint, number) {
        choose_by_fields(field, number, tiles, first, minus)
    } else {
        single
            && !masked
            && (2..1 << 32).contains(&rows)
            && (level >= ROWS_LEVEL || rows_are_uneven(field, number, tiles, rows as usize, hint.dtype))
            && choose_by_rows(field, number, tiles, rows as usize, hint.dtype)
    };
    if !several {
        let counts = histogram(tiles.iter().map(|t| &t.fields[number].symbols[..]));
        (field.context, field.tables) = (Context::None, vec![Freqs::from_counts(&counts)]);
    }
    if single && !masked && (level >= ROWS_LEVEL || level >= ABOVE_LEVEL && hint.dtype.is_small_float()) {
        choose_by_above(field, number, tiles, usize::try_from(rows).unwrap_or(0));
    }
    if let Some((map, tables)) = &mut field.low {
        let mut counts = vec![[0u32; 256]; 256];
        for parts in tiles.iter().map(|t| &t.fields[number]) {
            let pairs = parts.symbols.iter().zip(&parts.low.bytes);
            pairs.for_each(|(s, b)| counts[usize::from(*s)][usize::from(*b)] += 1);
        }
        let found;
        (found, *tables) = join_classes(&counts);
        map.copy_from_slice(&found);
    }
}

/// The earlier fields that hold the scales of a block-quantised type's quants; their symbols choose the
/// tables of the quants. The second field, if any, is subtracted from the first.
fn scales(hint: Hint, number: usize) -> Option<(usize, Option<usize>)> {
    let Dtype::Ggml(block) = hint.dtype else { return None };
    let fields = block.fields();
    let quants = matches!(fields[number].kind, FieldKind::Nibbles | FieldKind::I8);
    let at = |name: &str| fields[..number].iter().position(|f| f.name == name);
    match (at("d"), at("m")) {
        _ if !quants || fields[number].name == "scales" => None,
        (Some(d), Some(m)) => Some((m, Some(d))),
        (Some(d), None) => Some((d, None)),
        _ => None,
    }
}

/// Chooses tables by the symbols of earlier fields. Returns false and changes nothing where one table does as
/// well.
pub fn choose_by_fields(
    field: &mut FieldParams,
    number: usize,
    tiles: &mut [TileParts<'_>],
    first: usize,
    minus: Option<usize>,
) -> bool {
    let per = field.per_group();
    let key = |t: &TileParts<'_>, i: usize| {
        let symbol = |f: usize| t.fields[f].symbols[i];
        minus.map_or(symbol(first), |m| symbol_difference(symbol(first), symbol(m)))
    };
    let mut counts = vec![[0u32; 256]; 256];
    for t in tiles.iter() {
        for (i, symbols) in t.fields[number].symbols.chunks_exact(per).enumerate() {
            let counts = &mut counts[usize::from(key(t, i))];
            symbols.iter().for_each(|s| counts[usize::from(*s)] += 1);
        }
    }
    let (map, tables) = join_classes(&counts);
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

/// Chooses the tables of a field in a block whose elements are coded as differences, whichever costs least:
/// by the exponents of the base's elements (for differences from a base), by the symbols of the field before,
/// or one table. Elements have `group` bytes.
pub fn choose_for_differences(
    field: &mut FieldParams,
    number: usize,
    tiles: &mut [TileParts<'_>],
    group: usize,
    base: Option<&[u8]>,
) {
    let (mut before, mut exponents) = (vec![[0u32; 256]; 256], vec![[0u32; 256]; 256]);
    for t in tiles.iter().filter(|t| !t.constant) {
        let symbols = &t.fields[number].symbols;
        for (element, s) in base.iter().flat_map(|b| b[t.first * group..].chunks_exact(group)).zip(symbols) {
            exponents[usize::from(base_exponent(element))][usize::from(*s)] += 1;
        }
        if number > 0 {
            for (b, s) in t.fields[number - 1].symbols.iter().zip(symbols) {
                before[usize::from(*b)][usize::from(*s)] += 1;
            }
        }
    }
    let all = histogram(tiles.iter().map(|t| &t.fields[number].symbols[..]));
    let one = Freqs::from_counts(&all);
    let mut least = one.cost(&all) + one.stored_cost();
    (field.context, field.tables) = (Context::None, vec![one]);
    let by_exponent = base.map(|base| (exponents, Some(base)));
    let by_symbol = (number > 0).then_some((before, None));
    for (counts, base) in by_exponent.into_iter().chain(by_symbol).filter(|c| has_enough(&c.0)) {
        let (map, tables) = join_classes(&counts);
        let found = cost(&map, &tables, &counts);
        if tables.len() < 2 || found >= least {
            continue;
        }
        least = found;
        for t in tiles.iter_mut().filter(|t| !t.constant) {
            let count = t.fields[number].symbols.len();
            t.fields[number].contexts = match base {
                Some(base) => {
                    let elements = base[t.first * group..].chunks_exact(group).take(count);
                    elements.map(|e| map[usize::from(base_exponent(e))]).collect()
                }
                None => t.fields[number - 1].symbols.iter().map(|s| map[usize::from(*s)]).collect(),
            };
        }
        field.context = match base {
            Some(_) => Context::Base { map: boxed(&map) },
            None => Context::Fields { first: number - 1, minus: None, map: boxed(&map) },
        };
        field.tables = tables;
    }
}

/// Whether classes have so many symbols on average that tables of their own may pay.
fn has_enough(counts: &[[u32; 256]]) -> bool {
    let all = counts.iter().map(|c| c.iter().map(|n| *n as usize).sum::<usize>());
    let (used, symbols) = all.filter(|n| *n > 0).fold((0, 0), |(used, sum), n| (used + 1, sum + n));
    symbols >= used * ENOUGH
}

/// The map of up to 256 keys, padded with zeros.
fn boxed(map: &[u8]) -> TableMap {
    let mut boxed = Box::new([0; 256]);
    boxed.copy_from_slice(map);
    boxed
}

/// The cost, in 1/256 bits, of symbols with the tables that a map chooses, the tables included. `counts`
/// holds the symbols of each key.
fn cost(map: &[u8], tables: &[Freqs], counts: &[[u32; 256]]) -> u64 {
    let symbols = map.iter().zip(counts).map(|(m, c)| tables[usize::from(*m)].cost(c)).sum::<u64>();
    symbols + tables.iter().map(Freqs::stored_cost).sum::<u64>()
}
