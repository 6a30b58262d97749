//! The binary code of a byte, in which frequent bytes take fewer than eight decisions.

/// The longest code of a byte, in bits.
pub const LONGEST: u32 = 12;
/// The code lengths for text, which are not stored.
const TEXT: &[u8; 256] = include_bytes!("../../../../formats/tables/light-text.bin");

/// A complete prefix code of the 256 bytes, with the tables that coding needs. A *prefix* is the bits of a
/// code so far, after a leading one.
#[derive(Clone)]
pub struct Code {
    lengths: [u8; 256],
    codes: [u16; 256],
    /// By prefix: 256 plus the byte whose code it is; 0 for prefixes that go on.
    bytes: Box<[u16; 2 << LONGEST]>,
    /// By prefix that goes on: its rank among all such prefixes.
    nodes: Box<[u8; 1 << LONGEST]>,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Everything else follows from the lengths.
        f.debug_struct("Code").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

impl Code {
    /// The canonical code of lengths: codes of one length are consecutive numbers in the order of the bytes,
    /// and shorter codes come first. `None` unless all lengths are in 1..=[`LONGEST`] and the code is
    /// complete.
    pub fn new(lengths: &[u8; 256]) -> Option<Self> {
        let mut left = 1i32 << LONGEST;
        for &length in lengths {
            if !(1..=LONGEST).contains(&length.into()) {
                return None;
            }
            left -= 1 << (LONGEST - u32::from(length));
        }
        if left != 0 {
            return None;
        }
        let mut code = Self {
            lengths: *lengths,
            codes: [0; 256],
            bytes: Box::new([0; 2 << LONGEST]),
            nodes: Box::new([0; 1 << LONGEST]),
        };
        let mut goes_on = vec![false; 1 << LONGEST];
        let mut next = 0;
        for length in 1..=LONGEST {
            for byte in (0..256).filter(|&b| u32::from(lengths[b]) == length) {
                let prefix = next | 1 << length;
                code.codes[byte] = next as u16;
                code.bytes[prefix] = 256 | byte as u16;
                (1..=length).for_each(|n| goes_on[prefix >> n] = true);
                next += 1;
            }
            next <<= 1;
        }
        for (number, prefix) in (0..goes_on.len()).filter(|&p| goes_on[p]).enumerate() {
            // A complete code of 256 bytes has 255 prefixes that go on.
            code.nodes[prefix] = number as u8;
        }
        Some(code)
    }

    /// The code in which every byte stands for itself.
    pub fn flat() -> Self {
        Self::new(&[8; 256]).expect("the code of bytes is complete")
    }

    /// The code that suits text.
    pub fn text() -> Self {
        Self::new(TEXT).expect("the code of text is complete")
    }

    /// Whether this is the code that suits text.
    pub fn is_text(&self) -> bool {
        self.lengths == *TEXT
    }

    /// The code lengths of an optimal code for bytes of these frequencies. Every byte gets a code.
    pub fn lengths_for(frequencies: &[u64; 256]) -> [u8; 256] {
        // Halving all frequencies shortens the longest codes.
        (0..u64::BITS).find_map(|shift| huffman(&frequencies.map(|f| (f >> shift) + 1))).unwrap_or([8; 256])
    }

    /// The code length of each byte.
    pub fn lengths(&self) -> &[u8; 256] {
        &self.lengths
    }

    /// The code of a byte and its length.
    #[inline(always)]
    pub fn code(&self, byte: u8) -> (u32, u32) {
        (self.codes[usize::from(byte)].into(), self.lengths[usize::from(byte)].into())
    }

    /// The byte whose complete code `prefix` is; `None` where codes go on.
    #[inline(always)]
    pub fn byte(&self, prefix: u32) -> Option<u8> {
        let entry = self.bytes[prefix as usize & (self.bytes.len() - 1)];
        (entry != 0).then_some(entry as u8)
    }

    /// The rank, 0..=254, of a prefix that goes on.
    #[inline(always)]
    pub fn node(&self, prefix: u32) -> usize {
        self.nodes[prefix as usize & (self.nodes.len() - 1)].into()
    }
}

/// The code lengths of Huffman's algorithm; `None` if one exceeds [`LONGEST`].
fn huffman(weights: &[u64; 256]) -> Option<[u8; 256]> {
    let mut heap: std::collections::BinaryHeap<_> =
        weights.iter().enumerate().map(|(i, &w)| std::cmp::Reverse((w, i))).collect();
    let mut parents = [0usize; 511];
    for node in 256..511 {
        let (std::cmp::Reverse((a, i)), std::cmp::Reverse((b, j))) = (heap.pop()?, heap.pop()?);
        (parents[i], parents[j]) = (node, node);
        heap.push(std::cmp::Reverse((a + b, node)));
    }
    let mut depths = [0u32; 511];
    for node in (0..510).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let fits = depths[..256].iter().all(|&d| d <= LONGEST);
    fits.then(|| std::array::from_fn(|i| depths[i] as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decode() {
        let skewed = std::array::from_fn(|i| 1u64 << (i / 5).min(60));
        for code in [Code::flat(), Code::text(), Code::new(&Code::lengths_for(&skewed)).unwrap()] {
            for byte in 0..=255 {
                let (bits, length) = code.code(byte);
                assert_eq!(code.byte(bits | 1 << length), Some(byte));
                assert!((0..length).all(|n| code.byte((bits | 1 << length) >> (length - n)).is_none()));
            }
        }
    }

    #[test]
    fn incomplete_codes_are_refused() {
        let mut lengths = [8; 256];
        lengths[7] = 9;
        assert!(Code::new(&lengths).is_none());
        lengths[7] = 7;
        assert!(Code::new(&lengths).is_none());
        lengths[7] = 0;
        assert!(Code::new(&lengths).is_none());
        let mut long = [8; 256];
        long[..2].copy_from_slice(&[7, 13]);
        assert!(Code::new(&long).is_none());
    }
}
