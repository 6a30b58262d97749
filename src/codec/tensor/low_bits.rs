//! The low bits of numbers: how many there are, and their way into elements.

use super::merge::{Low, Merge, merge};
use super::params::{FOLDED, Field, Transform};
use super::split::bits_of;
use super::tile::Place;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::kernel::Kernel;
use crate::tensor::bits::{Packed, packed_len};
use std::ops::Range;

/// Set in the byte of zero bits where some rows have more of them.
pub const BY_ROW: u8 = 0x80;

/// How many low bits of the elements of a field of a tile are zero and not stored.
pub struct LowBits {
    zeros: u32,
    marked: Option<Marked>,
}

/// Rows that have more zeros.
struct Marked {
    zeros: u32,
    /// Elements of a row, and of the first row those that are in tiles before.
    groups: u64,
    skipped: u64,
    /// A bit for each row.
    rows: Vec<u8>,
}

impl LowBits {
    /// Reads what stands before a field's elements; nothing but of floats.
    pub fn parse(c: &mut Cursor<'_>, field: &Field, place: &Place<'_>, group: usize) -> Parsed<Self> {
        if field.transform != Transform::Float {
            return Ok(Self { zeros: 0, marked: None });
        }
        let byte = c.u8()?;
        let zeros = u32::from(byte & !BY_ROW);
        in_range("zero bits", zeros.into(), 0..=field.low_bits.into())?;
        if byte & BY_ROW == 0 {
            return Ok(Self { zeros, marked: None });
        }
        if field.width != field.element || field.width != group || place.some.is_some() || field.low.is_some()
        {
            return Err(Error::corrupt("zero bits by row of what has no rows").into());
        }
        let more = u32::from(c.u8()?);
        in_range("zero bits of marked rows", more.into(), u64::from(zeros) + 1..=field.low_bits.into())?;
        let groups = c.varint_in("groups of a row", 1..=1 << 32)?;
        // A row has a group of the tile at least.
        let rows = c.take(place.rows(groups).div_ceil(8) as usize)?.to_vec();
        Ok(Self { zeros, marked: Some(Marked { zeros: more, groups, skipped: place.first % groups, rows }) })
    }

    /// The zero bits of all elements; `None` where rows differ.
    #[cfg(feature = "gpu")]
    pub fn same_zeros(&self) -> Option<u32> {
        self.marked.is_none().then_some(self.zeros)
    }

    /// The zero bits of an element of the tile.
    fn zeros_of(&self, element: usize) -> u32 {
        self.marked.as_ref().map_or(self.zeros, |m| {
            if is_marked(&m.rows, m.skipped, m.groups, element) { m.zeros } else { self.zeros }
        })
    }

    /// Whether a number has eight low bits, which may be coded.
    pub fn are_eight(&self, field: &Field) -> bool {
        self.marked.is_none() && field.low_bits - self.zeros == 8
    }

    /// Reads low bits and makes elements; of symbols that are folded, others than they are. `coded` are low bits that
    /// have been decoded already.
    pub fn merge(
        &self,
        c: &mut Cursor<'_>,
        field: &Field,
        kernel: Kernel,
        symbols: &[u8],
        coded: Option<&[u8]>,
        out: &mut [u8],
    ) -> Parsed<()> {
        let Some(marked) = &self.marked else {
            return elements(c, field, self.zeros, kernel, symbols, coded, out);
        };
        for (class, zeros) in [self.zeros, marked.zeros].into_iter().enumerate() {
            let size = field.element;
            let ranges = || rows_of(&marked.rows, class, marked.skipped, marked.groups, symbols.len());
            let mine: Vec<u8> = ranges().flat_map(|r| &symbols[r]).copied().collect();
            let mut made = vec![0; mine.len() * size];
            elements(c, field, zeros, kernel, &mine, None, &mut made)?;
            let mut at = 0;
            for r in ranges() {
                let bytes = r.len() * size;
                out[r.start * size..r.end * size].copy_from_slice(&made[at..at + bytes]);
                at += bytes;
            }
        }
        Ok(())
    }
}

/// The elements of the rows that are (1) or are not (0) in a set of bits; the rest as for [`rows`].
pub fn rows_of(
    bits: &[u8],
    class: usize,
    skipped: u64,
    groups: u64,
    count: usize,
) -> impl Iterator<Item = Range<usize>> {
    let all = rows(skipped, groups, count).enumerate();
    all.filter(move |(i, _)| usize::from(bits[i / 8] >> (i % 8) & 1) == class).map(|(_, range)| range)
}

/// Whether an element is in a marked row; the rest as for [`rows`].
pub fn is_marked(bits: &[u8], skipped: u64, groups: u64, element: usize) -> bool {
    let row = ((element as u64 + skipped) / groups) as usize;
    bits[row / 8] >> (row % 8) & 1 != 0
}

/// The elements of each row of `count` elements, `groups` to a row; the first row lacks `skipped`.
pub fn rows(skipped: u64, groups: u64, count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let mut next = usize::try_from(groups - skipped).unwrap_or(usize::MAX);
    let groups = usize::try_from(groups).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let range = at..count.min(next);
        (at, next) = (range.end, next.saturating_add(groups));
        (!range.is_empty()).then_some(range)
    })
}

/// Reads low bits of elements with as many zero bits each, and makes them.
fn elements(
    c: &mut Cursor<'_>,
    field: &Field,
    zeros: u32,
    kernel: Kernel,
    symbols: &[u8],
    coded: Option<&[u8]>,
    out: &mut [u8],
) -> Parsed<()> {
    let (count, low_bits) = (symbols.len(), field.low_bits - zeros);
    let bytes = match coded {
        Some(bytes) => bytes,
        None => c.take(count * (low_bits / 8) as usize)?,
    };
    let packed = Packed::new(c.take(packed_len(count, low_bits % 8))?, count, low_bits % 8);
    let low = Low { bytes, packed };
    if field.signed {
        // Numbers first, then what they are the numbers of.
        let m = Merge { low_bits, base: field.direct(), float: false, zeros: 0 };
        merge(m, kernel, field.element, symbols, low, out);
        let form = Form::new(field, zeros);
        each(field.element, out, |number| form.bits(number));
        return Ok(());
    }
    let float = field.transform == Transform::Float;
    let m = Merge { low_bits, base: field.direct(), float, zeros };
    merge(m, kernel, field.element, symbols, low, out);
    Ok(())
}

/// Changes the bits of each element of `size` bytes.
pub fn each(size: usize, elements: &mut [u8], change: impl Fn(u64) -> u64) {
    for element in elements.chunks_exact_mut(size) {
        element.copy_from_slice(&change(bits_of(element)).to_le_bytes()[..size]);
    }
}

/// How an element's bits are its number: where the sign is, and how many zeros stand below.
#[derive(Clone, Copy)]
pub struct Form {
    /// Bits of the element.
    width: u32,
    /// The sign is the number's lowest bit.
    float: bool,
    zeros: u32,
    /// The number's low bits, above which the sign stands then.
    signed: Option<u32>,
}

impl Form {
    pub fn new(field: &Field, zeros: u32) -> Self {
        Self {
            width: 8 * field.element as u32,
            float: field.transform == Transform::Float,
            zeros,
            signed: field.signed.then(|| field.low_bits - zeros),
        }
    }

    /// Bits of the number, and a mask for them.
    fn number_width(self) -> (u32, u64) {
        let width = self.width - self.zeros;
        (width, u64::MAX >> (64 - width))
    }

    /// The number of an element with these bits.
    pub fn number(self, bits: u64) -> u64 {
        let ((width, mask), bits) = (self.number_width(), bits >> self.zeros);
        let number = if self.float { (bits << 1 | bits >> (width - 1)) & mask } else { bits };
        let Some(low) = self.signed else { return number };
        let part = number & (u64::MAX >> (63 - low));
        (number - part) | part >> 1 | (part & 1) << low
    }

    /// The bits of an element from its number.
    pub fn bits(self, number: u64) -> u64 {
        let (width, mask) = self.number_width();
        let mut number = number & mask;
        if let Some(low) = self.signed {
            let part = number & (u64::MAX >> (63 - low));
            let sign = part >> low;
            number = (number - part) | (part - (sign << low)) << 1 | sign;
        }
        let bits = if self.float { (number >> 1 | number << (width - 1)) & mask } else { number };
        bits << self.zeros
    }
}

/// Mends the elements whose symbols are folded, with the nibbles that belong to these in order.
pub fn unfold(field: &Field, low_bits: &LowBits, symbols: &[u8], mut nibbles: &[u8], out: &mut [u8]) {
    let size = field.element;
    for (i, part) in symbols.chunks(RUN).enumerate() {
        if least(part) >= field.fold {
            continue;
        }
        for (j, symbol) in part.iter().enumerate().filter(|s| *s.1 < field.fold) {
            let Some((nibble, rest)) = nibbles.split_first() else { return };
            nibbles = rest;
            let at = i * RUN + j;
            let zeros = low_bits.zeros_of(at);
            let (form, low) = (Form::new(field, zeros), field.low_bits - zeros);
            let element = &mut out[at * size..(at + 1) * size];
            let stored = form.number(bits_of(element)) & ((1 << low) - 1);
            let number = field.base.wrapping_add(FOLDED * u64::from(*symbol) + u64::from(*nibble));
            let bits = form.bits(number << low | stored);
            element.copy_from_slice(&bits.to_le_bytes()[..size]);
        }
    }
}

/// How many symbols are below `fold`.
pub fn folded(symbols: &[u8], fold: u8) -> usize {
    let some = symbols.chunks(RUN).filter(|part| least(part) < fold);
    some.map(|part| part.iter().filter(|s| **s < fold).count()).sum()
}

/// The least of some symbols; without branches, so that vectors find it.
pub fn least(symbols: &[u8]) -> u8 {
    match <&[u8; RUN]>::try_from(symbols) {
        Ok(symbols) => symbols.iter().fold(255, |least, s| least.min(*s)),
        Err(_) => symbols.iter().fold(255, |least, s| least.min(*s)),
    }
}

/// Symbols that are looked at together.
pub const RUN: usize = 32;
