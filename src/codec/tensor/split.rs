//! From elements to symbols and low bits: what `merge` and `tile` undo.

use super::cut::{Parts, cut};
use super::low_bits::{self, Form};
use super::merge::Merge;
use super::params::{FOLDED, Field, Transform};
use crate::kernel::Kernel;
use crate::tensor::bits::{Packer, STEP, packed_len};
use crate::tensor::decimal::Decimal;

/// The elements of one field of one tile.
#[derive(Debug, Default, Clone)]
pub struct Split {
    /// Zero bits below each element.
    pub zeros: u32,
    /// Rows with more of them.
    pub marked: Option<Marked>,
    /// Elements without a symbol: their places and bits.
    pub exceptions: Vec<(usize, u64)>,
    /// One for each number.
    pub symbols: Vec<u8>,
    /// The table of each symbol, where there are several.
    pub contexts: Vec<u8>,
    /// Which of the numbers it is that a folded symbol stands for.
    pub folded: Vec<u8>,
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

/// Rows that have more zero bits than the others.
#[derive(Debug, Clone)]
pub struct Marked {
    /// Zero bits below their elements.
    pub zeros: u32,
    /// Elements of a row.
    pub groups: u64,
    /// A bit for each row that the tile has elements of.
    pub rows: Vec<u8>,
    /// Their low bits.
    pub low: Vec<u8>,
}

/// Cuts the numbers of a field, one after the other in `elements`.
fn numbers(field: &Field, kernel: Kernel, elements: &[u8], first: u64, out: &mut Split) {
    let size = field.element;
    let odd = if let Some(mut marked) = out.marked.take() {
        let (symbols, low) = two_classes(field, kernel, elements, first, &marked, out);
        (out.symbols, marked.low) = (symbols, low);
        out.marked = Some(marked);
        (0..out.symbols.len().div_ceil(STEP)).collect()
    } else {
        let zeros = out.zeros;
        cut_to(field, kernel, zeros, elements, &mut out.symbols, &mut out.bytes, &mut out.packed)
    };
    let fold = u64::from(field.fold);
    let zeros_of = |out: &Split, i| match &out.marked {
        Some(m) if low_bits::is_marked(&m.rows, first % m.groups, m.groups, i) => m.zeros,
        _ => out.zeros,
    };
    for step in odd {
        let from = step * STEP;
        let end = out.symbols.len().min(from + STEP);
        let mut i = from;
        while i < end {
            // Most runs have none of them.
            if (i - from).is_multiple_of(low_bits::RUN)
                && low_bits::least(&out.symbols[i..end.min(i + low_bits::RUN)]) > 0
            {
                i += low_bits::RUN;
                continue;
            }
            if out.symbols[i] != 0 {
                i += 1;
                continue;
            }
            let bits = bits_of(&elements[i * size..(i + 1) * size]);
            let zeros = zeros_of(out, i);
            let top = Form::new(field, zeros).number(bits) >> (field.low_bits - zeros);
            let symbol = top.wrapping_sub(field.base);
            if symbol < FOLDED * fold {
                out.symbols[i] = (symbol / FOLDED) as u8;
                out.folded.push((symbol % FOLDED) as u8);
            } else if symbol > 0 || fold > 0 {
                out.exceptions.push((i, bits));
                // Any that is not folded.
                out.symbols[i] = if top < field.base { field.fold } else { 255 };
            }
            i += 1;
        }
    }
}

/// Cuts numbers that have as many zero bits each; the steps in which some have no symbol.
fn cut_to(
    field: &Field,
    kernel: Kernel,
    zeros: u32,
    elements: &[u8],
    symbols: &mut Vec<u8>,
    bytes: &mut Vec<u8>,
    packed: &mut Vec<u8>,
) -> Vec<usize> {
    let count = elements.len() / field.element;
    let low_bits = field.low_bits - zeros;
    let mut numbers = Vec::new();
    let (m, elements) = if field.signed {
        let form = Form::new(field, zeros);
        numbers.extend_from_slice(elements);
        low_bits::each(field.element, &mut numbers, |bits| form.number(bits));
        (Merge { low_bits, base: field.direct(), float: false, zeros: 0 }, &numbers[..])
    } else {
        let float = field.transform == Transform::Float;
        (Merge { low_bits, base: field.direct(), float, zeros }, elements)
    };
    symbols.resize(count, 0);
    bytes.resize(count * (m.low_bits / 8) as usize, 0);
    packed.resize(packed_len(count, m.low_bits % 8), 0);
    let packed = Packer::new(packed, count, m.low_bits % 8);
    let mut parts = Parts { symbols, bytes, packed, odd: Vec::new(), fold: field.fold };
    cut(m, kernel, field.element, elements, &mut parts);
    parts.odd
}

/// Cuts the numbers of rows that are marked and of those that are not: all symbols in order, and the low bits of the first.
fn two_classes(
    field: &Field,
    kernel: Kernel,
    elements: &[u8],
    first: u64,
    marked: &Marked,
    out: &mut Split,
) -> (Vec<u8>, Vec<u8>) {
    let (size, count) = (field.element, elements.len() / field.element);
    let (mut all, mut low) = (vec![0; count], Vec::new());
    for (class, zeros) in [out.zeros, marked.zeros].into_iter().enumerate() {
        let groups = marked.groups;
        let rows = || low_bits::rows_of(&marked.rows, class, first % groups, groups, count);
        let mine: Vec<u8> = rows().flat_map(|r| &elements[r.start * size..r.end * size]).copied().collect();
        let (mut symbols, mut bytes, mut packed) = (Vec::new(), Vec::new(), Vec::new());
        cut_to(field, kernel, zeros, &mine, &mut symbols, &mut bytes, &mut packed);
        let mut at = 0;
        for r in rows() {
            let len = r.len();
            all[r].copy_from_slice(&symbols[at..at + len]);
            at += len;
        }
        if class == 0 {
            (out.bytes, out.packed) = (bytes, packed);
        } else {
            low = [bytes, packed].concat();
        }
    }
    (all, low)
}

/// The rows that are worth a mark: of some number of zero bits, the one that saves most.
fn mark(field: &Field, elements: &[u8], zeros: u32, first: u64, groups: u64) -> Option<Marked> {
    let (size, most) = (field.element, field.low_bits);
    let count = elements.len() / size;
    let rows: Vec<(u32, u64)> = low_bits::rows(first % groups, groups, count)
        .map(|r| (zero_bits(size, &elements[r.start * size..r.end * size]).min(most), r.len() as u64))
        .collect();
    let saves = |z: u32| rows.iter().filter(|r| r.0 >= z).map(|r| r.1).sum::<u64>() * u64::from(z - zeros);
    let best = (zeros + 1..=most).filter(|z| rows.iter().any(|r| r.0 == *z)).max_by_key(|z| saves(*z))?;
    let mut bits = vec![0u8; rows.len().div_ceil(8)];
    for (i, _) in rows.iter().enumerate().filter(|r| r.1.0 >= best) {
        bits[i / 8] |= 1 << (i % 8);
    }
    let pays = saves(best) > 8 * (bits.len() as u64 + MARKED);
    pays.then_some(Marked { zeros: best, groups, rows: bits, low: Vec::new() })
}

/// Bytes that marks take beside a bit for each row, with something for the time that they take.
const MARKED: u64 = 64;

/// Splits the elements of a field, which lie one directly after the other. `rows` are the number of the first one in its
/// block and the elements of a row, where rows may be marked.
pub fn split(
    field: &Field,
    decimal: Option<&Decimal>,
    kernel: Kernel,
    elements: &[u8],
    rows: Option<(u64, u64)>,
) -> Split {
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
        Transform::Plain => numbers(field, kernel, elements, 0, &mut out),
        Transform::Delta => numbers(field, kernel, &differences(field.element, elements), 0, &mut out),
        Transform::Float => {
            if field.low.is_none() {
                out.zeros = zero_bits(field.element, elements).min(field.low_bits);
                out.marked = rows.and_then(|(first, groups)| mark(field, elements, out.zeros, first, groups));
            }
            let first = rows.map_or(0, |r| r.0);
            numbers(field, kernel, elements, first, &mut out);
        }
    }
    out
}

/// Zero bits below all elements.
fn zero_bits(size: usize, elements: &[u8]) -> u32 {
    // Most show a one in the lowest place soon.
    if elements.chunks_exact(size).take(8).any(|e| e[0] & 1 == 1) {
        return 0;
    }
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
    let (form, mut numbers) = (Form::new(field, 0), Vec::with_capacity(elements.len()));
    for (i, e) in elements.chunks_exact(4).enumerate() {
        let bits = bits_of(e) as u32;
        let number = decimal.and_then(|d| d.rank(bits & i32::MAX as u32)).map(|rank| rank << 1 | bits >> 31);
        let most = 255 + (FOLDED - 1) * u64::from(field.fold);
        let inside = |n: &u32| (form.number((*n).into()) >> field.low_bits).wrapping_sub(field.base) <= most;
        // Any number with a symbol will do where there is none.
        let number = number.filter(inside).unwrap_or_else(|| {
            out.exceptions.push((i, bits.into()));
            form.bits(field.direct().wrapping_add(field.fold.into()) << field.low_bits) as u32
        });
        numbers.extend_from_slice(&number.to_le_bytes());
    }
    self::numbers(field, kernel, &numbers, 0, out);
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
