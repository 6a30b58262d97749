//! Reading from the buffer of a buffered reader.

use std::io::{self, BufRead};

/// Copies bytes that `reader` has buffered, as many as fit into `out`, and consumes them: the body of
/// `Read::read` for a buffered reader.
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
