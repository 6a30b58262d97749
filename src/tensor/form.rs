//! Descriptions of how the tensors of quantised and sparse checkpoints pack several numbers into a word.

/// How the bytes of a tensor pack numbers. A form only suggests a coding: a wrong one costs compression,
/// never correctness.
///
/// A group of words, which the coder treats as sharing a scale, takes one word from each of `rows`
/// consecutive rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The numbers that a word holds.
    pub packing: Packing,
    /// The number of consecutive rows whose words in one column form a group; 1 where groups lie along a row.
    pub rows: u32,
    /// The bytes of a word; of a whole group, where groups lie along a row.
    pub word: u32,
    /// The number of words in a row; 1 where groups lie along a row.
    pub columns: u32,
}

/// The numbers in a word, from its lowest bit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Numbers of this many bits each, without gaps.
    Bits(u8),
    /// Numbers of this many bits each in words of 32 bits, whose highest bits are unused where no further
    /// number fits.
    Words(u8),
    /// Words of 32 bits with this many numbers of 4 or 8 bits each, one from each of as many columns.
    Columns(u8),
    /// Codes of one byte each, one for each of this many codebooks.
    Codes8(u8),
    /// Codes of two bytes each, one for each of this many codebooks.
    Codes16(u8),
    /// SpQR's tiles: a scale and a zero point of 3 bits each, 16 weights of 3 bits, a scale of 8 bits, 2
    /// unused bits.
    Spqr,
    /// SpQR's outliers: a column number of 16 bits, then a half-precision number.
    Outliers,
    /// Integers that mostly grow from one to the next, such as offsets.
    Growing,
}
