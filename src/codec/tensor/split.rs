//! From elements to symbols and low bits: what `merge` and `tile` undo.

use super::params::{Field, Transform};
use crate::tensor::bits::pack;
use crate::tensor::decimal::Decimal;

/// The elements of one field of one tile.
#[derive(Debug, Default, Clone)]
pub struct Split {
    /// Zero bits below each element.
    pub zeros: u32,
    /// Elements without a symbol: their places and bits.
    pub exceptions: Vec<(usize, u64)>,
    /// One for each number.
    pub symbols: Vec<u8>,
    /// The table of each symbol, where there are several.
    pub contexts: Vec<u8>,
    /// Those that groups store.
    pub classes: Vec<u8>,
    /// Whole bytes of the low bits.
    pub bytes: Vec<u8>,
    /// The rest of the low bits, packed.
    pub packed: Vec<u8>,
}

/// Little-endian bits of an element of 1, 2, 4 or 8 bytes.
pub fn bits_of(element: &[u8]) -> u64 {
    element.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}

macro_rules! numbers {
    ($name:ident, $type:ty) => {
        fn $name(field: &Field, zeros: u32, elements: &[u8], out: &mut Split) {
            const SIZE: usize = size_of::<$type>();
            let (low, width) = (field.low_bits - zeros, 8 * SIZE as u32 - zeros);
            let (float, base) = (field.transform == Transform::Float, field.base as $type);
            let mask = <$type>::MAX >> zeros;
            let number = |e: &[u8]| {
                let mut bits = [0; SIZE];
                bits.copy_from_slice(e);
                let n = <$type>::from_le_bytes(bits) >> zeros;
                if float { (n << 1 | n >> (width - 1)) & mask } else { n }
            };
            let mut bad = false;
            out.symbols.extend(elements.chunks_exact(SIZE).map(|e| {
                let symbol = (number(e) >> low).wrapping_sub(base);
                #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                let outside = u64::from(symbol) > 255;
                bad |= outside;
                symbol as u8
            }));
            if bad {
                for (i, e) in elements.chunks_exact(SIZE).enumerate() {
                    let top = number(e) >> low;
                    if u64::from(top.wrapping_sub(base)) > 255 {
                        out.exceptions.push((i, bits_of(e)));
                        out.symbols[i] = if top < base { 0 } else { 255 };
                    }
                }
            }
            let (whole, rest) = ((low / 8) as usize, low % 8);
            match whole {
                0 => {}
                1 => out.bytes.extend(elements.chunks_exact(SIZE).map(|e| number(e) as u8)),
                2 => out.bytes.extend(
                    elements.chunks_exact(SIZE).flat_map(|e| (number(e) as u64 as u16).to_le_bytes()),
                ),
                _ => {
                    for e in elements.chunks_exact(SIZE) {
                        out.bytes.extend_from_slice(&number(e).to_le_bytes()[..whole]);
                    }
                }
            }
            if rest > 0 {
                let top = |e: &[u8]| ((number(e) as u64) >> (8 * whole)) as u8 & ((1 << rest) - 1);
                let values: Vec<u8> = elements.chunks_exact(SIZE).map(top).collect();
                pack(&values, rest, &mut out.packed);
            }
        }
    };
}

numbers!(numbers8, u8);
numbers!(numbers16, u16);
numbers!(numbers32, u32);
numbers!(numbers64, u64);

/// Splits the elements of a field, which lie one directly after the other.
pub fn split(field: &Field, decimal: Option<&Decimal>, elements: &[u8]) -> Split {
    let mut out = Split::default();
    match &field.transform {
        Transform::Halves => out.symbols.extend(elements.iter().flat_map(|b| [b & 15, b >> 4])),
        Transform::Palette(values) => {
            for (i, e) in elements.chunks_exact(field.element).enumerate() {
                let bits = bits_of(e);
                let at = values.partition_point(|v| *v < bits);
                if values.get(at) != Some(&bits) {
                    out.exceptions.push((i, bits));
                }
                out.symbols.push(at.min(values.len() - 1) as u8);
            }
        }
        Transform::Decimal(_) => decimals(field, decimal, elements, &mut out),
        Transform::Plain => numbers(field, elements, &mut out),
        Transform::Delta => numbers(field, &differences(field.element, elements), &mut out),
        Transform::Float => {
            if field.low.is_none() {
                out.zeros = zero_bits(field.element, elements).min(field.low_bits);
            }
            numbers(field, elements, &mut out);
        }
    }
    out
}

fn numbers(field: &Field, elements: &[u8], out: &mut Split) {
    let zeros = out.zeros;
    match field.element {
        1 => numbers8(field, zeros, elements, out),
        2 => numbers16(field, zeros, elements, out),
        4 => numbers32(field, zeros, elements, out),
        _ => numbers64(field, zeros, elements, out),
    }
}

/// Zero bits below all elements.
fn zero_bits(size: usize, elements: &[u8]) -> u32 {
    // Most tiles show a one in the lowest place soon.
    let mut any = 0u64;
    for part in elements.chunks(size << 9) {
        any |= part.chunks_exact(size).fold(0, |a, e| a | bits_of(e));
        if any & 1 == 1 {
            return 0;
        }
    }
    if any == 0 { 8 * size as u32 } else { any.trailing_zeros() }
}

/// Ranks with the sign below; numbers without one become exceptions.
fn decimals(field: &Field, decimal: Option<&Decimal>, elements: &[u8], out: &mut Split) {
    let mut numbers = Vec::with_capacity(elements.len());
    for (i, e) in elements.chunks_exact(4).enumerate() {
        let bits = bits_of(e) as u32;
        let number = decimal.and_then(|d| d.rank(bits & i32::MAX as u32)).map(|rank| rank << 1 | bits >> 31);
        let inside = |n: &u32| (u64::from(n >> field.low_bits)).wrapping_sub(field.base) <= 255;
        // Any number with a symbol will do where there is none.
        let number = number.filter(inside).unwrap_or_else(|| {
            out.exceptions.push((i, bits.into()));
            (field.base << field.low_bits) as u32
        });
        numbers.extend_from_slice(&number.to_le_bytes());
    }
    numbers32(field, 0, &numbers, out);
}

/// The difference of each element from the one before it.
fn differences(size: usize, elements: &[u8]) -> Vec<u8> {
    let (mut before, mut out) = (0u64, Vec::with_capacity(elements.len()));
    for e in elements.chunks_exact(size) {
        let value = bits_of(e);
        out.extend_from_slice(&value.wrapping_sub(before).to_le_bytes()[..size]);
        before = value;
    }
    out
}

/// Undoes [`differences`] in place.
pub fn sums(size: usize, elements: &mut [u8]) {
    let mut before = 0u64;
    for e in elements.chunks_exact_mut(size) {
        before = before.wrapping_add(bits_of(e));
        e.copy_from_slice(&before.to_le_bytes()[..size]);
    }
}
