//! Chains of positions that start alike, for one inside after the other.

use super::codes::MIN_MATCH;
use super::ranks::Ranks;

/// Links are kept of the last 2^16 positions: a window, and what is entered ahead.
pub const MASK: usize = (1 << 16) - 1;
/// The number of chains.
pub const HASHES: usize = 1 << 16;
/// How many positions [`Chains::enter_ranked`] enters ahead.
const AHEAD: usize = 4096;

/// The latest position of each hash, and for each position the one before it that has the same hash.
pub struct Links {
    head: Vec<u32>,
    before: Vec<u32>,
}

impl Links {
    pub fn new() -> Self {
        Self { head: vec![0; HASHES], before: vec![0; MASK + 1] }
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.head.fill(0);
    }

    /// Makes the chain of position `p` empty.
    pub fn cut(&mut self, p: usize) {
        self.before[p & MASK] = 0;
    }

    /// The position before `p` in the chain of `p`.
    #[inline(always)]
    pub fn previous(&self, p: usize) -> u32 {
        self.before[p & MASK]
    }

    /// Enters position `p` of the inside whose positions start at `base`.
    #[inline(always)]
    pub fn enter(&mut self, base: u32, p: usize, hash: usize) {
        let slot = &mut self.head[hash];
        self.before[p & MASK] = *slot;
        *slot = base + p as u32;
    }
}

/// Chains of positions that have the same hash of their first three bytes.
///
/// Positions count on from one inside to the next: those of earlier insides are smaller than the base, so a
/// short inside need not clear the tables.
pub struct Chains {
    links: Links,
    /// The position in the chains at which this inside starts.
    base: u32,
    /// The number of positions of this inside that have been entered or skipped.
    entered: usize,
    ranks: Ranks,
}

impl Chains {
    pub fn new() -> Self {
        Self { links: Links::new(), base: 1, entered: 0, ranks: Ranks::new() }
    }

    /// Starts another inside.
    pub fn restart(&mut self) {
        self.ranks.restart();
        // Positions have 32 bits, and an inside has at most 2^30 bytes.
        if u64::from(self.base) + self.entered as u64 > 1 << 31 {
            self.links.clear();
            self.ranks.clear();
            self.base = 1;
        } else {
            self.base += self.entered as u32;
        }
        self.entered = 0;
    }

    /// Enters all positions before `end` into the chain that `hash` (below 2^16) gives for the three bytes
    /// there.
    #[inline]
    pub fn enter(&mut self, raw: &[u8], end: usize, hash: impl Fn([u8; 3]) -> u16) {
        let last = end.min(raw.len().saturating_sub(MIN_MATCH - 1));
        while self.entered < last {
            let p = self.entered;
            self.links.enter(self.base, p, hash([raw[p], raw[p + 1], raw[p + 2]]).into());
            self.entered += 1;
        }
        self.skip(end);
    }

    /// Skips the positions before `end` without entering them.
    pub fn skip(&mut self, end: usize) {
        self.entered = self.entered.max(end);
    }

    /// Enters all positions before `end`, and others ahead, so that the processor need not wait for each. Their
    /// ranks are known then, too. No position of the inside may be skipped; `first` gives the first position
    /// that is in reach of a position, never less than for the one before.
    #[inline]
    pub fn enter_ranked(
        &mut self,
        raw: &[u8],
        end: usize,
        hash: impl Fn([u8; 3]) -> u16,
        first: impl Fn(usize) -> usize,
    ) {
        if end <= self.entered {
            return;
        }
        let from = self.entered;
        let last = (end + AHEAD).min(raw.len()).saturating_sub(MIN_MATCH - 1).max(from);
        for p in from..last {
            let hash = hash([raw[p], raw[p + 1], raw[p + 2]]);
            self.links.enter(self.base, p, hash.into());
            self.ranks.enter(p, hash, first(p));
        }
        self.ranks.link(raw, self.base, from..last);
        self.entered = last;
    }

    /// The position before `p` in the chain of `p`, which must have been entered.
    #[inline(always)]
    pub fn previous(&self, p: usize) -> u32 {
        self.links.previous(p)
    }

    /// The first position of this inside in the chains.
    #[inline(always)]
    pub fn base(&self) -> u32 {
        self.base
    }

    pub fn links(&self) -> &Links {
        &self.links
    }

    /// What is known of positions that [`Self::enter_ranked`] entered.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }
}
