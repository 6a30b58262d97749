//! From elements to symbols and low bits: what `merge` and `tile` undo.

use super::cut::{Parts, cut};
use super::merge::Merge;
use super::params::{Field, Transform};
use crate::kernel::Kernel;
use crate::tensor::bits::{Packer, STEP, packed_len};
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

/// Cuts the numbers of a field, one after the other in `elements`.
fn numbers(field: &Field, kernel: Kernel, elements: &[u8], out: &mut Split) {
    let (size, zeros) = (field.element, out.zeros);
    let count = elements.len() / size;
    let float = field.transform == Transform::Float;
    let m = Merge { low_bits: field.low_bits - zeros, base: field.base, float, zeros };
    out.symbols.resize(count, 0);
    out.bytes.resize(count * (m.low_bits / 8) as usize, 0);
    out.packed.resize(packed_len(count, m.low_bits % 8), 0);
    let packed = Packer::new(&mut out.packed, count, m.low_bits % 8);
    let mut parts = Parts { symbols: &mut out.symbols, bytes: &mut out.bytes, packed, odd: Vec::new() };
    cut(m, kernel, size, elements, &mut parts);
    let odd = parts.odd;
    let width = 8 * size as u32 - zeros;
    for i in odd.iter().flat_map(|step| step * STEP..((step + 1) * STEP).min(count)) {
        let bits = bits_of(&elements[i * size..(i + 1) * size]);
        let mut n = bits >> zeros;
        if float {
            n = (n << 1 | n >> (width - 1)) & (u64::MAX >> (64 - width));
        }
        let top = n >> m.low_bits;
        if top.wrapping_sub(field.base) > 255 {
            out.exceptions.push((i, bits));
            out.symbols[i] = if top < field.base { 0 } else { 255 };
        }
    }
}

/// Splits the elements of a field, which lie one directly after the other.
pub fn split(field: &Field, decimal: Option<&Decimal>, kernel: Kernel, elements: &[u8]) -> Split {
    let mut out = Split::default();
    match &field.transform {
        Transform::Halves => {
            out.symbols.resize(2 * elements.len(), 0);
            for (two, b) in out.symbols.chunks_exact_mut(2).zip(elements) {
                two.copy_from_slice(&[b & 15, b >> 4]);
            }
        }
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
        Transform::Decimal(_) => decimals(field, decimal, kernel, elements, &mut out),
        Transform::Plain => numbers(field, kernel, elements, &mut out),
        Transform::Delta => numbers(field, kernel, &differences(field.element, elements), &mut out),
        Transform::Float => {
            if field.low.is_none() {
                out.zeros = zero_bits(field.element, elements).min(field.low_bits);
            }
            numbers(field, kernel, elements, &mut out);
        }
    }
    out
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
fn decimals(field: &Field, decimal: Option<&Decimal>, kernel: Kernel, elements: &[u8], out: &mut Split) {
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
    self::numbers(field, kernel, &numbers, out);
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
