//! Codes symbols with the weights of a vocabulary.
//!
//! A symbol is coded in two steps: first its block of 256 tokens, then the token within the block. This way
//! neither an encoder nor a decoder needs cumulative sums over the whole vocabulary: those over the blocks
//! and over one block are enough.

use crate::coder::range::{BitDecoder, BitEncoder, Part as CoderPart};
use crate::error::Result;

/// A choice shares out `1 << PRECISION` parts.
const PRECISION: usize = 24;
type Part = CoderPart<PRECISION>;

/// The number of tokens in a block of the vocabulary.
const BLOCK: usize = 256;
/// A symbol: a token below V, the size of the vocabulary, or V + b for an escaped byte b.
pub type Symbol = u32;

/// The weights of a vocabulary: Q22 powers of two, of which the largest is 2^22 unless it has been ruled out.
#[derive(Debug)]
pub struct Distribution<'a> {
    weights: &'a mut [i32],
    /// The sum of the weights of each block, and of all.
    blocks: &'a mut Vec<u64>,
    total: u64,
}

impl<'a> Distribution<'a> {
    /// Adds the weights up; `blocks` is scratch space for the sums.
    pub fn new(weights: &'a mut [i32], blocks: &'a mut Vec<u64>) -> Self {
        blocks.clear();
        blocks.extend(weights.chunks(BLOCK).map(|b| b.iter().map(|&w| w as u64).sum::<u64>()));
        let total = blocks.iter().sum();
        Self { weights, blocks, total }
    }

    /// V, the size of the vocabulary.
    pub fn vocab(&self) -> u32 {
        self.weights.len() as u32
    }

    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The token with the greatest weight, the first of equal ones; `None` where all weights are 0.
    pub fn likeliest(&self) -> Option<Symbol> {
        let most = self.weights.iter().copied().max().filter(|&m| m > 0)?;
        self.weights.iter().position(|&w| w == most).map(|t| t as Symbol)
    }

    /// The weight of a token.
    pub fn weight(&self, token: Symbol) -> i32 {
        self.weights[token as usize]
    }

    /// Changes the weight of a token.
    pub fn set(&mut self, token: Symbol, weight: i32) {
        let old = std::mem::replace(&mut self.weights[token as usize], weight);
        for sum in [&mut self.blocks[token as usize / BLOCK], &mut self.total] {
            *sum = *sum - old as u64 + weight as u64;
        }
    }

    /// Codes a symbol; `escape` is the weight of an escape.
    pub fn encode(&self, symbol: Symbol, escape: u64, coder: &mut BitEncoder) {
        let vocab = self.vocab();
        if symbol >= vocab {
            coder.encode_part(self.block_part(self.blocks.len(), escape));
            coder.encode_part(byte_part((symbol - vocab) << 16));
            return;
        }
        let block = symbol as usize / BLOCK;
        coder.encode_part(self.block_part(block, escape));
        coder.encode_part(self.token_part(block, symbol as usize % BLOCK));
    }

    /// Decodes a symbol; `escape` is the weight of an escape.
    ///
    /// # Errors
    /// Those of the coder.
    pub fn decode(&self, escape: u64, coder: &mut BitDecoder<'_>) -> Result<Symbol> {
        let block =
            coder.decode_part(|q| search(self.blocks.len() + 1, q, self.block_sums(escape)))? as usize;
        if block == self.blocks.len() {
            return Ok(self.vocab() + coder.decode_part(byte_part)?);
        }
        let count = self.block(block).len();
        let token = coder.decode_part(|q| search(count, q, self.token_sums(block)))?;
        Ok((block * BLOCK) as u32 + token)
    }

    /// The weights of a block.
    fn block(&self, block: usize) -> &[i32] {
        &self.weights[block * BLOCK..self.weights.len().min((block + 1) * BLOCK)]
    }

    /// The weights for the choice of a block, the escape last, and their sum.
    fn block_sums(&self, escape: u64) -> (u64, impl Iterator<Item = u64>) {
        (self.total + escape, self.blocks.iter().copied().chain([escape]))
    }

    /// The weights for the choice of a token in a block, and their sum. Each weight gets 1 more, so that none
    /// is 0.
    fn token_sums(&self, block: usize) -> (u64, impl Iterator<Item = u64>) {
        let tokens = self.block(block);
        let total = 16 * self.blocks[block] + tokens.len() as u64;
        (total, tokens.iter().map(|&w| 16 * w as u64 + 1))
    }

    fn block_part(&self, block: usize, escape: u64) -> Part {
        part_of(self.blocks.len() + 1, block, self.block_sums(escape))
    }

    fn token_part(&self, block: usize, token: usize) -> Part {
        part_of(self.block(block).len(), token, self.token_sums(block))
    }
}

/// The part of the uniform choice of a byte that contains `quantile`.
fn byte_part(quantile: u32) -> Part {
    let byte = u64::from(quantile >> 16);
    Part::new(byte as usize, byte << 16, (byte + 1) << 16)
}

/// The first part of symbol i of n, where the symbols before it have the weight `below` out of `total`. Every
/// symbol gets one part, and a share of the others by its weight.
fn first_part(n: usize, i: usize, below: u64, total: u64) -> u64 {
    // At most 2^40 times less than 2^24.
    below * ((1 << PRECISION) - n as u64) / total + i as u64
}

/// The parts of a symbol, given the sum of all weights and the weights.
fn part_of(n: usize, wanted: usize, (total, mut weights): (u64, impl Iterator<Item = u64>)) -> Part {
    let below: u64 = weights.by_ref().take(wanted).sum();
    let start = first_part(n, wanted, below, total);
    let end = first_part(n, wanted + 1, below + weights.next().unwrap_or(0), total);
    Part::new(wanted, start, end)
}

/// The symbol, out of n, that owns part `quantile`, given the sum of all weights and the weights.
fn search(n: usize, quantile: u32, (total, weights): (u64, impl Iterator<Item = u64>)) -> Part {
    let (mut below, mut start) = (0, 0);
    for (i, w) in weights.enumerate() {
        below += w;
        let end = first_part(n, i + 1, below, total);
        if u64::from(quantile) < end {
            return Part::new(i, start, end);
        }
        start = end;
    }
    unreachable!("the last symbol's parts end at 2^24")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_round_trip_with_any_weights() {
        for vocab in [1usize, 3, 256, 257, 1000] {
            for kind in 0..3 {
                let mut weights: Vec<i32> =
                    (0..vocab).map(|i| [0, 1 << 22, (i as i32 * 7919) % (1 << 22)][kind]).collect();
                let mut blocks = Vec::new();
                let mut d = Distribution::new(&mut weights, &mut blocks);
                d.set(0, 5);
                let symbols: Vec<u32> = (0..vocab as u32 + 256).step_by(17).collect();
                let mut encoder = BitEncoder::default();
                symbols.iter().for_each(|&s| d.encode(s, 1, &mut encoder));
                let payload = encoder.payload();
                let mut decoder = BitDecoder::new(&payload);
                for &s in &symbols {
                    assert_eq!(d.decode(1, &mut decoder).unwrap(), s);
                }
            }
        }
    }

    #[test]
    fn the_largest_totals_fit() {
        let total = 1u64 << 40;
        assert_eq!(first_part(513, 513, total, total), 1 << 24);
    }
}
