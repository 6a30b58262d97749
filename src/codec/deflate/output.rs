//! Writes deflate streams.

use super::codes::{
    DIST_BASE, DIST_EXTRA, END, FIRST_LEN, LEN_BASE, LEN_EXTRA, ORDER, Token, codes, dist_symbol, len_symbol,
};
use super::inflate::{Kind, Tree};
use crate::codec::buffer::reserve;
use crate::error::{Error, Result};

/// Appends bits to bytes, the lowest of each byte first.
#[derive(Debug, Default)]
pub struct Output {
    pub bytes: Vec<u8>,
    held: u64,
    count: u32,
    /// The most bytes that `bytes` may have.
    most: usize,
}

impl Output {
    /// Starts after the bytes of `head`, for at most `most` bytes in all.
    pub fn new(head: &[u8], most: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        reserve(&mut bytes, head.len())?;
        bytes.extend_from_slice(head);
        Ok(Self { bytes, held: 0, count: 0, most })
    }

    /// Makes room for `more` bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where that is more than allowed; [`crate::ErrorKind::LimitExceeded`]
    /// where memory is missing.
    pub fn expect(&mut self, more: usize) -> Result<()> {
        if self.bytes.len() + more > self.most {
            return Err(Error::corrupt("a deflate block that is longer than its raw length"));
        }
        reserve(&mut self.bytes, more + 16)
    }

    /// Appends the lowest `bits` bits of a value, at most 32.
    #[inline(always)]
    pub fn put(&mut self, value: u32, bits: u32) {
        self.held |= u64::from(value) << self.count;
        self.count += bits;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// The number of bits up to the start of the next byte.
    pub fn to_byte(&self) -> u32 {
        self.count.wrapping_neg() % 8
    }

    /// Moves all complete bytes to `bytes`.
    pub fn settle(&mut self) {
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Appends the header of a block.
    pub fn header(&mut self, last: bool, kind: &Kind) {
        let number = match kind {
            Kind::Stored { .. } => 0,
            Kind::Fixed => 1,
            Kind::Dynamic(_) => 2,
        };
        self.put(u32::from(last) | number << 1, 3);
        if let Kind::Dynamic(tree) = kind {
            self.tree(tree);
        }
    }

    fn tree(&mut self, tree: &Tree) {
        self.put(tree.litlen.len() as u32 - 257, 5);
        self.put(tree.dist.len() as u32 - 1, 5);
        self.put(tree.given as u32 - 4, 4);
        ORDER[..tree.given].iter().for_each(|&i| self.put(tree.item_lens[i].into(), 3));
        let codes = codes(&tree.item_lens);
        for item in &tree.items {
            let symbol = usize::from(item.symbol);
            self.put(codes[symbol].into(), tree.item_lens[symbol].into());
            self.put(item.extra.into(), item.bits());
        }
    }

    /// Appends tokens, which stand for the bytes of `raw`, and the end of the block. All of their symbols
    /// must have codes.
    pub fn tokens(&mut self, tokens: &[Token], raw: &[u8], litlen: &[u8], dist: &[u8]) {
        let (codes_of, far) = (codes(litlen), codes(dist));
        let mut at = 0;
        for token in tokens {
            if token.is_literal() {
                let symbol = usize::from(raw[at]);
                self.put(codes_of[symbol].into(), litlen[symbol].into());
            } else {
                let i = len_symbol(token.len());
                let symbol = FIRST_LEN + i;
                self.put(codes_of[symbol].into(), litlen[symbol].into());
                self.put((token.len() - usize::from(LEN_BASE[i])) as u32, LEN_EXTRA[i].into());
                let j = dist_symbol(token.dist());
                self.put(far[j].into(), dist[j].into());
                self.put((token.dist() - usize::from(DIST_BASE[j])) as u32, DIST_EXTRA[j].into());
            }
            at += token.span();
        }
        self.put(codes_of[END].into(), litlen[END].into());
    }
}
