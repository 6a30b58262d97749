//! The context of a field, which chooses the table of each symbol.

use super::nibbles::{parse_nibbles, put_nibbles};
use super::prediction::LinearPrediction;
use super::tables::{TableMap, parse_map};
use crate::coder::rans::Freqs;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use std::ops::RangeInclusive;

/// The most groups in a row whose columns have classes.
const MAX_CLASS_COLUMNS: u64 = 1 << 16;

/// The groups of a row where the row above is a context: all lanes of the coder can work in one row.
pub const ABOVE_GROUPS: RangeInclusive<u64> = 32..=1 << 20;

/// The context that chooses the table of each symbol of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// None: there is one table.
    None,
    /// The classes of the symbol's row and column.
    Rows {
        /// The number of groups in a row, 1..=2^32.
        groups: u64,
        /// The class of each column, below 16. Empty where all columns have class 8.
        columns: Vec<u8>,
        /// The table for each sum of classes; see `class_sum`.
        map: [u8; 16],
    },
    /// The symbols of earlier fields in the same group.
    Fields {
        /// The field whose first symbol in the group is the key of the map.
        first: usize,
        /// The field whose first symbol is subtracted from it; see `symbol_difference`.
        minus: Option<usize>,
        /// The table for each key.
        map: TableMap,
    },
    /// The exponent of the base's element at the same place.
    Base {
        /// The table for each exponent; see `base_exponent`.
        map: TableMap,
    },
    /// Classes that each group stores; they are the numbers of tables.
    Classes {
        /// The number of classes of a group. Symbol j of a group has class j mod `stripes`.
        stripes: usize,
        /// The table with which the classes themselves are coded.
        freqs: Box<Freqs>,
    },
    /// The symbol of the same column in the row above.
    Above {
        /// The number of groups in a row, in [`ABOVE_GROUPS`].
        groups: usize,
        /// The table for each symbol above; the tile's first row has zeros above it.
        map: TableMap,
    },
    /// A prediction from the earlier numbers of the same row, together with the classes of row and column.
    Predicted(Box<LinearPrediction>),
}

/// The properties of a field that decide which contexts it may have.
pub struct ContextLimits {
    /// Whether a group is nothing but this field, one element with one symbol.
    pub whole: bool,
    /// The number of fields before this one.
    pub earlier: usize,
    /// The number of symbols in a group.
    pub per_group: usize,
}

impl Context {
    /// Appends the context.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Context::None => out.push(0),
            Context::Rows { groups, columns, map } => {
                out.push(1);
                varint::put(out, *groups);
                out.push(u8::from(!columns.is_empty()));
                put_nibbles(columns, out);
                put_nibbles(map, out);
            }
            Context::Fields { first, minus, map } => {
                out.extend_from_slice(&[2, *first as u8, minus.map_or(0, |m| m as u8 + 1)]);
                put_nibbles(&map[..], out);
            }
            Context::Classes { stripes, freqs } => {
                out.push(3);
                varint::put(out, *stripes as u64);
                freqs.put(out);
            }
            Context::Base { map } => {
                out.push(4);
                put_nibbles(&map[..], out);
            }
            Context::Predicted(prediction) => {
                out.push(5);
                prediction.put(out);
            }
            Context::Above { groups, map } => {
                out.push(6);
                varint::put(out, *groups as u64);
                put_nibbles(&map[..], out);
            }
        }
    }

    /// Reads the context of a field with these limits.
    pub fn parse(c: &mut Cursor<'_>, limits: &ContextLimits) -> Parsed<Self> {
        Ok(match c.u8()? {
            0 => Context::None,
            1 if limits.whole => {
                let groups = c.varint_in("groups of a row", 1..=1 << 32)?;
                let mut columns = Vec::new();
                if parse_flag(c)? {
                    in_range("columns with classes", groups, 1..=MAX_CLASS_COLUMNS)?;
                    columns = parse_nibbles(c, groups as usize)?;
                }
                let mut map = [0; 16];
                map.copy_from_slice(&parse_nibbles(c, 16)?);
                Context::Rows { groups, columns, map }
            }
            2 => {
                let (first, minus) = (usize::from(c.u8()?), usize::from(c.u8()?).checked_sub(1));
                if [Some(first), minus].into_iter().flatten().any(|f| f >= limits.earlier) {
                    return Err(Error::corrupt("a field's context must be an earlier field").into());
                }
                Context::Fields { first, minus, map: parse_map(c)? }
            }
            3 => {
                let stripes = c.varint_in("stripes", 1..=limits.per_group as u64)? as usize;
                Context::Classes { stripes, freqs: Box::new(Freqs::parse(c)?) }
            }
            4 => Context::Base { map: parse_map(c)? },
            5 if limits.whole => Context::Predicted(Box::new(LinearPrediction::parse(c)?)),
            6 if limits.whole => {
                let groups = c.varint_in("groups of a row", ABOVE_GROUPS)? as usize;
                Context::Above { groups, map: parse_map(c)? }
            }
            other => return Err(Error::corrupt(format!("context {other}")).into()),
        })
    }

    /// The largest table number that the parameters name. Classes stored by groups are not included: a
    /// decoder checks each one that it reads.
    pub fn last_table(&self) -> usize {
        let map: &[u8] = match self {
            Context::Fields { map, .. } | Context::Base { map } | Context::Above { map, .. } => &map[..],
            Context::Rows { map, .. } => map,
            Context::Predicted(prediction) => &prediction.map[..],
            Context::None | Context::Classes { .. } => &[],
        };
        map.iter().max().map_or(0, |m| usize::from(*m))
    }
}

/// Reads a byte that is 0 or 1.
pub fn parse_flag(c: &mut Cursor<'_>) -> Parsed<bool> {
    let value = c.u8()?;
    in_range("flag", value.into(), 0..=1)?;
    Ok(value == 1)
}
