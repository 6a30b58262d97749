//! Block sorting: the Burrows-Wheeler transform, and mixtures of distributions that code its runs, specified in
//! `formats/sort.md`.
//!
//! Sorting brings together the bytes that stand before alike bytes, so that what is left are runs. Where contexts tell few
//! bytes apart, as in text, a run's byte is told by when it will come again: its rank among the bytes that come next, coded
//! at the run itself, as in "quantised local frequency coding". Elsewhere the byte itself is coded. Either is a symbol of 16
//! or two, and so is a run's length.

pub mod kernel;
mod lengths;
pub mod mixture;
mod ranks;
mod symbols;
pub mod transform;

use crate::error::{Error, Result};
use mixture::Coder;

/// How the bytes of runs are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By their ranks.
    Ranks,
    /// As they are.
    Symbols,
}

/// The history of a run's byte, which all contexts share.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    /// The lengths of its last three runs, the newest first; 0 where there were fewer.
    lengths: [u32; 3],
    /// Its last three ranks, likewise.
    ranks: [u32; 3],
}

/// Codes the runs of `sorted` bytes, `length` in all, with an encoder.
///
/// # Errors
///
/// `LimitExceeded` where memory is missing.
#[inline(always)]
pub fn encode<const A: bool>(sorted: &[u8], mode: Mode, coder: &mut impl Coder) -> Result<()> {
    match mode {
        Mode::Ranks => ranks::encode::<A>(sorted, coder),
        Mode::Symbols => symbols::encode::<A>(sorted, coder),
    }
}

/// Decodes runs until `sorted` has `len` bytes; it has room for them.
///
/// # Errors
///
/// `Corrupt` for a payload that no encoder writes; `LimitExceeded` where memory is missing.
#[inline(always)]
pub fn decode<const A: bool>(
    sorted: &mut Vec<u8>,
    len: usize,
    mode: Mode,
    coder: &mut impl Coder,
) -> Result<()> {
    match mode {
        Mode::Ranks => ranks::decode::<A>(sorted, len, coder),
        Mode::Symbols => symbols::decode::<A>(sorted, len, coder),
    }
}

/// Appends a run.
#[inline(always)]
fn push_run(sorted: &mut Vec<u8>, len: usize, byte: u8, length: u32) -> Result<()> {
    let end = sorted.len() + length as usize;
    if end > len {
        return Err(Error::corrupt("a run of a sort block goes past the block's end"));
    }
    sorted.resize(end, byte);
    Ok(())
}

/// Numbers of 0.. in eight classes.
#[inline(always)]
fn class8(n: u32) -> usize {
    const CLASSES: [u8; 24] = [0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7];
    CLASSES[n.min(23) as usize].into()
}

/// Lengths of 0.. in eight classes.
#[inline(always)]
fn length8(n: u32) -> usize {
    const CLASSES: [u8; 24] = [0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 6];
    if n > 80 { 7 } else { CLASSES[n.min(23) as usize].into() }
}

/// Numbers of 0.. in 16 classes: up to four each, and two for each power of two above.
#[inline(always)]
fn class16(n: u32) -> usize {
    if n < 5 {
        return n as usize;
    }
    let exponent = n.ilog2();
    (2 * exponent + (n >> (exponent - 1) & 1)).min(15) as usize
}

/// A hash of two small numbers, below 2^`bits`.
#[inline(always)]
fn pair(a: usize, b: usize, bits: u32) -> usize {
    let both = (a << 8 | b) as u32;
    (both.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_do_not_fall() {
        for class in [class8, length8, class16] {
            assert!((0..300).map(class).is_sorted());
        }
        assert_eq!([3, 4, 5, 8, 9, 80, 81].map(length8), [3, 3, 4, 4, 5, 6, 7]);
        assert_eq!([4, 5, 6, 8, 12, 128, 5000].map(class16), [4, 4, 5, 6, 7, 14, 15]);
    }
}
