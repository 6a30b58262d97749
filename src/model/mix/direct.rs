//! Direct probabilities: adaptive counters in plain tables, for contexts that are seen often. They tell apart what
//! bit histories, which are short, cannot.

use super::apm::{Counter, learn, p12};
use super::history::mix_hash;
use super::logistic::Tables;
use super::pages::Pages;
use crate::Result;
use crate::kernel::prefetch_at;

/// Contexts with direct counters: none, the last byte, and two of the kind's own.
pub const DIRECTS: usize = 4;
/// Lines of the last byte's context and of the hashed ones.
const BYTE_LINES: usize = 256 * 32;
const HASH_BITS: u32 = 16;
/// Bits after which a counter moves slowest.
const LIMIT: u32 = 1000;
/// Stored counters are XORed with this, so that memory of zeros holds even probabilities.
const EVEN: Counter = 1 << 31;

/// One line for every nibble of every context: counters by the node of the nibble's tree.
pub struct Direct {
    lines: Pages<[Counter; 16]>,
    at: [usize; DIRECTS],
    next: [usize; DIRECTS],
}

impl Direct {
    /// All probabilities even.
    pub fn new() -> Result<Self> {
        Ok(Self {
            lines: Pages::new(32 + BYTE_LINES + (2 << HASH_BITS))?,
            at: [0; DIRECTS],
            next: [0; DIRECTS],
        })
    }

    /// Finds the lines of the nibble to come and asks for them: `nibble` is 0 for a byte's first one, else 16 plus that one; `c1` is the last
    /// byte.
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

    /// Goes to the lines that were found.
    #[inline(always)]
    pub fn start(&mut self) {
        self.at = self.next;
    }

    /// Inputs for the bit at a node.
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
