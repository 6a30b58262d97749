//! How elements, numbers, symbols and low bits relate to each other.

use crate::codec::tensor::stored::{FieldParams, Transform, bits_of};

/// How `merge` makes numbers from symbols and low bits, and elements from numbers; `split` does the reverse.
#[derive(Debug, Clone, Copy)]
pub struct NumberLayout {
    /// The number of low bits, which are stored beside the symbol.
    pub low_bits: u32,
    /// The amount added to each symbol.
    pub base: u64,
    /// Whether the lowest bit of a number is the element's sign, its highest bit.
    pub float: bool,
    /// The number of zero bits below each element, which are not part of its number.
    pub zeros: u32,
}

impl NumberLayout {
    /// The layout for a field's elements with `zeros` zero bits (at most the field's low bits), for symbols
    /// that are not folded. Where signs belong to symbols, it applies to the results of
    /// [`NumberMap::number`].
    pub fn new(field: &FieldParams, zeros: u32) -> Self {
        let (low_bits, base) = (field.low_bits - zeros, field.direct());
        if field.signed {
            return Self { low_bits, base, float: false, zeros: 0 };
        }
        Self { low_bits, base, float: field.transform == Transform::Float, zeros }
    }
}

/// The one-to-one map between the bits of an element and its number. Unlike [`NumberLayout`], it also covers
/// numbers whose sign belongs to the symbol: there the sign stands directly above the low bits.
#[derive(Clone, Copy)]
pub struct NumberMap {
    /// The bits of an element without its zero bits.
    width: u32,
    /// Whether the sign of an element, its highest bit, moves below the other bits.
    float: bool,
    /// The number of zero bits below each element.
    zeros: u32,
    /// The number of low bits above which the sign then moves; `None` where it stays the lowest bit.
    signed: Option<u32>,
}

impl NumberMap {
    /// The map of a field's elements that have `zeros` zero bits, at most the field's low bits.
    pub fn new(field: &FieldParams, zeros: u32) -> Self {
        Self {
            width: 8 * field.element as u32 - zeros,
            float: field.transform == Transform::Float,
            zeros,
            signed: field.signed.then(|| field.low_bits - zeros),
        }
    }

    /// A mask with a one for each bit of a number.
    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// The number of the element with these bits.
    #[inline]
    pub fn number(self, bits: u64) -> u64 {
        let bits = bits >> self.zeros;
        let number = if self.float { (bits << 1 | bits >> (self.width - 1)) & self.mask() } else { bits };
        let Some(low) = self.signed else { return number };
        // The lowest low + 1 bits are rotated right by one.
        let part = number & (u64::MAX >> (63 - low));
        (number - part) | part >> 1 | (part & 1) << low
    }

    /// The bits of the element with this number. Bits of `number` above those of an element are ignored.
    #[inline]
    pub fn bits(self, number: u64) -> u64 {
        let mut number = number & self.mask();
        if let Some(low) = self.signed {
            let part = number & (u64::MAX >> (63 - low));
            let sign = part >> low;
            number = (number - part) | (part - (sign << low)) << 1 | sign;
        }
        let bits = if self.float { (number >> 1 | number << (self.width - 1)) & self.mask() } else { number };
        bits << self.zeros
    }
}

/// Replaces the bits of each element of `size` bytes by the result of `map`.
pub fn map_elements(size: usize, elements: &mut [u8], map: impl Fn(u64) -> u64) {
    for element in elements.chunks_exact_mut(size) {
        element.copy_from_slice(&map(bits_of(element)).to_le_bytes()[..size]);
    }
}
