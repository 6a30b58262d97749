//! Filters of kinds of data: what is coded in place of the bytes of a block, so that the model sees more of what it can
//! learn. Specified in `formats/mix.md`.

use super::x86;
use crate::codec::buffer::reserve_exact;
use crate::error::Result;
use crate::model::mix::context::Kind;
use std::borrow::Cow;

/// The bytes that are coded for a block of this kind.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn filtered(kind: Kind, raw: &[u8]) -> Result<Cow<'_, [u8]>> {
    let apply: fn(&mut [u8]) = match kind {
        Kind::Code => x86::apply,
        Kind::Audio { .. } => |bytes| turn_signs(bytes, 0),
        _ => return Ok(Cow::Borrowed(raw)),
    };
    let mut bytes = Vec::new();
    reserve_exact(&mut bytes, raw.len())?;
    bytes.extend_from_slice(raw);
    apply(&mut bytes);
    Ok(Cow::Owned(bytes))
}

/// Inverts the highest bit of each byte at an odd position, so that signed 16-bit numbers from the least to the greatest
/// become 0 to 65535, and back. `at` is the position of the first byte.
fn turn_signs(bytes: &mut [u8], at: usize) {
    bytes.iter_mut().skip(1 - at % 2).step_by(2).for_each(|byte| *byte ^= 0x80);
}

/// Undoes a filter while a block is decoded front to back.
pub enum Unfilter {
    /// The branches of machine code.
    Branches(x86::Unfilter),
    /// The signs of 16-bit numbers.
    Signs,
}

impl Unfilter {
    /// What undoes the filter of a kind; `None` for kinds without one.
    pub fn new(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Code => Some(Self::Branches(x86::Unfilter::default())),
            Kind::Audio { .. } => Some(Self::Signs),
            _ => None,
        }
    }

    /// The number of filtered bytes that must be known beyond those that are given out.
    pub fn ahead(&self) -> usize {
        match self {
            Self::Branches(_) => x86::LOOKAHEAD,
            Self::Signs => 0,
        }
    }

    /// Fills `out` with the raw bytes from `at` on, up to which all have been given out. `bytes` are the filtered bytes
    /// from the block's start on, [`Self::ahead`] more than are given out, or all of the block.
    pub fn next(&mut self, bytes: &[u8], at: usize, out: &mut [u8]) {
        match self {
            Self::Branches(branches) => branches.next(bytes, out),
            Self::Signs => {
                out.copy_from_slice(&bytes[at..at + out.len()]);
                turn_signs(out, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_undone_piece_by_piece() {
        let squares = (0..5000u32).map(|i| i * i);
        let raw: Vec<u8> = squares.map(|n| [0xE8, 0, 0xFF, (n >> 5) as u8][(n >> 3) as usize % 4]).collect();
        for kind in [Kind::Code, Kind::Audio { channels: 2 }] {
            let coded = filtered(kind, &raw).unwrap();
            assert!(*coded != *raw);
            let mut undo = Unfilter::new(kind).unwrap();
            let (mut out, mut at) = (vec![0; raw.len()], 0);
            for len in [1, 2, 3, 500, 7, 4000, 487] {
                let known = (at + len + undo.ahead()).min(raw.len());
                undo.next(&coded[..known], at, &mut out[at..at + len]);
                at += len;
            }
            assert!(out == raw);
        }
        assert!(
            matches!(filtered(Kind::Text, &raw).unwrap(), Cow::Borrowed(_))
                && Unfilter::new(Kind::Text).is_none()
        );
    }
}
