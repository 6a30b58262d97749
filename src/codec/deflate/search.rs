//! The tokens that zlib would choose: its greedy and lazy searches along chains of positions with the same
//! hash.
//!
//! Both searches look at the positions of a chain from the nearest to the farthest and take the longest
//! match. The greedy one (`fast`) takes it at once. The lazy one first looks at the next position: if a
//! longer match starts there, it emits a literal and goes on from that position.

use super::chains::{Chains, Links};
use super::codes::{MAX_MATCH, MIN_MATCH, Token};
use super::ranks::LONG;
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

/// What a search for the longest match may look at.
#[derive(Clone, Copy)]
struct Reach {
    at: usize,
    /// The most bytes of a match, and the number that it must exceed.
    limit: usize,
    beaten: usize,
    /// The most positions of the chain.
    most: u32,
    /// The length of a match that ends the search.
    nice: usize,
}

/// A match: its bytes and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    len: usize,
    from: usize,
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
            self.enter(chains, at);
            chains.skip(at + token.len());
        }
    }

    /// Enters position `at` into the chains.
    #[inline(always)]
    fn enter(&self, chains: &mut Chains, at: usize) {
        let bits = self.settings.hash_bits;
        let shift = bits.div_ceil(3);
        let hash = |bytes: [u8; 3]| {
            let [a, b, c] = bytes.map(u32::from);
            ((a << (2 * shift) ^ b << shift ^ c) & ((1 << bits) - 1)) as u16
        };
        if self.settings.fast {
            chains.enter(self.raw, at + 1, hash);
        } else {
            // Position 0 is in no match. That one at a distance of `far` may be in one is seen to elsewhere.
            let far = self.settings.far as usize;
            chains.enter_ranked(self.raw, at + 1, hash, |p| (p + 1).saturating_sub(far).max(1));
        }
    }

    /// The length and distance of the longest match at `at` of more than `beaten` bytes; length 0 where there
    /// is none.
    #[inline]
    fn longest(&self, chains: &mut Chains, at: usize, beaten: usize, work: &mut Work) -> (usize, usize) {
        let s = &self.settings;
        let limit = MAX_MATCH.min(self.raw.len() - at);
        if limit <= beaten || limit < MIN_MATCH || work.is_spent() {
            return (0, 0);
        }
        self.enter(chains, at);
        // The first candidate may be as far as `far`, the others must be nearer. The first byte of the inside
        // is in no match, as in zlib, where its position means the end of a chain.
        let first = chains.previous(at);
        let far = (chains.base() + at as u32).saturating_sub(first);
        if first <= chains.base() || far > s.far {
            return (0, 0);
        }
        let most = if beaten >= s.good as usize { s.chain >> 2 } else { s.chain };
        let reach = Reach { at, limit, beaten, most, nice: (s.nice as usize).min(limit) };
        let ranked = !s.fast && reach.nice >= LONG[LONG.len() - 1] && far < s.far;
        let found = ranked.then(|| self.along_ranks(chains, &reach, work)).flatten();
        let found = found.unwrap_or_else(|| self.along_chain(chains, &reach, work));
        let dist = at - found.from;
        if found.len == beaten
            || found.len < s.least as usize
            || found.len == MIN_MATCH && dist > s.near as usize
        {
            return (0, 0);
        }
        (found.len, dist)
    }

    /// The longest match, in steps along the chain; one of `beaten` bytes where there is none.
    fn along_chain(&self, chains: &Chains, reach: &Reach, work: &mut Work) -> Found {
        let nearest = Found { len: reach.beaten, from: 0 };
        let (found, steps) = self.best_along(chains.links(), chains.base(), reach, nearest, |_| true);
        work.steps(steps);
        found
    }

    /// The match that [`Self::along_chain`] finds, in fewer steps: first among the positions that agree in most
    /// bytes; where none of them is a match, it is shorter than that. `None` where these chains are long for
    /// other reasons. The steps that the plain search would have taken are counted.
    ///
    /// Matches that end the search must have [`LONG`] bytes, and the first position be nearer than `far`.
    fn along_ranks(&self, chains: &Chains, reach: &Reach, work: &mut Work) -> Option<Found> {
        let ranks = chains.ranks();
        let most = u32::from(ranks.near(reach.at)).min(reach.most);
        let mut longest = reach.limit;
        let mut found = Found { len: reach.beaten, from: 0 };
        for kind in (0..=LONG.len()).rev() {
            let (links, least) = match kind {
                0 => (chains.links(), MIN_MATCH),
                _ => (ranks.long(kind - 1), LONG[kind - 1]),
            };
            let none = Found { len: reach.beaten.max(least - 1), from: 0 };
            if none.len >= longest {
                break;
            }
            let seen = |p| u32::from(ranks.steps(reach.at, p)) <= most;
            let part = Reach { most, nice: longest.min(reach.nice), ..*reach };
            let (best, steps) = self.best_along(links, chains.base(), &part, none, seen);
            if kind > 0 && steps == most && !(best.from > 0 && best.len >= part.nice) {
                return None;
            }
            if best.from > 0 {
                found = best;
                break;
            }
            longest = least - 1;
        }
        let ended = found.from > 0 && found.len >= reach.nice;
        work.steps(if ended { ranks.steps(reach.at, found.from).into() } else { most });
        Some(found)
    }

    /// Goes along the chain of `links`, of positions that start at `base`, up to the first match that ends the search.
    /// Returns the longest match among those that are `seen`, `best` if none is longer, and the number of steps.
    #[inline(always)]
    fn best_along(
        &self,
        links: &Links,
        base: u32,
        reach: &Reach,
        mut best: Found,
        seen: impl Fn(usize) -> bool,
    ) -> (Found, u32) {
        let floor = (base + reach.at as u32).saturating_sub(self.settings.far).max(base);
        let target = &self.raw[reach.at..reach.at + reach.limit];
        let mut c = links.previous(reach.at);
        let mut steps = 0;
        while steps < reach.most && c >= floor && c > base {
            steps += 1;
            let p = (c - base) as usize;
            let other = &self.raw[p..p + reach.limit];
            if other[best.len] == target[best.len] && other[best.len - 1] == target[best.len - 1] {
                let len = common(other, target);
                if len > best.len {
                    if !seen(p) {
                        break;
                    }
                    best = Found { len, from: p };
                    if len >= reach.nice {
                        break;
                    }
                }
            }
            c = links.previous(p);
            if c <= floor {
                break;
            }
        }
        (best, steps)
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
        self.enter(chains, at);
        let base = chains.base();
        let here = base + at as u32;
        let mut c = chains.previous(at);
        let mut last = here;
        for _ in 0..PLACES {
            if c < base || c >= last || here - c > 1 << 15 || !work.step() {
                return None;
            }
            last = c;
            let p = (c - base) as usize;
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

#[cfg(test)]
mod tests {
    use super::super::method::DEFAULT;
    use super::super::ranks::tests::repetitive;
    use super::*;

    /// Ranks and longer chains find what steps along the chain find, and count the same steps.
    #[test]
    fn ranks_change_nothing() {
        let raw = repetitive(150_000);
        let settings = [
            DEFAULT,
            Settings { chain: 4096, nice: 258, ..DEFAULT },
            Settings { chain: 3, nice: 12, good: 4, far: 300, ..DEFAULT },
            Settings { chain: 500, far: 1 << 15, hash_bits: 16, least: 6, ..DEFAULT },
        ];
        let mut chains = Chains::new();
        for (i, settings) in settings.into_iter().cycle().take(8).enumerate() {
            chains.restart();
            let raw = &raw[..raw.len() >> (i % 3)];
            let search = Search::new(raw, settings);
            let (mut found, mut fast) = (0, 0);
            for at in 1..raw.len() - MAX_MATCH {
                search.enter(&mut chains, at);
                let dist = (chains.base() + at as u32).saturating_sub(chains.previous(at));
                if chains.previous(at) <= chains.base() || dist >= settings.far {
                    continue;
                }
                let beaten = [2, 3, 6, 30][at % 4];
                let (most, nice) = (settings.chain, settings.nice as usize);
                let reach = Reach { at, limit: MAX_MATCH, beaten, most, nice };
                let (mut plain, mut ranked) = (Work::new(raw.len()), Work::new(raw.len()));
                let expected = search.along_chain(&chains, &reach, &mut plain);
                let actual = search.along_ranks(&chains, &reach, &mut ranked);
                found += 1;
                if let Some(actual) = actual {
                    assert_eq!((actual, ranked), (expected, plain), "{at} {settings:?}");
                    fast += 1;
                }
            }
            assert!(fast > found / 2, "{fast} of {found}");
        }
    }
}
