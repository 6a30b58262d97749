//! Values of four bits, stored two to a byte, the first of them in the low half.

use crate::format::cursor::{Cursor, Parsed};

/// Appends values below 16. If their number is odd, the high half of the last byte is 0.
pub fn put_nibbles(values: &[u8], out: &mut Vec<u8>) {
    out.extend(values.chunks(2).map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4));
}

/// Reads `count` values.
pub fn parse_nibbles(c: &mut Cursor<'_>, count: usize) -> Parsed<Vec<u8>> {
    let bytes = c.take(count.div_ceil(2))?;
    Ok((0..count).map(|i| nibble(bytes, i)).collect())
}

/// Value number `i` (from 0) of those in `bytes`.
#[inline]
pub fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 2] >> (4 * (i % 2)) & 15
}
