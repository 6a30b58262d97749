//! The lengths of runs.

use super::mixture::{Coder, Mixture};
use super::{Past, class8, class16, length8, pair};
use crate::error::{Error, Result};

/// The least length of each symbol.
pub const LEAST: [u32; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 25, 41, 73, 201];
/// The number of bits, all equally probable, that follow each symbol of a length but the last.
const EVEN: [u32; 15] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3];
/// Symbols of more than one length start here.
const WIDE: usize = 8;
/// The most bits that are coded at once.
const MOST_BITS: u32 = 16;
/// Lengths are below 2 to this power.
const LOG2: u32 = 24;

/// The context in which a length is coded.
pub struct Around<'a> {
    /// The byte of the run, and of the one before it.
    pub byte: u8,
    pub before: u8,
    /// The run's rank, or 0.
    pub rank: u32,
    /// The rank before it, or 0.
    pub last_rank: u32,
    /// The lengths of the two runs before.
    pub last: [u32; 2],
    pub past: &'a Past,
}

/// Codes lengths.
pub struct Lengths {
    first: Mixture<6>,
    rest: Mixture<3>,
}

impl Lengths {
    pub fn new() -> Result<Self> {
        Ok(Self {
            first: Mixture::new([256, 4096, 4096, 4096, 1 << 14, 1 << 14], [30, 127, 127, 127, 127, 127], 8)?,
            rest: Mixture::new([16, 256, 256], [127; 3], 16)?,
        })
    }

    /// The contexts of a length's first symbol.
    #[inline(always)]
    fn contexts(around: &Around<'_>) -> [usize; 6] {
        let Around { byte, before, rank, last_rank, last, past } = around;
        let (byte, before) = (usize::from(*byte), usize::from(*before));
        let [a, b, c] = past.lengths;
        let rank_class = class8(*rank);
        [
            byte,
            rank_class << 9 | class8(past.ranks[0]) << 6 | length8(a) << 3 | length8(b),
            rank_class << 9 | class8(*last_rank) << 6 | length8(last[0]) << 3 | length8(last[1]),
            class16(a) << 8 | class16(b) << 4 | class16(c),
            byte << 6 | length8(a) << 3 | length8(b),
            pair(byte, if *rank > 0 { rank_class } else { before }, 14),
        ]
    }

    /// Hints that a length will soon be coded.
    #[inline(always)]
    pub fn prefetch(&self, around: &Around<'_>) {
        self.first.prefetch(Self::contexts(around));
    }

    /// Codes a length of 1..2^24. `next` is told one that a single symbol tells.
    #[inline(always)]
    pub fn code<const A: bool>(
        &mut self,
        coder: &mut impl Coder,
        length: u32,
        around: &Around<'_>,
        next: impl FnOnce(u32),
    ) -> Result<u32> {
        let [a, ..] = around.past.lengths;
        let contexts = Self::contexts(around);
        let symbol = LEAST.partition_point(|&l| l <= length.max(1)) - 1;
        let hint = |symbol| {
            if symbol < WIDE {
                next(LEAST[symbol])
            }
        };
        let symbol = self.first.code::<A>(coder, symbol, contexts, length8(a), hint)?;
        if symbol < WIDE {
            return Ok(LEAST[symbol]);
        }
        let left = length.wrapping_sub(LEAST[symbol]);
        let contexts = [symbol, symbol << 4 | class16(a), symbol << 4 | class16(around.last[0])];
        if symbol < 15 {
            let even = EVEN[symbol];
            let high =
                self.rest.code::<A>(coder, (left >> even) as usize & 15, contexts, symbol, |_| ())? as u32;
            return Ok(LEAST[symbol] + (high << even | coder.bits(left & ((1 << even) - 1), even)?));
        }
        // The number of binary digits behind the leading one, and these.
        let left = left.wrapping_add(1);
        let digits = left.max(1).ilog2();
        let mut count = self.rest.code::<A>(coder, digits.min(15) as usize, contexts, symbol, |_| ())? as u32;
        if count == 15 {
            count += coder.bits(digits.wrapping_sub(15) & 15, 4)?;
        }
        if count >= LOG2 {
            return Err(Error::corrupt("a run of a sort block is too long"));
        }
        let (high, low) = (count.saturating_sub(MOST_BITS), count.min(MOST_BITS));
        let top = 1 << high | coder.bits(left >> low & ((1 << high) - 1), high)?;
        let all = top << low | coder.bits(left & ((1 << low) - 1), low)?;
        Ok(LEAST[15] - 1 + all)
    }
}
