//! The lengths at the start of a payload, and the parts that they name.

use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};

/// The most bytes that schema and model may have together, uncompressed.
const MAX_HEAD: u64 = 1 << 26;

/// The lengths at the start of a payload. Pairs hold an uncompressed length and a payload length.
pub struct Lengths {
    /// The bytes of the schema, uncompressed.
    pub schema: usize,
    /// Schema and model.
    pub head: (usize, usize),
    /// The text, which `mix` codes.
    pub text: (usize, usize),
    /// For each window, the number of its records and its payload bytes.
    pub windows: Vec<(usize, usize)>,
}

/// Reads the lengths, and cuts the rest into the payloads of head, text and windows.
///
/// # Errors
/// `Corrupt` or `Truncated`.
pub fn parts(payload: &[u8], raw_len: usize) -> Result<(Lengths, [&[u8]; 3])> {
    let mut cursor = Cursor::new(payload);
    let lengths = read_lengths(&mut cursor, raw_len).map_err(|e| e.at_end("a table's payload"))?;
    let rest = cursor.rest();
    let (head, text) = (lengths.head.1, lengths.text.1);
    let records: usize = lengths.windows.iter().map(|w| w.1).fold(0, usize::saturating_add);
    let Some((head, rest)) = rest.split_at_checked(head) else {
        return Err(Error::truncated("a table's payload ends inside its schema"));
    };
    let Some((text, rest)) = rest.split_at_checked(text) else {
        return Err(Error::truncated("a table's payload ends inside its text"));
    };
    if rest.len() != records {
        let found = rest.len();
        return Err(Error::corrupt(format!("table: windows of {records} bytes expected, {found} found")));
    }
    Ok((lengths, [head, text, rest]))
}

fn read_lengths(c: &mut Cursor<'_>, raw_len: usize) -> Parsed<Lengths> {
    let most = raw_len as u64;
    let schema = c.varint_in("schema of a table", 1..=MAX_HEAD)?;
    let head = c.varint_in("schema and model of a table", schema..=MAX_HEAD)?;
    let head_len = c.varint_in("their payload", 0..=2 * MAX_HEAD)?;
    // Every byte of the text stands for a byte of the table: separators and LFs for delimiters and line ends.
    let text = c.varint_in("text of a table", 0..=most)?;
    let text_len = c.varint_in("payload of a table's text", 0..=2 * most + 65536)?;
    let count = c.varint_in("windows of a table", 0..=most)? as usize;
    c.expect(count.saturating_mul(2))?;
    let mut windows = Vec::with_capacity(count);
    for _ in 0..count {
        let records = c.varint_in("records of a window", 1..=most)? as usize;
        windows.push((records, c.varint_in("payload of a window", 0..=1 << 20)? as usize));
    }
    let cast = |n: u64| n as usize;
    Ok(Lengths {
        schema: cast(schema),
        head: (cast(head), cast(head_len)),
        text: (cast(text), cast(text_len)),
        windows,
    })
}

/// The number of a payload's first bytes that [`own_model_len`] needs: those of three varints.
pub const LENGTHS: usize = 3 * 10;

/// The number of payload bytes that the schema and the circuit take, read from the payload's first
/// [`LENGTHS`] bytes; 0 where there is no circuit.
pub fn own_model_len(start: &[u8]) -> Option<u64> {
    let mut c = Cursor::new(start);
    let [schema, head, stored] =
        [c.varint("schema").ok()?, c.varint("head").ok()?, c.varint("payload").ok()?];
    Some(if head > schema { stored } else { 0 })
}
