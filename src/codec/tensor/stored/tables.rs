//! Lists of frequency tables, and maps that choose one of them.

use super::nibbles::parse_nibbles;
use crate::coder::rans::Freqs;
use crate::format::cursor::{Cursor, Parsed, in_range};

/// The largest number of tables for a sequence; a nibble names one of them.
pub const MAX_TABLES: usize = 16;
/// The largest number of tables for a field whose numbers are predicted; a byte names one of them.
pub const MAX_PREDICTED_TABLES: usize = 255;

/// The number of a table for each of 256 keys.
pub type TableMap = Box<[u8; 256]>;

/// Reads a map that is stored as nibbles.
pub fn parse_map(c: &mut Cursor<'_>) -> Parsed<TableMap> {
    let mut map = Box::new([0; 256]);
    map.copy_from_slice(&parse_nibbles(c, 256)?);
    Ok(map)
}

/// Appends the number of tables and the tables.
pub fn put_tables(tables: &[Freqs], out: &mut Vec<u8>) {
    out.push(tables.len() as u8);
    tables.iter().for_each(|t| t.put(out));
}

/// Reads 1 to `most` tables.
pub fn parse_tables(c: &mut Cursor<'_>, most: usize) -> Parsed<Vec<Freqs>> {
    let count = c.u8()?;
    in_range("number of tables", count.into(), 1..=most as u64)?;
    (0..count).map(|_| Freqs::parse(c)).collect()
}
