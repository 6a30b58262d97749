//! How tensors pack fields of some bits: what layouts of quantised models have in common.

/// How the bytes of a tensor pack numbers. Nothing relies on it being right: it only helps to choose a coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// What a word holds.
    pub packing: Packing,
    /// Rows whose words at the same place share a scale.
    pub rows: u32,
    /// Bytes of a word.
    pub word: u32,
    /// Words of a row.
    pub columns: u32,
}

/// What the bits of a word are, from the lowest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Numbers of this many bits, all alike.
    Bits(u8),
    /// The same in words of 32 bits whose highest bits are left over where another number does not fit.
    Words(u8),
    /// Words of 32 bits with this many numbers of 4 or 8 bits each, one of each column.
    Columns(u8),
    /// One byte for each of this many codebooks.
    Codes8(u8),
    /// Two bytes for each of this many codebooks.
    Codes16(u8),
    /// SpQR's tiles: scale and zero of 3 bits each, 16 weights of 3 bits, a scale of 8 bits, 2 bits left over.
    Spqr,
    /// SpQR's outliers: a column of 16 bits, then a half-precision number.
    Outliers,
    /// Whole numbers that mostly grow.
    Growing,
}
