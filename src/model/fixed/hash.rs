//! The hash of context keys.

/// Spreads a key over all 32 bits; callers take an index from the upper bits.
///
/// Multiplies twice by odd constants (the golden ratio, and one from MurmurHash3's finalizer) with a shift in
/// between, so that every bit of the key reaches the upper bits.
#[inline]
pub fn hash(key: u32) -> u32 {
    let key = key.wrapping_mul(0x9E37_79B1);
    (key ^ key >> 15).wrapping_mul(0x85EB_CA6B)
}
