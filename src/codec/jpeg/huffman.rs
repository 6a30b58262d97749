//! Huffman codes of JPEG files.

use super::bits::BitReader;

/// The bits that are looked up at once.
const FAST: u32 = 9;

/// A code for symbols of 8 bits, with at most 16 bits each (Annex C of the JPEG standard).
#[derive(Clone)]
pub struct Huffman {
    /// For each symbol its code and length; length 0 for symbols without one.
    codes: Box<[(u16, u8); 256]>,
    /// For each value of the next [`FAST`] bits, the length and symbol of a code that they start with.
    fast: Box<[(u8, u8); 1 << FAST]>,
    /// For each length, the first code, the number of codes, and the place of its first symbol.
    lengths: [(u32, u32, usize); 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// The code in which `counts[i]` symbols have i + 1 bits; `None` where more codes of a length are given
    /// than there are, or symbols are given twice.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut made = Self {
            codes: Box::new([(0, 0); 256]),
            fast: Box::new([(0, 0); 1 << FAST]),
            lengths: [(0, 0, 0); 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut at) = (0u32, 0usize);
        for len in 1..=16u32 {
            let count = u32::from(counts[len as usize - 1]);
            made.lengths[len as usize] = (code, count, at);
            for &symbol in symbols.get(at..at + count as usize)? {
                if code >= 1 << len || made.codes[usize::from(symbol)].1 != 0 {
                    return None;
                }
                made.codes[usize::from(symbol)] = (code as u16, len as u8);
                if len <= FAST {
                    let first = (code << (FAST - len)) as usize;
                    made.fast[first..first + (1 << (FAST - len))].fill((len as u8, symbol));
                }
                code += 1;
            }
            at += count as usize;
            code <<= 1;
        }
        (at == symbols.len()).then_some(made)
    }

    /// The code of a symbol, and its length in bits; `None` if it has none.
    pub fn code(&self, symbol: u8) -> Option<(u32, u32)> {
        let (code, len) = self.codes[usize::from(symbol)];
        (len > 0).then_some((code.into(), len.into()))
    }

    /// Reads a symbol; `None` where the bits end or are no code.
    pub fn read(&self, bits: &mut BitReader<'_>) -> Option<u8> {
        let next = bits.peek(16);
        let (len, symbol) = self.fast[(next >> (16 - FAST)) as usize];
        if len > 0 {
            bits.skip(len.into())?;
            return Some(symbol);
        }
        for len in FAST + 1..=16 {
            let (first, count, at) = self.lengths[len as usize];
            let code = next >> (16 - len);
            if code.wrapping_sub(first) < count {
                bits.skip(len)?;
                return Some(self.symbols[at + (code - first) as usize]);
            }
        }
        None
    }
}
