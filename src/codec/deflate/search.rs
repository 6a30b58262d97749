//! The tokens that zlib would choose: its greedy and lazy searches along chains of positions with the same hash.

use super::codes::{MAX_MATCH, MIN_MATCH, Token};
use super::work::Work;

/// The settings of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether matches are taken at once, and long ones are not entered into the chains.
    pub fast: bool,
    /// From a match of this length on, the search for a longer one looks at a quarter of the chain.
    pub good: u32,
    /// From a match of this length on, there is no search for a longer one. In fast searches, the longest match that is entered into the chains as a whole.
    pub lazy: u32,
    /// From this length on a search ends.
    pub nice: u32,
    /// The most positions of a chain that are looked at.
    pub chain: u32,
    /// The shortest match that is used, 3..=6.
    pub least: u32,
    /// The longest distance of a match of 3 bytes.
    pub near: u32,
    /// The longest distance.
    pub far: u32,
    /// log2 of the number of chains: 3·shift.
    pub hash_bits: u32,
}

/// Chains of positions by the hash of the three bytes there, for one inside after the other. Kept between insides, so that short ones need not clear them.
pub struct Chains {
    head: Vec<u32>,
    before: Vec<u32>,
    /// The first position of this inside in the chains; smaller ones are of earlier insides.
    base: u32,
    /// Positions of this inside that have been entered or passed by.
    entered: usize,
}

const MASK: usize = (1 << 16) - 1;

impl Chains {
    pub fn new() -> Self {
        Self { head: vec![0; 1 << 16], before: vec![0; 1 << 16], base: 1, entered: 0 }
    }

    /// Starts another inside.
    pub fn restart(&mut self) {
        // Positions are 32 bits, and insides have at most 2^30 bytes.
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

    /// Enters all positions before `end` into the chains that `hash` names, by the three bytes there; below 2^16.
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

    /// Passes over positions without entering them.
    pub fn skip(&mut self, end: usize) {
        self.entered = self.entered.max(end);
    }

    /// The position before `p`, which has been entered, in its chain.
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

/// Predicts token after token of an inside.
pub struct Search<'a> {
    raw: &'a [u8],
    settings: Settings,
    /// The match at the next position that the search for a longer match has found already.
    found: Option<(usize, usize, usize)>,
}

impl<'a> Search<'a> {
    pub fn new(raw: &'a [u8], settings: Settings) -> Self {
        Self { raw, settings, found: None }
    }

    /// The token that is expected at `at`, and the length of the match there that was found, if any.
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

    /// Learns which token stands at `at`.
    #[inline]
    pub fn pass(&mut self, chains: &mut Chains, at: usize, token: Token) {
        if self.settings.fast && token.len() > self.settings.lazy as usize {
            chains.enter(self.raw, at + 1, self.settings.hash_bits);
            chains.skip(at + token.len());
        }
    }

    /// The longest match at `at` of more than `beaten` bytes; 0 without one.
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
        // The first may be as far as `far`, the others are nearer; the first byte of the inside is in no match.
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

    /// The place of a match among the positions of its chain, from the nearest on, where at least `len` bytes match; `None`
    /// where it is not among the first [`PLACES`] positions.
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

    /// The distance of the match of `len` bytes at a place; the inverse of [`Search::place`].
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

/// Positions among which the match of a token that was not expected is looked for.
pub const PLACES: usize = 4096;

/// The number of bytes from the start that two slices have in common.
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
