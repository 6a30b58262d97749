//! How raw bytes become records and records raw bytes (`formats/circuit.md`, "Arrangements").

use crate::codec::newer;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse, Parsed};
use crate::format::varint;
use crate::model::circuit::Patch;
use std::ops::Range;

/// Kinds of arrangements, as blocks store them.
const KIND_WIDE: u8 = 1;
const KIND_PATCHES: u8 = 2;
/// Most pixels of a row.
pub const MAX_COLUMNS: u64 = 1 << 24;
/// Variables that the records of a window may have beside four for each of its bytes.
pub const SPARE: u64 = 1 << 20;

/// How the raw bytes of a window lie in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// A byte a variable, record after record.
    Bytes,
    /// A little-endian number a variable, whose upper bytes follow from the lowest.
    Wide {
        /// Bytes of a number: 2, 4 or 8.
        bytes: u8,
        /// Whether upper bytes repeat the sign of the lowest one, rather than being 0.
        signed: bool,
    },
    /// Patches of a picture, from left to right and from top to bottom.
    Patches {
        /// What of the picture a record is.
        patch: Patch,
        /// Pixels of a row of the picture.
        columns: u32,
    },
}

/// The variables of a record that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// All of them.
    All,
    /// Those of a patch whose pixels lie in its first columns and rows.
    Corner {
        /// The whole patch.
        patch: Patch,
        /// Columns that are there.
        columns: usize,
        /// Rows that are there.
        rows: usize,
    },
}

impl Known {
    /// Whether a variable is there.
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

/// Column and row of a variable of a patch.
fn place(patch: &Patch, variable: usize) -> (usize, usize) {
    let pixel = variable / usize::from(patch.channels);
    (pixel % usize::from(patch.width), pixel / usize::from(patch.width))
}

impl Arrangement {
    /// Reads a block's parameters, if it has any.
    ///
    /// # Errors
    /// `NewerVersion` for a kind that this release does not know, `Corrupt` for other bytes than those of its kind.
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

    /// The parameters of a block; `None` where it has none.
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

    /// Raw bytes that windows hold whole numbers of, for records of `width` variables: a record, or the patches side by
    /// side in a picture's whole width. Only a picture's end may be shorter.
    pub fn unit(&self, width: usize) -> usize {
        match self {
            Arrangement::Bytes => width,
            Arrangement::Wide { bytes, .. } => width.saturating_mul((*bytes).into()),
            Arrangement::Patches { patch, .. } => self.step(width).saturating_mul(patch.height.into()),
        }
    }

    /// Raw bytes that the end of the records holds whole numbers of: a record, or a picture's row.
    pub fn step(&self, width: usize) -> usize {
        match self {
            Arrangement::Patches { patch, columns } => {
                (*columns as usize).saturating_mul(patch.channels.into())
            }
            _ => self.unit(width),
        }
    }

    /// Records of a unit, however short it is.
    pub fn records_of_unit(&self) -> usize {
        match self {
            Arrangement::Patches { patch, columns } => columns.div_ceil(patch.width.into()) as usize,
            _ => 1,
        }
    }

    /// Records of `raw_len` bytes that lie in one window.
    ///
    /// # Errors
    /// `Corrupt` where these are not whole records of `width` variables, or more of them than so few bytes may be.
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

    /// What is there of a record, the first of `raw_len` bytes being number 0.
    pub fn known(&self, raw_len: usize, record: usize) -> Known {
        let Arrangement::Patches { patch, .. } = self else { return Known::All };
        let (_, columns, rows) = self.corner(raw_len, record);
        let whole = columns == usize::from(patch.width) && rows == usize::from(patch.height);
        if whole { Known::All } else { Known::Corner { patch: *patch, columns, rows } }
    }

    /// Where a patch starts in the raw bytes, and its columns and rows.
    fn corner(&self, raw_len: usize, record: usize) -> (usize, usize, usize) {
        let Arrangement::Patches { patch, columns } = self else { return (0, 0, 0) };
        let (columns, step) = (*columns as usize, self.step(0));
        let (band, x) = (record / self.records_of_unit(), record % self.records_of_unit());
        let (x, y) = (x * usize::from(patch.width), band * usize::from(patch.height));
        let rows = (raw_len / step - y).min(patch.height.into());
        (y * step + x * usize::from(patch.channels), (columns - x).min(patch.width.into()), rows)
    }

    /// Whether every number of these bytes is told by its lowest byte.
    pub fn fits(&self, raw: &[u8]) -> bool {
        let Arrangement::Wide { bytes, signed } = *self else { return true };
        let upper = |number: &[u8]| number[1..].iter().all(|b| *b == extension(number[0], signed));
        raw.chunks_exact(bytes.into()).all(upper)
    }

    /// Takes a record out of the raw bytes of a window; what is not there becomes 0.
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

    /// Puts a record back where [`Arrangement::gather`] took it from.
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

    /// Where the rows of a patch lie in its record and in the raw bytes, as far as they are there.
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

/// The byte that fills a number up above its lowest byte.
fn extension(low: u8, signed: bool) -> u8 {
    if signed && low >= 128 { 255 } else { 0 }
}

/// What the channels have in common stands in green. The differences lie around 128, so that small ones of either sign
/// are neighbours.
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
