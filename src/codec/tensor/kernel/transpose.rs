//! Transposes rows and columns.

/// The side of the squares that are copied at a time: both their rows and their columns stay in the cache.
const SIDE: usize = 16;

/// Transposes lines of `len` bytes each: byte i of line j of `from` becomes byte j of line i of `to`, which
/// has the same length.
pub fn transpose(from: &[u8], len: usize, to: &mut [u8]) {
    if len == 0 {
        return;
    }
    let lines = from.len() / len;
    for first in (0..lines).step_by(SIDE) {
        for at in (0..len).step_by(SIDE) {
            for line in first..lines.min(first + SIDE) {
                for i in at..len.min(at + SIDE) {
                    to[i * lines + line] = from[line * len + i];
                }
            }
        }
    }
}
