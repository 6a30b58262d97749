//! Decodes the elements of one field of a tile.

use super::above::decode_below;
use super::base::FoundBase;
use super::low_bits::read_elements;
use super::predicted::{PredictedScratch, decode_predicted};
use crate::codec::tensor::kernel::{add_previous, count_folded, unfold, unpair};
use crate::codec::tensor::predictor::{base_exponent, repeat_classes, symbol_difference, tables_of_row};
use crate::codec::tensor::stored::{
    Context, FieldParams, Planes, Sections, Sequence, StoredContexts, TileGroups, Transform, nibble,
    parse_nibbles, row_ranges,
};
use crate::coder::rans::{Contexts, Decoder};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};
use crate::kernel::Kernel;
use crate::tensor::decimal::Decimal;
use std::sync::Arc;

/// The parameters of a block, ready to decode the fields of its tiles.
pub struct FieldDecoder {
    pub planes: Arc<Planes>,
    /// The base that the block is coded against, if any.
    pub base: Option<FoundBase>,
    /// The tables of each field.
    pub tables: Vec<FieldTables>,
    pub kernel: Kernel,
}

/// The tables of a field, prepared for decoding.
pub struct FieldTables {
    /// The tables of symbols.
    pub symbols: Decoder,
    /// The tables of low bits, where these are coded.
    pub low: Option<Decoder>,
    /// The table of the classes that groups store.
    classes: Option<Decoder>,
    /// The numbers that ranks stand for, where elements are decimals.
    decimal: Option<Decimal>,
}

/// Memory for decoding fields, to be reused.
#[derive(Default)]
pub struct FieldScratch {
    /// The symbols of each field: they may be the contexts of later fields.
    symbols: Vec<Vec<u8>>,
    /// The low bits of one field, where they are coded.
    low: Vec<u8>,
    /// The table of each symbol, or the class of each row.
    contexts: Vec<u8>,
    predicted: PredictedScratch,
}

impl FieldTables {
    fn new(field: &FieldParams) -> Self {
        Self {
            symbols: Decoder::new(&field.tables),
            low: field.low.as_ref().map(|(_, tables)| Decoder::new(tables)),
            classes: match &field.context {
                Context::Classes { freqs, .. } => Some(Decoder::new(std::slice::from_ref(&**freqs))),
                _ => None,
            },
            decimal: match field.transform {
                Transform::Decimal(digits) => Some(Decimal::new(digits)),
                _ => None,
            },
        }
    }
}

impl FieldDecoder {
    /// Builds the tables. `base` is needed where the block is coded against one.
    pub fn new(planes: Arc<Planes>, kernel: Kernel, base: Option<FoundBase>) -> Self {
        let tables = planes.fields.iter().map(FieldTables::new).collect();
        Self { planes, base, tables, kernel }
    }

    /// Decodes all elements of field number `number` of a tile; `out` has room for exactly these. The fields
    /// before it must have been decoded with the same scratch memory.
    ///
    /// The order of steps is that of the sections: what a step reads from `c` may depend on all steps before
    /// it.
    pub fn decode(
        &self,
        c: &mut Cursor<'_>,
        number: usize,
        groups: &TileGroups<'_>,
        out: &mut [u8],
        scratch: &mut FieldScratch,
    ) -> Parsed<()> {
        let (field, tables) = (&self.planes.fields[number], &self.tables[number]);
        scratch.symbols.resize_with(self.planes.fields.len(), Vec::new);
        let count = groups.stored * field.per_group();
        let Sections { zero_bits, exceptions, contexts: stored, symbols: sequence } =
            Sections::parse(c, field, groups, self.planes.group)?;
        let mut symbols = std::mem::take(&mut scratch.symbols[number]);
        symbols.clear();
        symbols.resize(count, 0);
        let mut contexts = std::mem::take(&mut scratch.contexts);
        contexts.clear();
        if let (Context::Predicted(prediction), StoredContexts::Rows(rows)) = (&field.context, &stored) {
            contexts.extend((0..count / prediction.row()).map(|i| nibble(rows, i)));
            let memory = &mut scratch.predicted;
            decode_predicted(
                prediction,
                &sequence,
                &tables.symbols,
                self.kernel,
                &contexts,
                memory,
                &mut symbols,
            )?;
        } else if let Context::Above { groups, map } = &field.context {
            decode_below(&sequence, &tables.symbols, self.kernel, *groups, map, &mut contexts, &mut symbols)?;
        } else {
            let many = self.contexts(number, &stored, groups, &scratch.symbols, &mut contexts)?;
            let contexts = if many { Contexts::Many(&contexts) } else { Contexts::One };
            sequence.decode(&tables.symbols, self.kernel, contexts, &mut symbols)?;
        }
        let folded = match field.fold {
            0 => Vec::new(),
            fold => parse_nibbles(c, count_folded(&symbols, fold))?,
        };
        let coded = field.low.as_ref().zip(tables.low.as_ref()).filter(|_| zero_bits.leave_eight(field));
        if let Some(((map, _), decoder)) = coded {
            contexts.clear();
            contexts.extend(symbols.iter().map(|s| map[usize::from(*s)]));
            scratch.low.clear();
            scratch.low.resize(count, 0);
            let low = Sequence::parse(c, count)?;
            low.decode(decoder, self.kernel, Contexts::Many(&contexts), &mut scratch.low)?;
        }
        match &field.transform {
            Transform::Halves => join_halves(&symbols, out),
            Transform::Palette(values) => look_up_palette(values, field.element, &symbols, out)?,
            _ => {
                let coded = coded.map(|_| &scratch.low[..]);
                read_elements(c, field, &zero_bits, self.kernel, &symbols, coded, out)?;
                if field.fold > 0 {
                    unfold(field, &zero_bits, &symbols, &folded, out);
                }
            }
        }
        if let Some(decimal) = &tables.decimal {
            decimals_of_ranks(decimal, out)?;
        }
        exceptions.apply(out);
        match field.transform {
            Transform::Delta => add_previous(field.element, out),
            Transform::Pairs => unpair(self.kernel, out),
            _ => {}
        }
        scratch.symbols[number] = symbols;
        scratch.contexts = contexts;
        Ok(())
    }

    /// Appends the table of each symbol of a field that has several tables. Returns false and appends nothing
    /// where one table serves all symbols. `earlier` holds the symbols of the fields before it.
    fn contexts(
        &self,
        number: usize,
        stored: &StoredContexts<'_>,
        groups: &TileGroups<'_>,
        earlier: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let field = &self.planes.fields[number];
        let per = field.per_group();
        match (&field.context, stored) {
            (Context::Rows { groups: of_row, columns, map }, StoredContexts::Rows(rows)) => {
                let skipped = groups.first % of_row;
                for (row, range) in row_ranges(skipped, *of_row, groups.all).enumerate() {
                    let class = nibble(rows, row);
                    let start = if row == 0 { skipped as usize } else { 0 };
                    let columns = columns.get(start..start + range.len());
                    tables_of_row(map, class, columns, range.len(), self.kernel, out);
                }
                if let Some(mask) = groups.mask {
                    let mut i = 0..;
                    out.retain(|_| i.next().is_some_and(|i| mask[i / 8] >> (i % 8) & 1 != 0));
                }
            }
            (Context::Fields { first, minus, map }, _) => {
                for i in 0..groups.stored {
                    let symbol = |f: usize| earlier[f][i * self.planes.fields[f].per_group()];
                    let key = minus.map_or(symbol(*first), |m| symbol_difference(symbol(*first), symbol(m)));
                    out.resize(out.len() + per, map[usize::from(key)]);
                }
            }
            (Context::Base { map }, _) => {
                let Some(base) = &self.base else {
                    return Err(Error::corrupt("a field's context is the base, but the block has none"));
                };
                let size = self.planes.group;
                let start = groups.first * size as u64;
                for element in base.bytes(start, groups.stored * size)?.chunks_exact(size) {
                    out.resize(out.len() + per, map[usize::from(base_exponent(element))]);
                }
            }
            (Context::Classes { stripes, .. }, StoredContexts::Classes(sequence)) => {
                let Some(decoder) = &self.tables[number].classes else { return Ok(false) };
                let mut classes = vec![0; groups.stored * stripes];
                sequence.decode(decoder, self.kernel, Contexts::One, &mut classes)?;
                if classes.iter().any(|k| usize::from(*k) >= field.tables.len()) {
                    return Err(Error::corrupt(
                        "a class of rows or columns names a table that does not exist",
                    ));
                }
                repeat_classes(&classes, *stripes, per, out);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Combines two symbols into each byte: its low half, then its high half.
fn join_halves(symbols: &[u8], out: &mut [u8]) {
    for (byte, pair) in out.iter_mut().zip(symbols.chunks_exact(2)) {
        *byte = pair[0] & 15 | pair[1] << 4;
    }
}

/// Replaces each symbol by the palette's value at that index.
fn look_up_palette(values: &[u64], size: usize, symbols: &[u8], out: &mut [u8]) -> Result<()> {
    for (to, s) in out.chunks_exact_mut(size).zip(symbols) {
        let value = values.get(usize::from(*s));
        let value = value.ok_or_else(|| Error::corrupt("a symbol outside of the palette"))?;
        to.copy_from_slice(&value.to_le_bytes()[..size]);
    }
    Ok(())
}

/// Turns ranks, which have the sign as their lowest bit, into the numbers that they stand for.
fn decimals_of_ranks(decimal: &Decimal, out: &mut [u8]) -> Result<()> {
    for element in out.as_chunks_mut::<4>().0 {
        let t = u32::from_le_bytes(*element);
        if t >> 1 >= decimal.ranks() {
            return Err(Error::corrupt("a decimal's rank is out of range"));
        }
        *element = (decimal.number(t >> 1) | t << 31).to_le_bytes();
    }
    Ok(())
}
