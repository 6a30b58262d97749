//! Finds the sections of a tile's payload without decoding them.

use super::context::Context;
use super::field::FieldParams;
use super::sequence::Sequence;
use super::tile_groups::TileGroups;
use super::zero_bits::ZeroBits;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;

/// How a tile is stored: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TileMode {
    /// The planes of all groups.
    Planes = 0,
    /// One group, which all groups of the tile equal.
    Same = 1,
    /// The raw bytes.
    Raw = 2,
    /// A mask of the groups that are not zero, then their planes.
    Masked = 3,
}

impl TileMode {
    /// Reads the mode.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        match c.u8()? {
            0 => Ok(Self::Planes),
            1 => Ok(Self::Same),
            2 => Ok(Self::Raw),
            3 => Ok(Self::Masked),
            other => Err(crate::codec::newer(&format!("tile mode {other}")).into()),
        }
    }
}

/// The sections of one field up to the symbols. The lengths of the sections after them are known unless
/// symbols are folded.
pub struct Sections<'a> {
    /// The zero bits below floats.
    pub zero_bits: ZeroBits,
    /// Elements that have no symbol.
    pub exceptions: Exceptions<'a>,
    /// The tile's addition to the field's context.
    pub contexts: StoredContexts<'a>,
    /// The symbols of all stored groups.
    pub symbols: Sequence<'a>,
}

/// The stored part of what chooses the symbols' tables.
pub enum StoredContexts<'a> {
    /// Nothing: the parameters suffice.
    Nothing,
    /// The classes of the tile's rows, as nibbles.
    Rows(&'a [u8]),
    /// The classes of groups.
    Classes(Sequence<'a>),
}

impl<'a> Sections<'a> {
    /// Reads up to the end of the symbols. `group` is the number of bytes of a group.
    pub fn parse(
        c: &mut Cursor<'a>,
        field: &FieldParams,
        groups: &TileGroups<'_>,
        group: usize,
    ) -> Parsed<Self> {
        let zero_bits = ZeroBits::parse(c, field, groups, group)?;
        let elements = groups.stored * (field.width / field.element);
        let exceptions = Exceptions::parse(c, field.element, elements)?;
        let contexts = match &field.context {
            Context::Rows { groups: of_row, .. } => {
                // At most as many as the tile has groups, since each row has at least one of them.
                StoredContexts::Rows(c.take(groups.rows(*of_row).div_ceil(2) as usize)?)
            }
            Context::Classes { stripes, .. } => {
                StoredContexts::Classes(Sequence::parse(c, groups.stored * stripes)?)
            }
            Context::Predicted(prediction) => {
                let row = prediction.row() as u64;
                if !groups.first.is_multiple_of(row) || !(groups.all as u64).is_multiple_of(row) {
                    return Err(Error::corrupt("predictions need tiles of whole rows").into());
                }
                StoredContexts::Rows(c.take(groups.rows(row).div_ceil(2) as usize)?)
            }
            Context::None | Context::Fields { .. } | Context::Base { .. } | Context::Above { .. } => {
                StoredContexts::Nothing
            }
        };
        let symbols = Sequence::parse(c, groups.stored * field.per_group())?;
        Ok(Self { zero_bits, exceptions, contexts, symbols })
    }
}

/// Elements that have no symbol and are stored apart.
pub struct Exceptions<'a> {
    /// Their indices among the field's elements in the tile, in rising order.
    pub places: Vec<usize>,
    /// Their bytes.
    pub values: Vec<&'a [u8]>,
    element: usize,
}

impl<'a> Exceptions<'a> {
    /// Reads the exceptions among `all` elements of `element` bytes each.
    fn parse(c: &mut Cursor<'a>, element: usize, all: usize) -> Parsed<Self> {
        let count = c.varint_in("number of exceptions", 0..=all as u64)? as usize;
        // Memory is only taken for what is there.
        c.expect(count * (1 + element))?;
        let (mut places, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut next = 0u64;
        for _ in 0..count {
            let at = c.varint_in("place of an exception", 0..=all as u64)? + next;
            in_range("place of an exception", at, 0..=all as u64 - 1)?;
            next = at + 1;
            places.push(at as usize);
            values.push(c.take(element)?);
        }
        Ok(Self { places, values, element })
    }

    /// Puts the exceptions in their places; `elements` holds all elements, one directly after the other.
    pub fn apply(&self, elements: &mut [u8]) {
        for (at, value) in self.places.iter().zip(&self.values) {
            elements[at * self.element..(at + 1) * self.element].copy_from_slice(value);
        }
    }
}

/// Appends exceptions, which must be in rising order: the index and the bits of each, of which the lowest
/// `element` bytes are stored.
pub fn put_exceptions(exceptions: &[(usize, u64)], element: usize, out: &mut Vec<u8>) {
    varint::put(out, exceptions.len() as u64);
    let mut next = 0;
    for (at, bits) in exceptions {
        varint::put(out, (at - next) as u64);
        out.extend_from_slice(&bits.to_le_bytes()[..element]);
        next = at + 1;
    }
}
