//! Turns the elements of a field into symbols, low bits and exceptions, which decoding turns back.

use crate::codec::tensor::kernel::{
    FOLD_RUN, NumberLayout, NumberMap, SplitNumbers, least_symbol, map_elements, pair, split,
    subtract_previous,
};
use crate::codec::tensor::stored::{
    FOLDED, FieldParams, MarkedRows, Transform, ZeroBits, bits_of, row_ranges,
};
use crate::kernel::Kernel;
use crate::tensor::bits::{Packer, STEP, packed_len};
use crate::tensor::decimal::Decimal;

/// The bytes that marked rows take in addition to a bit for each row, with an allowance for decoding time.
const MARKED_COST: u64 = 64;

/// The elements of one field of one tile, split into parts.
#[derive(Debug, Default, Clone)]
pub struct FieldParts {
    /// The zero bits below the elements, which are not stored.
    pub zero_bits: ZeroBits,
    /// Elements without a symbol: their places in the tile and their bits.
    pub exceptions: Vec<(usize, u64)>,
    /// The symbol of each number.
    pub symbols: Vec<u8>,
    /// The table of each symbol, where the field has several tables.
    pub contexts: Vec<u8>,
    /// For each folded symbol, which one of its numbers it stands for.
    pub folded: Vec<u8>,
    /// The classes of groups, where the field has them.
    pub classes: Vec<u8>,
    /// The low bits, without those of marked rows.
    pub low: LowParts,
    /// The low bits of marked rows.
    pub marked_low: LowParts,
}

/// Low bits as they are stored.
#[derive(Debug, Default, Clone)]
pub struct LowParts {
    /// The whole bytes of each number's low bits.
    pub bytes: Vec<u8>,
    /// The remaining bits above these bytes, packed.
    pub packed: Vec<u8>,
}

/// How the elements of a field lie in rows.
#[derive(Debug, Clone, Copy)]
pub struct TileRows {
    /// The number of elements of the block before the tile's first one.
    pub first: u64,
    /// The number of elements in a row; not 0.
    pub groups: u64,
}

impl FieldParts {
    /// Splits the elements of a field, which lie directly one after the other, into parts. `decimal` is
    /// needed for fields of decimals. `rows` tells in which rows the elements lie, where rows may be marked.
    pub fn new(
        field: &FieldParams,
        decimal: Option<&Decimal>,
        kernel: Kernel,
        elements: &[u8],
        rows: Option<TileRows>,
    ) -> Self {
        let mut parts = Self::default();
        match &field.transform {
            Transform::Halves => {
                parts.symbols.resize(2 * elements.len(), 0);
                for (two, b) in parts.symbols.chunks_exact_mut(2).zip(elements) {
                    two.copy_from_slice(&[b & 15, b >> 4]);
                }
            }
            Transform::Palette(values) => parts.find_in_palette(values, field.element, elements),
            Transform::Decimal(_) => {
                let ranks = parts.ranks(field, decimal, elements);
                parts.split_numbers(field, kernel, &ranks);
            }
            Transform::Plain => parts.split_numbers(field, kernel, elements),
            Transform::Delta => {
                let mut differences = elements.to_vec();
                subtract_previous(field.element, &mut differences);
                parts.split_numbers(field, kernel, &differences);
            }
            Transform::Pairs => {
                let mut numbers = elements.to_vec();
                pair(kernel, &mut numbers);
                parts.split_numbers(field, kernel, &numbers);
            }
            Transform::Float => {
                // Coded low bits have contexts that leaving out zero bits would spoil.
                if field.low.is_none() {
                    let zeros = zero_bits(field.element, elements).min(field.low_bits);
                    let marked = rows.and_then(|rows| mark_rows(field, elements, zeros, rows));
                    parts.zero_bits = ZeroBits { zeros, marked };
                }
                parts.split_numbers(field, kernel, elements);
            }
        }
        parts
    }

    /// Sets the symbols of elements, most of which are values of a palette; the others become exceptions.
    fn find_in_palette(&mut self, values: &[u64], size: usize, elements: &[u8]) {
        for (i, e) in elements.chunks_exact(size).enumerate() {
            let bits = bits_of(e);
            let at = values.partition_point(|v| *v < bits);
            if values.get(at) != Some(&bits) {
                self.exceptions.push((i, bits));
            }
            self.symbols.push(at.min(values.len() - 1) as u8);
        }
    }

    /// The ranks of decimals, with the sign as the lowest bit of each. Elements without a rank, and those
    /// whose rank has no symbol, become exceptions.
    fn ranks(&mut self, field: &FieldParams, decimal: Option<&Decimal>, elements: &[u8]) -> Vec<u8> {
        let (map, mut ranks) = (NumberMap::new(field, 0), Vec::with_capacity(elements.len()));
        let most = 255 + (FOLDED - 1) * u64::from(field.fold);
        for (i, e) in elements.chunks_exact(4).enumerate() {
            let bits = bits_of(e) as u32;
            let rank =
                decimal.and_then(|d| d.rank(bits & i32::MAX as u32)).map(|rank| rank << 1 | bits >> 31);
            let has_symbol =
                |n: &u32| (map.number((*n).into()) >> field.low_bits).wrapping_sub(field.base) <= most;
            // An exception's place may hold any number that has a symbol.
            let rank = rank.filter(has_symbol).unwrap_or_else(|| {
                self.exceptions.push((i, bits.into()));
                map.bits(field.direct().wrapping_add(field.fold.into()) << field.low_bits) as u32
            });
            ranks.extend_from_slice(&rank.to_le_bytes());
        }
        ranks
    }

    /// Splits numbers into symbols and low bits. The kernel reports the steps in which some number has no
    /// direct symbol; only these are checked number by number, and such numbers become folded symbols or
    /// exceptions.
    fn split_numbers(&mut self, field: &FieldParams, kernel: Kernel, elements: &[u8]) {
        let size = field.element;
        let odd = match self.zero_bits.marked.clone() {
            None => {
                let made = SplitElements::new(field, kernel, self.zero_bits.zeros, elements);
                (self.symbols, self.low) = (made.symbols, made.low);
                made.odd
            }
            Some(marked) => {
                self.split_by_mark(field, kernel, &marked, elements);
                (0..self.symbols.len().div_ceil(STEP)).collect()
            }
        };
        for step in odd {
            let from = step * STEP;
            let end = self.symbols.len().min(from + STEP);
            let mut i = from;
            while i < end {
                // Most runs have no such number.
                let starts_run = (i - from).is_multiple_of(FOLD_RUN);
                if starts_run && least_symbol(&self.symbols[i..end.min(i + FOLD_RUN)]) > 0 {
                    i += FOLD_RUN;
                    continue;
                }
                if self.symbols[i] == 0 {
                    self.settle(field, i, bits_of(&elements[i * size..(i + 1) * size]));
                }
                i += 1;
            }
        }
    }

    /// Finds the symbol of the number at index `i`, to which the kernel has given symbol 0, either because it
    /// has no direct symbol or because 0 is right.
    fn settle(&mut self, field: &FieldParams, i: usize, bits: u64) {
        let zeros = self.zero_bits.zeros_of(i);
        let top = NumberMap::new(field, zeros).number(bits) >> (field.low_bits - zeros);
        let place = top.wrapping_sub(field.base);
        if place < FOLDED * u64::from(field.fold) {
            self.symbols[i] = (place / FOLDED) as u8;
            self.folded.push((place % FOLDED) as u8);
        } else if place > 0 || field.fold > 0 {
            self.exceptions.push((i, bits));
            // Any symbol that is not folded would do.
            self.symbols[i] = if top < field.base { field.fold } else { 255 };
        }
    }

    /// Splits marked and unmarked rows apart, each with their own zero bits. The symbols of both keep the
    /// order of the elements.
    fn split_by_mark(&mut self, field: &FieldParams, kernel: Kernel, marked: &MarkedRows, elements: &[u8]) {
        let (size, count) = (field.element, elements.len() / field.element);
        self.symbols.resize(count, 0);
        for (is_marked, zeros) in [(false, self.zero_bits.zeros), (true, marked.zeros)] {
            let ranges = || marked.ranges(is_marked, count);
            let mut mine = Vec::with_capacity(ranges().map(|r| r.len() * size).sum());
            ranges().for_each(|r| mine.extend_from_slice(&elements[r.start * size..r.end * size]));
            let made = SplitElements::new(field, kernel, zeros, &mine);
            let mut symbols = &made.symbols[..];
            for r in ranges() {
                let (some, rest) = symbols.split_at(r.len());
                self.symbols[r].copy_from_slice(some);
                symbols = rest;
            }
            *(if is_marked { &mut self.marked_low } else { &mut self.low }) = made.low;
        }
    }
}

/// Elements with the same number of zero bits, split by the kernel.
struct SplitElements {
    symbols: Vec<u8>,
    low: LowParts,
    /// The steps of [`STEP`] numbers in which some number has no direct symbol.
    odd: Vec<usize>,
}

impl SplitElements {
    fn new(field: &FieldParams, kernel: Kernel, zeros: u32, elements: &[u8]) -> Self {
        let mut numbers = Vec::new();
        let elements = if field.signed {
            let map = NumberMap::new(field, zeros);
            numbers.extend_from_slice(elements);
            map_elements(field.element, &mut numbers, |bits| map.number(bits));
            &numbers[..]
        } else {
            elements
        };
        let (count, layout) = (elements.len() / field.element, NumberLayout::new(field, zeros));
        let (whole, rest) = (layout.low_bits as usize / 8, layout.low_bits % 8);
        let mut symbols = vec![0; count];
        let (mut bytes, mut packed) = (vec![0; count * whole], vec![0; packed_len(count, rest)]);
        let mut to = SplitNumbers {
            symbols: &mut symbols,
            bytes: &mut bytes,
            packed: Packer::new(&mut packed, count, rest),
            odd: Vec::new(),
            fold: field.fold,
        };
        split(layout, kernel, field.element, elements, &mut to);
        let odd = to.odd;
        Self { symbols, low: LowParts { bytes, packed }, odd }
    }
}

/// The number of lowest bits that are zero in all elements; the width of an element where all bits are zero.
fn zero_bits(size: usize, elements: &[u8]) -> u32 {
    // Most floats soon show a one in the lowest bit, though it cannot be foretold which of them.
    if elements.chunks_exact(size).take(8).fold(0, |any, e| any | e[0]) & 1 == 1 {
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

/// Marks the rows that have more than `zeros` zero bits, where that saves something. All marked rows share
/// one number of zero bits: the one that saves most.
fn mark_rows(field: &FieldParams, elements: &[u8], zeros: u32, rows: TileRows) -> Option<MarkedRows> {
    let (size, most) = (field.element, field.low_bits);
    let TileRows { first, groups } = rows;
    let skipped = first % groups;
    // The zero bits and the length of each row.
    let rows: Vec<(u32, u64)> = row_ranges(skipped, groups, elements.len() / size)
        .map(|r| (zero_bits(size, &elements[r.start * size..r.end * size]).min(most), r.len() as u64))
        .collect();
    let saves = |z: u32| rows.iter().filter(|r| r.0 >= z).map(|r| r.1).sum::<u64>() * u64::from(z - zeros);
    let best = (zeros + 1..=most).filter(|z| rows.iter().any(|r| r.0 == *z)).max_by_key(|z| saves(*z))?;
    let mut bits = vec![0u8; rows.len().div_ceil(8)];
    for (i, _) in rows.iter().enumerate().filter(|r| r.1.0 >= best) {
        bits[i / 8] |= 1 << (i % 8);
    }
    let pays = saves(best) > 8 * (bits.len() as u64 + MARKED_COST);
    pays.then_some(MarkedRows { zeros: best, groups, skipped, bits })
}
