//! A reader of fields in a slice that may not hold all bytes yet.

use super::varint;
use crate::error::{Error, Result};

/// Why a structure could not be read from the bytes at hand.
#[derive(Debug)]
pub enum Parse {
    /// The slice is too short: at least this many bytes are needed, counted from its start.
    Need(usize),
    /// The bytes break a rule of the format, or need a newer version of it.
    Bad(Error),
}

impl From<Error> for Parse {
    fn from(e: Error) -> Self {
        Parse::Bad(e)
    }
}

impl Parse {
    /// The error for a slice that will get no more bytes: `Truncated` where bytes are missing. `what` names
    /// the structure to which they belong.
    pub fn at_end(self, what: &str) -> Error {
        match self {
            Parse::Need(n) => Error::truncated(format!("the data ends inside {what} ({n} bytes needed)")),
            Parse::Bad(e) => e,
        }
    }
}

/// The result of reading a field or structure.
pub type Parsed<T> = std::result::Result<T, Parse>;

/// A reading position in a slice. Every method that reads fails with [`Parse::Need`] where the slice is too
/// short.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    /// The number of bytes read so far.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// All bytes read so far.
    pub fn seen(&self) -> &'a [u8] {
        &self.bytes[..self.pos]
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.pos..]
    }

    /// Reads the next `n` bytes.
    pub fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        let end = self.pos.saturating_add(n);
        let bytes = self.bytes.get(self.pos..end).ok_or(Parse::Need(end))?;
        self.pos = end;
        Ok(bytes)
    }

    /// Fails unless at least `n` more bytes are there; reads none of them. To be called before memory for a
    /// declared count is allocated.
    pub fn expect(&self, n: usize) -> Parsed<()> {
        if self.rest().len() < n { Err(Parse::Need(self.pos.saturating_add(n))) } else { Ok(()) }
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    /// Reads a little-endian u16.
    pub fn u16(&mut self) -> Parsed<u16> {
        let b = self.take(2)?;
        Ok(u16::from_le_bytes([b[0], b[1]]))
    }

    /// Reads a little-endian u64.
    pub fn u64(&mut self) -> Parsed<u64> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Reads a little-endian u32.
    pub fn u32(&mut self) -> Parsed<u32> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Reads a 32-byte hash.
    pub fn hash(&mut self) -> Parsed<[u8; 32]> {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.take(32)?);
        Ok(hash)
    }

    /// Reads a varint, which must have its shortest form. `what` names the field in errors.
    pub fn varint(&mut self, what: &str) -> Parsed<u64> {
        let mut value = 0u64;
        for i in 0..varint::MAX_LEN {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if i == varint::MAX_LEN - 1 && byte > 1 {
                break;
            }
            value |= bits << (7 * i);
            if byte < 0x80 {
                if byte == 0 && i > 0 {
                    break;
                }
                return Ok(value);
            }
        }
        Err(Error::corrupt(format!("{what}: not a varint in its shortest form")).into())
    }

    /// Reads a varint, which must lie in `range`.
    pub fn varint_in(&mut self, what: &str, range: std::ops::RangeInclusive<u64>) -> Parsed<u64> {
        let value = self.varint(what)?;
        in_range(what, value, range)?;
        Ok(value)
    }
}

/// Fails with `Corrupt` unless `value` lies in `range`; the message names the field, the range and the value.
pub fn in_range(what: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(Error::corrupt(format!("{what}: {low}..={high} expected, {value} found")))
}
