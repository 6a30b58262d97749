//! How many of the lowest bits of a tile's floats are zero, and therefore not stored.

use super::field::{FieldParams, Transform};
use super::tile_groups::{TileGroups, row_ranges};
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use std::ops::Range;

/// Set in the byte of zero bits if some rows have more of them.
const BY_ROW: u8 = 0x80;

/// The number of zero bits below the elements of a field in a tile. Floats that were converted from a
/// narrower type have such bits, sometimes only in some rows.
#[derive(Debug, Default, Clone)]
pub struct ZeroBits {
    /// The number of zero bits below every element outside marked rows.
    pub zeros: u32,
    /// The rows that have more zero bits.
    pub marked: Option<MarkedRows>,
}

/// Rows whose elements have more zero bits than the others.
#[derive(Debug, Clone)]
pub struct MarkedRows {
    /// The number of zero bits below each element of these rows.
    pub zeros: u32,
    /// The number of elements in a row, 1..=2^32.
    pub groups: u64,
    /// How many elements of the tile's first row lie in earlier tiles.
    pub skipped: u64,
    /// A bit for each row of which the tile has elements, the lowest bit of the first byte first: 1 if the
    /// row is marked.
    pub bits: Vec<u8>,
}

impl ZeroBits {
    /// Appends the zero bits of a field; nothing for fields that are not floats.
    pub fn put(&self, field: &FieldParams, out: &mut Vec<u8>) {
        if field.transform != Transform::Float {
            return;
        }
        match &self.marked {
            None => out.push(self.zeros as u8),
            Some(marked) => {
                out.extend_from_slice(&[self.zeros as u8 | BY_ROW, marked.zeros as u8]);
                varint::put(out, marked.groups);
                out.extend_from_slice(&marked.bits);
            }
        }
    }

    /// Reads what [`Self::put`] wrote. `group` is the number of bytes of a group.
    pub fn parse(
        c: &mut Cursor<'_>,
        field: &FieldParams,
        groups: &TileGroups<'_>,
        group: usize,
    ) -> Parsed<Self> {
        if field.transform != Transform::Float {
            return Ok(Self::default());
        }
        let byte = c.u8()?;
        let zeros = u32::from(byte & !BY_ROW);
        in_range("zero bits", zeros.into(), 0..=field.low_bits.into())?;
        if byte & BY_ROW == 0 {
            return Ok(Self { zeros, marked: None });
        }
        if field.width != field.element
            || field.width != group
            || groups.mask.is_some()
            || field.low.is_some()
        {
            return Err(Error::corrupt("zero bits are stored by row, but the block has no rows").into());
        }
        let more = u32::from(c.u8()?);
        in_range("zero bits of marked rows", more.into(), u64::from(zeros) + 1..=field.low_bits.into())?;
        let of_row = c.varint_in("groups of a row", 1..=1 << 32)?;
        // At most as many as the tile has groups, since each row has at least one of them.
        let bits = c.take(groups.rows(of_row).div_ceil(8) as usize)?.to_vec();
        let marked = MarkedRows { zeros: more, groups: of_row, skipped: groups.first % of_row, bits };
        Ok(Self { zeros, marked: Some(marked) })
    }

    /// The number of zero bits of all elements; `None` where rows differ.
    pub fn same_zeros(&self) -> Option<u32> {
        self.marked.is_none().then_some(self.zeros)
    }

    /// The number of zero bits of one element, indexed from the tile's first.
    pub fn zeros_of(&self, element: usize) -> u32 {
        match &self.marked {
            Some(marked) if marked.contains(element) => marked.zeros,
            _ => self.zeros,
        }
    }

    /// Whether each number has exactly eight low bits that are not zero; only these may be entropy-coded.
    pub fn leave_eight(&self, field: &FieldParams) -> bool {
        self.marked.is_none() && field.low_bits - self.zeros == 8
    }
}

impl MarkedRows {
    /// Whether an element, indexed from the tile's first, lies in a marked row.
    #[inline]
    fn contains(&self, element: usize) -> bool {
        self.is_marked(((element as u64 + self.skipped) / self.groups) as usize)
    }

    fn is_marked(&self, row: usize) -> bool {
        self.bits[row / 8] >> (row % 8) & 1 != 0
    }

    /// The elements of each row that is marked, or of each row that is not, where the tile has `count`
    /// elements.
    pub fn ranges(&self, marked: bool, count: usize) -> impl Iterator<Item = Range<usize>> {
        let rows = row_ranges(self.skipped, self.groups, count).enumerate();
        rows.filter(move |(row, _)| self.is_marked(*row) == marked).map(|(_, range)| range)
    }
}
