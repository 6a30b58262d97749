//! The tokens that zlib would choose: its greedy and lazy searches along chains of positions with the same
//! hash.
//!
//! Both searches look at the positions of a chain from the nearest to the farthest and take the longest
//! match. The greedy one (`fast`) takes it at once. The lazy one first looks at the next position: if a
//! longer match starts there, it emits a literal and goes on from that position.

use super::codes::{MAX_MATCH, MIN_MATCH, Token};
use super::work::Work;

/// The settings of a search, named as in zlib's `configuration_table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether matches are taken at once, and the insides of long ones are not entered into the chains.
    pub fast: bool,
    /// Once a match of at least this length is known, the search for a longer one looks at a quarter of the
    /// chain.
    pub good: u32,
    /// Once a match of at least this length is known, there is no search for a longer one at the next
    /// position. In fast searches: the longest match whose positions are all entered into the chains.
    pub lazy: u32,
    /// A match of at least this length ends the search.
    pub nice: u32,
    /// The most positions of a chain that are looked at.
    pub chain: u32,
    /// The shortest match that is used, 3..=6.
    pub least: u32,
    /// The longest distance of a match of three bytes.
    pub near: u32,
    /// The longest distance of any match.
    pub far: u32,
    /// log2 of the number of chains: 3·shift in zlib.
    pub hash_bits: u32,
}

/// Chains of positions that have the same hash of their first three bytes, for one inside after the other.
/// Chains of an earlier inside are told by their smaller positions, so a short inside need not clear the
/// tables.
pub struct Chains {
    head: Vec<u32>,
    before: Vec<u32>,
    /// The position in the chains at which this inside starts; smaller ones belong to earlier insides.
    base: u32,
    /// The number of positions of this inside that have been entered or skipped.
    entered: usize,
}

const MASK: usize = (1 << 16) - 1;

impl Chains {
    pub fn new() -> Self {
        Self { head: vec![0; 1 << 16], before: vec![0; 1 << 16], base: 1, entered: 0 }
    }

    /// Starts another inside.
    pub fn restart(&mut self) {
        // Positions have 32 bits, and an inside has at most 2^30 bytes.
        if u64::from(self.base) + self.entered as u64 > 1 << 31 {
            self.head.fill(0);
            self.base = 1;
        } else {
            self.base += self.entered as u32;
        }
        self.entered = 0;
    }

    /// Enters all positions before `end` by zlib's hash.
    #[inline]
    pub fn enter(&mut self, raw: &[u8], end: usize, hash_bits: u32) {
        let shift = hash_bits.div_ceil(3);
        self.enter_by(raw, end, |[a, b, c]| (a << (2 * shift) ^ b << shift ^ c) & ((1 << hash_bits) - 1));
    }

    /// Enters all positions before `end` into the chain that `hash` (below 2^16) gives for the three bytes
    /// there.
    #[inline]
    pub fn enter_by(&mut self, raw: &[u8], end: usize, hash: impl Fn([u32; 3]) -> u32) {
        let last = end.min(raw.len().saturating_sub(MIN_MATCH - 1));
        while self.entered < last {
            let p = self.entered;
            let slot = &mut self.head[hash([raw[p], raw[p + 1], raw[p + 2]].map(u32::from)) as usize];
            self.before[p & MASK] = *slot;
            *slot = self.base + p as u32;
            self.entered += 1;
        }
        self.entered = self.entered.max(end);
    }

    /// Skips the positions before `end` without entering them.
    pub fn skip(&mut self, end: usize) {
        self.entered = self.entered.max(end);
    }

    /// The position before `p` in the chain of `p`, which must have been entered.
    #[inline(always)]
    pub fn previous(&self, p: usize) -> u32 {
        self.before[p & MASK]
    }

    /// The first position of this inside in the chains.
    #[inline(always)]
    pub fn base(&self) -> u32 {
        self.base
    }
}

/// Predicts the tokens of an inside one after the other.
pub struct Search<'a> {
    raw: &'a [u8],
    settings: Settings,
    /// A match that the lazy search has already found at the next position: position, length and distance.
    found: Option<(usize, usize, usize)>,
}

impl<'a> Search<'a> {
    pub fn new(raw: &'a [u8], settings: Settings) -> Self {
        Self { raw, settings, found: None }
    }

    /// The token expected at `at`, and the length of the match that was found there (0 for none).
    #[inline]
    pub fn predict(&mut self, chains: &mut Chains, at: usize, work: &mut Work) -> (Token, usize) {
        let found = self.found.take().filter(|f| f.0 == at);
        let (len, dist) = match found {
            Some((_, len, dist)) => (len, dist),
            None => self.longest(chains, at, MIN_MATCH - 1, work),
        };
        if len < MIN_MATCH {
            return (Token::LITERAL, 0);
        }
        if !self.settings.fast && len < self.settings.lazy as usize && at + 1 < self.raw.len() {
            let (next, far) = self.longest(chains, at + 1, len, work);
            if next > len {
                self.found = Some((at + 1, next, far));
                return (Token::LITERAL, len);
            }
        }
        (Token::new(len, dist), len)
    }

    /// Takes note of the token that really stands at `at`.
    #[inline]
    pub fn pass(&mut self, chains: &mut Chains, at: usize, token: Token) {
        if self.settings.fast && token.len() > self.settings.lazy as usize {
            chains.enter(self.raw, at + 1, self.settings.hash_bits);
            chains.skip(at + token.len());
        }
    }

    /// The length and distance of the longest match at `at` of more than `beaten` bytes; length 0 where there
    /// is none.
    #[inline]
    fn longest(&self, chains: &mut Chains, at: usize, beaten: usize, work: &mut Work) -> (usize, usize) {
        let s = &self.settings;
        let raw = self.raw;
        let limit = MAX_MATCH.min(raw.len() - at);
        if limit <= beaten || limit < MIN_MATCH {
            return (0, 0);
        }
        chains.enter(raw, at + 1, s.hash_bits);
        let here = chains.base + at as u32;
        let floor = here.saturating_sub(s.far).max(chains.base);
        let nice = (s.nice as usize).min(limit);
        let mut left = if beaten >= s.good as usize { s.chain >> 2 } else { s.chain };
        let (mut best, mut from) = (beaten, 0);
        let mut c = chains.previous(at);
        // The first candidate may be as far as `far`, the others must be nearer. The first byte of the inside
        // is in no match, as in zlib, where its position means the end of a chain.
        if c <= chains.base || here - c > s.far {
            return (0, 0);
        }
        let target = &raw[at..at + limit];
        loop {
            if left == 0 || !work.step() {
                break;
            }
            left -= 1;
            let p = (c - chains.base) as usize;
            let other = &raw[p..p + limit];
            if other[best] == target[best] && other[best - 1] == target[best - 1] {
                let len = common(other, target);
                if len > best {
                    (best, from) = (len, p);
                    if len >= nice {
                        break;
                    }
                }
            }
            let next = chains.previous(p);
            if next <= floor || next >= c {
                break;
            }
            c = next;
        }
        let dist = at - from;
        if best == beaten || best < s.least as usize || best == MIN_MATCH && dist > s.near as usize {
            return (0, 0);
        }
        (best, dist)
    }

    /// The rank of a match's position among those positions of its chain, from the nearest on, at which at
    /// least `len` bytes match; `None` where it is not among the first [`PLACES`] positions of the chain.
    pub fn place(&self, chains: &mut Chains, at: usize, token: Token, work: &mut Work) -> Option<u32> {
        let mut place = 0;
        self.walk(chains, at, token.len(), work, |dist| {
            if dist == token.dist() {
                return true;
            }
            place += 1;
            dist > token.dist()
        })
        .filter(|&dist| dist == token.dist())
        .map(|_| place)
    }

    /// The distance of the match of `len` bytes with this rank; the inverse of [`Search::place`].
    pub fn at_place(
        &self,
        chains: &mut Chains,
        at: usize,
        len: usize,
        place: u32,
        work: &mut Work,
    ) -> Option<usize> {
        let mut left = place;
        self.walk(chains, at, len, work, |_| {
            left = left.wrapping_sub(1);
            left == u32::MAX
        })
    }

    fn walk(
        &self,
        chains: &mut Chains,
        at: usize,
        len: usize,
        work: &mut Work,
        mut is_it: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let raw = self.raw;
        let target = raw.get(at..at + len)?;
        chains.enter(raw, at + 1, self.settings.hash_bits);
        let here = chains.base + at as u32;
        let mut c = chains.previous(at);
        let mut last = here;
        for _ in 0..PLACES {
            if c < chains.base || c >= last || here - c > 1 << 15 || !work.step() {
                return None;
            }
            last = c;
            let p = (c - chains.base) as usize;
            if raw[p..p + len] == *target && is_it(at - p) {
                return Some(at - p);
            }
            c = chains.previous(p);
        }
        None
    }
}

/// The number of chain positions among which an unexpected token's match is looked for.
pub const PLACES: usize = 4096;

/// The length of the longest common prefix of two slices.
#[inline(always)]
pub fn common(a: &[u8], b: &[u8]) -> usize {
    let n = a.len().min(b.len());
    let mut i = 0;
    while i + 8 <= n {
        let word = |s: &[u8]| {
            u64::from_le_bytes([s[i], s[i + 1], s[i + 2], s[i + 3], s[i + 4], s[i + 5], s[i + 6], s[i + 7]])
        };
        let differ = word(a) ^ word(b);
        if differ != 0 {
            return i + (differ.trailing_zeros() / 8) as usize;
        }
        i += 8;
    }
    while i < n && a[i] == b[i] {
        i += 1;
    }
    i
}
