//! Direct counters: probabilities that a context finds without a bit history in between. For contexts that
//! occur often, a counter is more precise than a history, which remembers few bits.

use super::apm::{Counter, learn, p12};
use super::history::mix_hash;
use super::logistic::Tables;
use super::pages::Pages;
use crate::Result;
use crate::kernel::prefetch_at;

/// The number of contexts with direct counters: the empty one, the last byte, and the first two of the kind.
pub const DIRECTS: usize = 4;
/// The number of lines for the context of the last byte, and log2 of the number of lines for each of the
/// hashed ones.
const BYTE_LINES: usize = 256 * 32;
const HASH_BITS: u32 = 16;
/// The number of bits after which a counter moves slowest.
const LIMIT: u32 = 1000;
/// A mask that is XORed into stored counters, so that zeroed memory holds probabilities of one half.
const EVEN: Counter = 1 << 31;

/// The counters. A cache line holds those of one nibble in one context, by node of the nibble's tree.
pub struct Direct {
    lines: Pages<[Counter; 16]>,
    /// The lines of the current nibble, and of the one that was sought last.
    at: [usize; DIRECTS],
    next: [usize; DIRECTS],
}

impl Direct {
    /// Counters that have seen no bit.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new() -> Result<Self> {
        Ok(Self {
            lines: Pages::new(32 + BYTE_LINES + (2 << HASH_BITS))?,
            at: [0; DIRECTS],
            next: [0; DIRECTS],
        })
    }

    /// Finds the lines of the next nibble and prefetches them. `nibble` is 0 for the first nibble of a byte,
    /// otherwise 16 plus the first nibble; `c1` is the last byte; `hashes` are those of the kind's first two
    /// contexts.
    #[inline(always)]
    pub fn seek(&mut self, nibble: u32, c1: u32, hashes: [u32; 2]) {
        let line = |hash| (mix_hash(hash, nibble) >> (32 - HASH_BITS)) as usize;
        let hashed = 32 + BYTE_LINES;
        self.next = [
            nibble as usize,
            32 + (c1 << 5 | nibble) as usize,
            hashed + line(hashes[0]),
            hashed + (1 << HASH_BITS) + line(hashes[1]),
        ];
        for at in self.next {
            prefetch_at(&self.lines, at);
        }
    }

    /// Moves on to the lines that were found last.
    #[inline(always)]
    pub fn start(&mut self) {
        self.at = self.next;
    }

    /// The two inputs of each counter for the bit at a node.
    #[inline(always)]
    pub fn predict(&self, node: usize, tables: &Tables) -> [u32; DIRECTS] {
        self.at.map(|at| tables.inputs(p12(self.lines[at][node & 15] ^ EVEN)))
    }

    /// Learns the bit at a node.
    #[inline(always)]
    pub fn update(&mut self, node: usize, bit: u32) {
        for at in self.at {
            let counter = &mut self.lines[at][node & 15];
            *counter ^= EVEN;
            learn(counter, bit, LIMIT);
            *counter ^= EVEN;
        }
    }
}
