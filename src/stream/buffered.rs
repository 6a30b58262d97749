//! Reading from what a buffered reader has.

use std::io::{self, BufRead};

/// Copies what `reader` has next, as much as fits into `out`, and takes it; the body of `Read::read` of a
/// buffered reader.
pub fn read_buffered(reader: &mut impl BufRead, out: &mut [u8]) -> io::Result<usize> {
    if out.is_empty() {
        return Ok(0);
    }
    let bytes = reader.fill_buf()?;
    let n = out.len().min(bytes.len());
    out[..n].copy_from_slice(&bytes[..n]);
    reader.consume(n);
    Ok(n)
}
