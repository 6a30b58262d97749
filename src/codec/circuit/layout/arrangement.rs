//! Arrangements: the mappings between raw bytes and records (`formats/circuit.md`, "Arrangements").

use crate::codec::newer;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse, Parsed};
use crate::format::varint;
use crate::model::circuit::Patch;
use std::ops::Range;

/// Kind of [`Arrangement::Wide`] in a block's parameters.
const KIND_WIDE: u8 = 1;
/// Kind of [`Arrangement::Patches`] in a block's parameters.
const KIND_PATCHES: u8 = 2;
/// The largest number of pixels in a picture's row.
pub const MAX_COLUMNS: u64 = 1 << 24;
/// The records of a window may have this many variables in total, plus four for each raw byte of the window.
pub const SPARE: u64 = 1 << 20;

/// How the raw bytes of a window map to records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// One byte per variable, record after record.
    Bytes,
    /// One little-endian number per variable. Its lowest byte is the symbol, from which its upper bytes
    /// follow.
    Wide {
        /// Bytes of a number: 2, 4 or 8.
        bytes: u8,
        /// Whether the upper bytes extend the sign of the lowest byte, rather than being 0.
        signed: bool,
    },
    /// Records are patches of a picture, from left to right and from top to bottom.
    Patches {
        /// The shape of a patch.
        patch: Patch,
        /// Pixels in a row of the picture, 1..=2^24.
        columns: u32,
    },
}

/// The variables of a record for which raw bytes exist. Records at the right and lower edges of a picture are
/// incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// All of them.
    All,
    /// Those of the pixels in the first columns and rows of a patch.
    Corner {
        /// The shape of the whole patch.
        patch: Patch,
        /// The number of columns that exist.
        columns: usize,
        /// The number of rows that exist.
        rows: usize,
    },
}

impl Known {
    /// Whether raw bytes exist for a variable.
    pub fn has(&self, variable: usize) -> bool {
        match self {
            Known::All => true,
            Known::Corner { patch, columns, rows } => {
                let (x, y) = place(patch, variable);
                x < *columns && y < *rows
            }
        }
    }
}

/// The column and row, in its patch, of the pixel that a variable belongs to.
fn place(patch: &Patch, variable: usize) -> (usize, usize) {
    let pixel = variable / usize::from(patch.channels);
    (pixel % usize::from(patch.width), pixel / usize::from(patch.width))
}

impl Arrangement {
    /// Reads the arrangement from a block's parameters. A block without parameters has
    /// [`Arrangement::Bytes`].
    ///
    /// # Errors
    /// `NewerVersion` for a kind that this release does not know; `Corrupt` for parameters of a wrong length
    /// or value.
    pub fn parse(params: Option<&[u8]>) -> Result<Self> {
        let Some(params) = params else { return Ok(Arrangement::Bytes) };
        let mut cursor = Cursor::new(params);
        match read(&mut cursor) {
            Ok(arrangement) if cursor.pos() == params.len() => Ok(arrangement),
            Ok(_) | Err(Parse::Need(_)) => {
                let found = params.len();
                Err(Error::corrupt(format!("parameters of a circuit block of another length than {found}")))
            }
            Err(Parse::Bad(e)) => Err(e),
        }
    }

    /// The parameters that a block of this arrangement stores; `None` for [`Arrangement::Bytes`].
    pub fn params(&self) -> Option<Vec<u8>> {
        match *self {
            Arrangement::Bytes => None,
            Arrangement::Wide { bytes, signed } => Some(vec![KIND_WIDE, bytes, signed.into()]),
            Arrangement::Patches { patch, columns } => {
                let mut out = vec![KIND_PATCHES];
                out.extend(patch.to_bytes());
                varint::put(&mut out, columns.into());
                Some(out)
            }
        }
    }

    /// The length of a unit in raw bytes, for records of `width` variables. Windows consist of whole units: a
    /// unit is a record or, of a picture, a band of patches across its whole width. Only the last band of a
    /// picture may be shorter.
    pub fn unit(&self, width: usize) -> usize {
        match self {
            Arrangement::Bytes => width,
            Arrangement::Wide { bytes, .. } => width.saturating_mul((*bytes).into()),
            Arrangement::Patches { patch, .. } => self.step(width).saturating_mul(patch.height.into()),
        }
    }

    /// The number of raw bytes that the raw length of every window must be a multiple of: that of a record
    /// or, of a picture, of a row.
    pub fn step(&self, width: usize) -> usize {
        match self {
            Arrangement::Patches { patch, columns } => {
                (*columns as usize).saturating_mul(patch.channels.into())
            }
            _ => self.unit(width),
        }
    }

    /// The number of records in a unit. A band that is shorter than a unit has as many.
    pub fn records_of_unit(&self) -> usize {
        match self {
            Arrangement::Patches { patch, columns } => columns.div_ceil(patch.width.into()) as usize,
            _ => 1,
        }
    }

    /// The number of records of a window of `raw_len` raw bytes.
    ///
    /// # Errors
    /// `Corrupt` where the window does not hold whole records of `width` variables, or its records would have
    /// more variables than the format allows for its length.
    pub fn records(&self, raw_len: usize, width: usize) -> Result<usize> {
        if let Arrangement::Patches { patch, .. } = self
            && patch.variables() != width
        {
            let found = patch.variables();
            return Err(Error::corrupt(format!(
                "patches of {found} bytes; the circuit has {width} variables"
            )));
        }
        let step = self.step(width);
        if !raw_len.is_multiple_of(step) {
            return Err(Error::corrupt(format!("a window of {raw_len} bytes; records take {step}")));
        }
        let count = raw_len.div_ceil(self.unit(width)).saturating_mul(self.records_of_unit());
        let variables = (count as u64).saturating_mul(width as u64);
        if variables > 4 * raw_len as u64 + SPARE {
            return Err(Error::corrupt(format!("a window of {raw_len} bytes in {count} records of {width}")));
        }
        Ok(count)
    }

    /// The variables that exist in record number `record` (from 0) of a window of `raw_len` raw bytes.
    pub fn known(&self, raw_len: usize, record: usize) -> Known {
        let Arrangement::Patches { patch, .. } = self else { return Known::All };
        let (_, columns, rows) = self.corner(raw_len, record);
        let whole = columns == usize::from(patch.width) && rows == usize::from(patch.height);
        if whole { Known::All } else { Known::Corner { patch: *patch, columns, rows } }
    }

    /// The offset in the raw bytes at which a patch starts, and how many of its columns and rows exist.
    fn corner(&self, raw_len: usize, record: usize) -> (usize, usize, usize) {
        let Arrangement::Patches { patch, columns } = self else { return (0, 0, 0) };
        let (columns, step) = (*columns as usize, self.step(0));
        let (band, x) = (record / self.records_of_unit(), record % self.records_of_unit());
        let (x, y) = (x * usize::from(patch.width), band * usize::from(patch.height));
        let rows = (raw_len / step - y).min(patch.height.into());
        (y * step + x * usize::from(patch.channels), (columns - x).min(patch.width.into()), rows)
    }

    /// Whether the lowest byte of every number in these raw bytes determines the number's other bytes, so
    /// that they can be coded. True for all arrangements but [`Arrangement::Wide`].
    pub fn fits(&self, raw: &[u8]) -> bool {
        let Arrangement::Wide { bytes, signed } = *self else { return true };
        let upper = |number: &[u8]| number[1..].iter().all(|b| *b == extension(number[0], signed));
        raw.chunks_exact(bytes.into()).all(upper)
    }

    /// Copies record number `record` out of the raw bytes of a window. Variables that do not exist are set to
    /// 0.
    pub fn gather(&self, raw: &[u8], record: usize, out: &mut [u8]) {
        match *self {
            Arrangement::Bytes => out.copy_from_slice(&raw[record * out.len()..][..out.len()]),
            Arrangement::Wide { bytes, .. } => {
                let (bytes, start) = (usize::from(bytes), record * out.len());
                let numbers = raw[start * bytes..].chunks_exact(bytes);
                out.iter_mut().zip(numbers).for_each(|(o, n)| *o = n[0]);
            }
            Arrangement::Patches { patch, .. } => {
                out.fill(0);
                for (inside, outside) in self.rows(&patch, raw.len(), record) {
                    let row = &mut out[inside];
                    row.copy_from_slice(&raw[outside]);
                    if patch.green {
                        row.as_chunks_mut::<3>().0.iter_mut().for_each(|p| *p = less_green(*p));
                    }
                }
            }
        }
    }

    /// Copies record number `number` to where [`Arrangement::gather`] takes it from.
    pub fn scatter(&self, record: &[u8], number: usize, raw: &mut [u8]) {
        match *self {
            Arrangement::Bytes => raw[number * record.len()..][..record.len()].copy_from_slice(record),
            Arrangement::Wide { bytes, signed } => {
                let (bytes, start) = (usize::from(bytes), number * record.len());
                for (n, &low) in raw[start * bytes..].chunks_exact_mut(bytes).zip(record) {
                    n.fill(extension(low, signed));
                    n[0] = low;
                }
            }
            Arrangement::Patches { patch, .. } => {
                for (inside, outside) in self.rows(&patch, raw.len(), number) {
                    let row = &mut raw[outside];
                    row.copy_from_slice(&record[inside]);
                    if patch.green {
                        row.as_chunks_mut::<3>().0.iter_mut().for_each(|p| *p = with_green(*p));
                    }
                }
            }
        }
    }

    /// For each existing row of a patch, its range in the record and its range in the raw bytes of the
    /// window.
    fn rows(
        &self,
        patch: &Patch,
        raw_len: usize,
        record: usize,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let (start, columns, rows) = self.corner(raw_len, record);
        let (step, channels) = (self.step(0), usize::from(patch.channels));
        let (row, len) = (usize::from(patch.width) * channels, columns * channels);
        (0..rows).map(move |y| (y * row..y * row + len, start + y * step..start + y * step + len))
    }
}

/// The value that all upper bytes of a number have, given its lowest byte.
fn extension(low: u8, signed: bool) -> u8 {
    if signed && low >= 128 { 255 } else { 0 }
}

/// Replaces red and blue by their differences from green, so that what the channels have in common is coded
/// once. The differences are centred at 128, so that small ones of either sign are neighbouring symbols.
fn less_green([r, g, b]: [u8; 3]) -> [u8; 3] {
    let less = |c: u8| c.wrapping_sub(g).wrapping_add(128);
    [g, less(r), less(b)]
}

fn with_green([g, r, b]: [u8; 3]) -> [u8; 3] {
    let more = |d: u8| d.wrapping_add(g).wrapping_sub(128);
    [more(r), g, more(b)]
}

fn read(cursor: &mut Cursor<'_>) -> Parsed<Arrangement> {
    match cursor.u8()? {
        KIND_WIDE => match (cursor.u8()?, cursor.u8()?) {
            (bytes @ (2 | 4 | 8), signed @ (0 | 1)) => Ok(Arrangement::Wide { bytes, signed: signed == 1 }),
            (bytes, signed) => {
                Err(Error::corrupt(format!("records of numbers of {bytes} bytes, sign {signed}")).into())
            }
        },
        KIND_PATCHES => {
            let bytes = cursor.take(Patch::STORED)?;
            let patch = Patch::from_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])?;
            let columns = cursor.varint_in("pixels of a picture's row", 1..=MAX_COLUMNS)? as u32;
            Ok(Arrangement::Patches { patch, columns })
        }
        other => Err(newer(&format!("arrangement {other} of records")).into()),
    }
}
