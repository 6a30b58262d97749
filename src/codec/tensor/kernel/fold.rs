//! Folded symbols: each stands for several numbers, one of which is named by a nibble stored beside it.

use super::number::NumberMap;
use crate::codec::tensor::stored::{FOLDED, FieldParams, ZeroBits, bits_of};

/// How many symbols are checked together: folded symbols are rare, and most runs have none.
pub const FOLD_RUN: usize = 32;

/// The lowest of some symbols. It has no branches for whole runs, so that it compiles to vector instructions.
#[inline]
pub fn least_symbol(symbols: &[u8]) -> u8 {
    match <&[u8; FOLD_RUN]>::try_from(symbols) {
        Ok(symbols) => symbols.iter().fold(255, |least, s| least.min(*s)),
        Err(_) => symbols.iter().fold(255, |least, s| least.min(*s)),
    }
}

/// The number of symbols below `fold`.
pub fn count_folded(symbols: &[u8], fold: u8) -> usize {
    let some = symbols.chunks(FOLD_RUN).filter(|run| least_symbol(run) < fold);
    some.map(|run| run.iter().filter(|s| **s < fold).count()).sum()
}

/// Corrects the elements whose symbols are folded, which `merge` has treated like any others. `nibbles` has
/// one value for each of them, in order. Their low bits are already right.
pub fn unfold(
    field: &FieldParams,
    zero_bits: &ZeroBits,
    symbols: &[u8],
    mut nibbles: &[u8],
    elements: &mut [u8],
) {
    let size = field.element;
    for (i, run) in symbols.chunks(FOLD_RUN).enumerate() {
        if least_symbol(run) >= field.fold {
            continue;
        }
        for (j, symbol) in run.iter().enumerate().filter(|s| *s.1 < field.fold) {
            let Some((nibble, rest)) = nibbles.split_first() else { return };
            nibbles = rest;
            let at = i * FOLD_RUN + j;
            let zeros = zero_bits.zeros_of(at);
            let (map, low) = (NumberMap::new(field, zeros), field.low_bits - zeros);
            let element = &mut elements[at * size..(at + 1) * size];
            let low_bits = map.number(bits_of(element)) & ((1 << low) - 1);
            let top = field.base.wrapping_add(FOLDED * u64::from(*symbol) + u64::from(*nibble));
            let bits = map.bits(top << low | low_bits);
            element.copy_from_slice(&bits.to_le_bytes()[..size]);
        }
    }
}
