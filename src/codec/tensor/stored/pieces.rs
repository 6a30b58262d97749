//! Groups whose fields are made of pieces of a few bits, and whose words may lie in several rows
//! (`formats/tensor.md`, "Cut").

use super::field::FieldParams;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;

/// The largest number of pieces of a pattern.
const MAX_PIECES: u64 = 64;
/// The largest number of words of a row.
const MAX_WORDS: u64 = 1 << 20;
/// The largest number of raw bytes of a band.
const MAX_BAND: u64 = 1 << 20;

/// The places of a group's words and of its fields' pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceLayout {
    /// The number of rows of a band. The words with index i of all its rows make up the band's group i.
    pub rows: usize,
    /// The number of bytes of a word.
    pub word: usize,
    /// The number of words in a row; 1 where a band has one row.
    pub columns: usize,
    /// The number of bits and the field of each piece of a group, from the group's lowest bit on. The pattern
    /// repeats up to the group's end.
    pub pattern: Vec<(u8, u8)>,
}

impl PieceLayout {
    /// Appends the layout.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.rows as u64);
        if self.rows > 1 {
            varint::put(out, self.columns as u64);
        }
        out.push(self.pattern.len() as u8);
        self.pattern.iter().for_each(|(bits, field)| out.extend_from_slice(&[*bits, *field]));
    }

    /// Reads the layout of groups of `group` bytes, and checks that each field has as many elements as it
    /// gets pieces.
    pub fn parse(c: &mut Cursor<'_>, group: usize, fields: &[FieldParams]) -> Parsed<Self> {
        let rows = c.varint_in("rows of a band", 1..=group as u64)? as usize;
        let mut columns = 1;
        if !group.is_multiple_of(rows) {
            return Err(Error::corrupt(format!("groups of {group} bytes from {rows} rows")).into());
        }
        if rows > 1 {
            columns = c.varint_in("words of a row", 1..=MAX_WORDS)? as usize;
            in_range("bytes of a band", (group * columns) as u64, 1..=MAX_BAND)?;
        }
        let count = u64::from(c.u8()?);
        in_range("pieces of a pattern", count, 1..=MAX_PIECES)?;
        let pieces = c.take(2 * count as usize)?.chunks_exact(2);
        let pattern = pieces.map(|p| (p[0], p[1])).collect();
        let layout = Self { rows, word: group / rows, columns, pattern };
        layout.check(group, fields)?;
        Ok(layout)
    }

    fn check(&self, group: usize, fields: &[FieldParams]) -> Result<()> {
        for (bits, field) in &self.pattern {
            let most = fields.get(usize::from(*field)).map_or(0, |f| 8 * f.element as u64);
            // A piece takes the smallest element that holds it, so that a tile's elements take at most eight
            // times its bytes.
            let least = if most > 8 { most / 2 + 1 } else { 1 };
            in_range("bits of a piece", u64::from(*bits), least..=most)?;
        }
        let sum: usize = self.pattern.iter().map(|p| usize::from(p.0)).sum();
        if !(8 * group).is_multiple_of(sum) {
            return Err(Error::corrupt(format!("patterns of {sum} bits in groups of {group} bytes")));
        }
        let repeats = 8 * group / sum;
        for (i, field) in fields.iter().enumerate() {
            let pieces = self.pieces_of(i) * repeats;
            in_range("bytes of a field", field.width as u64, 1..=u64::MAX)?;
            if field.width != pieces * field.element {
                return Err(Error::corrupt(format!(
                    "field {i} of {} bytes has {pieces} pieces",
                    field.width
                )));
            }
        }
        Ok(())
    }

    /// The number of raw bytes of a band; every tile holds a whole number of bands.
    pub fn band(&self) -> usize {
        self.rows * self.word * self.columns
    }

    /// The number of pieces of a field in the pattern.
    pub fn pieces_of(&self, field: usize) -> usize {
        self.pattern.iter().filter(|p| usize::from(p.1) == field).count()
    }

    /// The number of bits of each piece of a field, where all have the same number.
    pub fn bits(&self, field: usize) -> Option<u8> {
        let mut pieces = self.pattern.iter().filter(|p| usize::from(p.1) == field).map(|p| p.0);
        let first = pieces.next()?;
        pieces.all(|bits| bits == first).then_some(first)
    }
}
