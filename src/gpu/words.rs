//! Conversion between bytes of the host and the 32-bit words that kernels work on.

fn padded(bytes: &[u8]) -> [u8; 4] {
    let mut four = [0; 4];
    four[..bytes.len()].copy_from_slice(bytes);
    four
}

/// A word of a range coder's payload: up to four bytes, the first in the highest bits, padded with zeros.
pub fn big_endian(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(padded(bytes))
}

/// A word of raw bytes: up to four bytes, the first in the lowest bits, padded with zeros.
pub fn little_endian(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(padded(bytes))
}

/// Packs four bytes to a word, the first in the lowest bits, padding the last word with zeros.
pub fn to_words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks(4).map(little_endian)
}

/// Fills `bytes` from words as [`to_words`] makes them. Words after them are ignored.
pub fn to_bytes(words: &[u32], bytes: &mut [u8]) {
    for (to, word) in bytes.chunks_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes()[..to.len()]);
    }
}
