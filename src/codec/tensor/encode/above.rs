//! Chooses tables by the symbols of the row above: what stood in the same channel at the token before, in keys and values.

use super::join::join_classes;
use super::tile::TileParts;
use crate::codec::tensor::stored::{ABOVE_GROUPS, Context, FieldParams, TableMap};
use crate::coder::rans::Freqs;

/// Chooses tables by the symbol above where that takes less than the context that the field has. Rows have
/// `groups` groups.
pub fn choose_by_above(field: &mut FieldParams, number: usize, tiles: &mut [TileParts<'_>], groups: usize) {
    if !ABOVE_GROUPS.contains(&(groups as u64)) {
        return;
    }
    let above = |symbols: &[u8], i: usize| i.checked_sub(groups).map_or(0, |i| symbols[i]);
    let mut counts = vec![[0u32; 256]; 256];
    for symbols in tiles.iter().map(|t| &t.fields[number].symbols) {
        for (i, s) in symbols.iter().enumerate() {
            counts[usize::from(above(symbols, i))][usize::from(*s)] += 1;
        }
    }
    let (found, tables) = join_classes(&counts);
    let tables_cost = |tables: &[Freqs]| tables.iter().map(Freqs::stored_cost).sum::<u64>();
    let pairs = found.iter().zip(&counts);
    let cost = pairs.map(|(m, c)| tables[usize::from(*m)].cost(c)).sum::<u64>() + tables_cost(&tables);
    if cost >= present_cost(field, number, tiles) + tables_cost(&field.tables) {
        return;
    }
    let mut map: TableMap = Box::new([0; 256]);
    map.copy_from_slice(&found);
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        let parts = &mut t.fields[number];
        let symbols = &parts.symbols;
        parts.contexts = (0..symbols.len()).map(|i| map[usize::from(above(symbols, i))]).collect();
        t.row_classes = Vec::new();
    }
    (field.context, field.tables) = (Context::Above { groups, map }, tables);
}

/// The cost of all symbols, and of the classes of rows, with the context that the field has, in 1/256 bits.
fn present_cost(field: &FieldParams, number: usize, tiles: &[TileParts<'_>]) -> u64 {
    let mut counts = vec![[0u32; 256]; field.tables.len()];
    for t in tiles {
        let parts = &t.fields[number];
        match parts.contexts.len() {
            0 => parts.symbols.iter().for_each(|s| counts[0][usize::from(*s)] += 1),
            _ => {
                let pairs = parts.contexts.iter().zip(&parts.symbols);
                pairs.for_each(|(c, s)| counts[usize::from(*c)][usize::from(*s)] += 1);
            }
        }
    }
    let symbols: u64 = field.tables.iter().zip(&counts).map(|(t, c)| t.cost(c)).sum();
    let rows: usize = tiles.iter().map(|t| t.row_classes.len()).sum();
    symbols + 4 * 256 * rows as u64
}
