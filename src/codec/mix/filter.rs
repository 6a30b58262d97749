//! Filters of kinds of data: what is coded in place of the bytes of a block, so that the model sees more of what it can
//! learn. Specified in `formats/mix.md`.

use super::{arm64, x86};
use crate::codec::buffer::reserve_exact;
use crate::error::Result;
use crate::model::mix::context::{Kind, Machine};
use std::borrow::Cow;

/// The bytes that are coded for a block of this kind.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn filtered(kind: Kind, raw: &[u8]) -> Result<Cow<'_, [u8]>> {
    if Unfilter::new(kind).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::new();
    reserve_exact(&mut bytes, raw.len())?;
    bytes.extend_from_slice(raw);
    match kind {
        Kind::Code(machine) => convert_code(machine, &mut bytes, false),
        _ => turn_signs(&mut bytes, 0),
    }
    Ok(Cow::Owned(bytes))
}

/// Filters the code of a machine in place, or undoes that (`inverse`).
pub fn convert_code(machine: Machine, bytes: &mut [u8], inverse: bool) {
    match machine {
        Machine::Arm64 => arm64::convert(bytes, inverse),
        Machine::X86 | Machine::X64 => x86::convert(bytes, machine == Machine::X64, inverse),
    }
}

/// Inverts the highest bit of each byte at an odd position, so that signed 16-bit numbers from the least to the greatest
/// become 0 to 65535, and back. `at` is the position of the first byte.
fn turn_signs(bytes: &mut [u8], at: usize) {
    bytes.iter_mut().skip(1 - at % 2).step_by(2).for_each(|byte| *byte ^= 0x80);
}

/// Undoes a filter while a block is decoded front to back.
pub enum Unfilter {
    /// The references of x86 code.
    X86(x86::Unfilter),
    /// Those of ARM code.
    Arm64,
    /// The signs of 16-bit numbers.
    Signs,
}

impl Unfilter {
    /// What undoes the filter of a kind; `None` for kinds without one.
    pub fn new(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Code(Machine::Arm64) => Some(Self::Arm64),
            Kind::Code(machine) => Some(Self::X86(x86::Unfilter::new(machine == Machine::X64))),
            Kind::Audio { .. } => Some(Self::Signs),
            _ => None,
        }
    }

    /// The number of filtered bytes that must be known beyond those that are given out.
    pub fn ahead(&self) -> usize {
        match self {
            Self::X86(_) => x86::LOOKAHEAD,
            Self::Arm64 => arm64::WORD - 1,
            Self::Signs => 0,
        }
    }

    /// Fills `out` with the raw bytes from `at` on, up to which all have been given out. `bytes` are the filtered bytes
    /// from the block's start on, [`Self::ahead`] more than are given out, or all of the block.
    pub fn next(&mut self, bytes: &[u8], at: usize, out: &mut [u8]) {
        match self {
            Self::X86(branches) => branches.next(bytes, out),
            Self::Arm64 => arm64::restore(bytes, at, out),
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
        let numbers = (0..5000u32).map(|i| i.wrapping_mul(0x9E37_79B1) >> 16);
        let raw: Vec<u8> =
            numbers.map(|n| [0xE8, 0, 0x8D, 0x05, 0xFF, 0x94, n as u8, 0][(n >> 8) as usize % 8]).collect();
        let machines = [Machine::X86, Machine::X64, Machine::Arm64].map(Kind::Code);
        for kind in machines.into_iter().chain([Kind::Audio { channels: 2 }]) {
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
