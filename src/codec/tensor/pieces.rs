//! Groups whose fields are pieces of some bits, and whose words may lie in several rows (`formats/tensor.md`, "Cut").

use super::params::Field;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;

/// Most pieces of a pattern.
const MAX_PIECES: u64 = 64;
/// Most words of a row.
const MAX_COLUMNS: u64 = 1 << 20;
/// Most raw bytes of a band.
const MAX_BAND: u64 = 1 << 20;

/// How groups are gathered and dealt out to the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Rows of a band: word i of each make the band's group i.
    pub rows: usize,
    /// Bytes of a word.
    pub word: usize,
    /// Words of a row; 1 where a band has one row.
    pub columns: usize,
    /// Bits and field of each piece of a group, from its lowest bit on; the pattern repeats to the group's end.
    pub pattern: Vec<(u8, u8)>,
}

impl Cut {
    /// Appends it; the bytes of a group tell those of a word.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.rows as u64);
        if self.rows > 1 {
            varint::put(out, self.columns as u64);
        }
        out.push(self.pattern.len() as u8);
        self.pattern.iter().for_each(|(bits, field)| out.extend_from_slice(&[*bits, *field]));
    }

    /// Reads what [`Self::put`] wrote and checks that the fields take just the pieces that they get.
    pub fn parse(c: &mut Cursor<'_>, group: usize, fields: &[Field]) -> Parsed<Self> {
        let rows = c.varint_in("rows of a band", 1..=group as u64)? as usize;
        let mut columns = 1;
        if !group.is_multiple_of(rows) {
            return Err(Error::corrupt(format!("groups of {group} bytes from {rows} rows")).into());
        }
        if rows > 1 {
            columns = c.varint_in("words of a row", 1..=MAX_COLUMNS)? as usize;
            in_range("bytes of a band", (group * columns) as u64, 1..=MAX_BAND)?;
        }
        let count = u64::from(c.u8()?);
        in_range("pieces of a pattern", count, 1..=MAX_PIECES)?;
        let pieces = c.take(2 * count as usize)?.chunks_exact(2);
        let cut = Self { rows, word: group / rows, columns, pattern: pieces.map(|p| (p[0], p[1])).collect() };
        cut.check(group, fields)?;
        Ok(cut)
    }

    fn check(&self, group: usize, fields: &[Field]) -> Result<()> {
        for (bits, field) in &self.pattern {
            let most = fields.get(usize::from(*field)).map_or(0, |f| 8 * f.element as u64);
            // The smallest elements that hold a piece: so that a tile's elements take at most eight times its bytes.
            let least = if most > 8 { most / 2 + 1 } else { 1 };
            in_range("bits of a piece", u64::from(*bits), least..=most)?;
        }
        let sum: usize = self.pattern.iter().map(|p| usize::from(p.0)).sum();
        if !(8 * group).is_multiple_of(sum) {
            return Err(Error::corrupt(format!("patterns of {sum} bits in groups of {group} bytes")));
        }
        let repeats = 8 * group / sum;
        for (i, field) in fields.iter().enumerate() {
            let pieces = self.pattern.iter().filter(|p| usize::from(p.1) == i).count() * repeats;
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

    /// Raw bytes of a band.
    pub fn unit(&self) -> usize {
        self.rows * self.word * self.columns
    }

    /// Bits of the pieces of a field, where all have the same.
    pub fn bits(&self, field: usize) -> Option<u8> {
        let mut pieces = self.pattern.iter().filter(|p| usize::from(p.1) == field).map(|p| p.0);
        let first = pieces.next()?;
        pieces.all(|bits| bits == first).then_some(first)
    }

    /// Puts the words of each group one behind the other. `raw` and `out` hold whole bands.
    pub fn gather(&self, raw: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.resize(raw.len(), 0);
        let bands = raw.chunks_exact(self.unit()).zip(out.chunks_exact_mut(self.unit()));
        for (from, to) in bands {
            self.turn(from, to, |from, to, word, at| {
                to[at..at + self.word].copy_from_slice(&from[word..word + self.word])
            });
        }
    }

    /// Undoes [`Self::gather`].
    pub fn scatter(&self, groups: &[u8], raw: &mut [u8]) {
        for (to, from) in raw.chunks_exact_mut(self.unit()).zip(groups.chunks_exact(self.unit())) {
            self.turn(from, to, |from, to, word, at| {
                to[word..word + self.word].copy_from_slice(&from[at..at + self.word])
            });
        }
    }

    /// Calls `each` with the offset of every word in a band of raw bytes and in its groups.
    fn turn(&self, from: &[u8], to: &mut [u8], each: impl Fn(&[u8], &mut [u8], usize, usize)) {
        for column in 0..self.columns {
            for row in 0..self.rows {
                each(
                    from,
                    to,
                    (row * self.columns + column) * self.word,
                    (column * self.rows + row) * self.word,
                );
            }
        }
    }

    /// The one width of all pieces, where they are one field of bytes and eight of them end with a byte of a group.
    fn even(&self, group: usize, fields: &[Field]) -> Option<usize> {
        let bits = usize::from(self.bits(0)?);
        (fields.len() == 1 && fields[0].element == 1 && group.is_multiple_of(bits)).then_some(bits)
    }

    /// Deals the pieces of whole groups out to the fields: for each its elements, one behind the other.
    pub fn deal(&self, group: usize, fields: &[Field], groups: &[u8], out: &mut [Vec<u8>]) {
        if let Some(bits) = self.even(group, fields) {
            let mask = (1u64 << bits) - 1;
            out[0].reserve(groups.len() * 8 / bits);
            for bytes in groups.chunks_exact(bits) {
                let value = little(bytes);
                out[0].extend((0..8).map(|i| (value >> (i * bits) & mask) as u8));
            }
            return;
        }
        for bytes in groups.chunks_exact(group) {
            let (mut pool, mut have, mut bytes) = (0u128, 0u32, bytes.iter());
            for (bits, field) in self.pattern.iter().cycle() {
                let bits = u32::from(*bits);
                while have < bits {
                    let Some(byte) = bytes.next() else { break };
                    pool |= u128::from(*byte) << have;
                    have += 8;
                }
                if have == 0 {
                    break;
                }
                let value = (pool & ((1 << bits) - 1)) as u64;
                let field = usize::from(*field);
                out[field].extend_from_slice(&value.to_le_bytes()[..fields[field].element]);
                pool >>= bits;
                have -= bits;
            }
        }
    }

    /// Undoes [`Self::deal`]; fills `groups`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] for an element of more bits than its piece has.
    pub fn collect(
        &self,
        group: usize,
        fields: &[Field],
        elements: &[Vec<u8>],
        groups: &mut [u8],
    ) -> Result<()> {
        if let Some(bits) = self.even(group, fields) {
            let mut any = 0;
            for (bytes, values) in groups.chunks_exact_mut(bits).zip(elements[0].chunks_exact(8)) {
                let mut value = 0u64;
                for (i, v) in values.iter().enumerate() {
                    any |= v;
                    value |= u64::from(*v) << (i * bits);
                }
                bytes.copy_from_slice(&value.to_le_bytes()[..bits]);
            }
            return if u64::from(any) >> bits == 0 { Ok(()) } else { Err(wide()) };
        }
        let mut values: Vec<_> =
            elements.iter().zip(fields).map(|(e, f)| e.chunks_exact(f.element)).collect();
        for bytes in groups.chunks_exact_mut(group) {
            let (mut pool, mut have, mut at) = (0u128, 0u32, 0);
            let mut pieces = self.pattern.iter().cycle();
            while at < bytes.len() {
                if have >= 8 {
                    bytes[at] = pool as u8;
                    (pool, have, at) = (pool >> 8, have - 8, at + 1);
                    continue;
                }
                let Some((bits, field)) = pieces.next() else { break };
                let value = little(values[usize::from(*field)].next().unwrap_or_default());
                if *bits < 64 && value >> bits != 0 {
                    return Err(wide());
                }
                pool |= u128::from(value) << have;
                have += u32::from(*bits);
            }
        }
        Ok(())
    }
}

fn wide() -> Error {
    Error::corrupt("an element of more bits than its piece")
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}
