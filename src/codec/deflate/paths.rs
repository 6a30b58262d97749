//! The tokens of an encoder that looks for the cheapest way through a block, as zopfli does: for each
//! position, the tokens that it may have chosen, ordered by their cost including that of the block's rest.
//!
//! Costs of the rest are computed from the end backwards, segment by segment. At a segment's end the true
//! cost of what follows is not known; each segment is therefore looked at with [`AHEAD`] more positions,
//! after which the rest is taken to cost nothing, and only choices at its own positions are used.

use super::chains::Chains;
use super::codes::{
    DIST_EXTRA, END, FIRST_LEN, LEN_EXTRA, MAX_MATCH, MIN_MATCH, Token, WINDOW, dist_symbol, len_symbol,
};
use super::ranks::LONG;
use super::search::common;
use super::work::Work;
use std::ops::Range;

/// The number of positions whose matches are kept at a time; then the number of further positions that costs
/// look ahead.
pub const SEGMENT: usize = 1 << 16;
const AHEAD: usize = 1 << 10;
/// The most matches that are kept for one position.
const MOST: usize = 32;
/// The cost of a symbol that has no code.
const NEVER: u32 = 1 << 20;
/// The upper bound for the cost of the rest of a block.
const CEILING: u32 = 1 << 30;

/// floor(256·log2(n)) by repeated squaring, for n in 1..2^32.
pub fn log2(n: u32) -> u32 {
    let log = n.ilog2();
    let mut x = u64::from(n) << (31 - log);
    let mut result = log;
    for _ in 0..8 {
        x = (x * x) >> 31;
        let carry = (x >> 32) as u32;
        x >>= carry;
        result = result << 1 | carry;
    }
    result
}

/// The cost of each symbol of a block's tokens, extra bits included, in 1/256 bits.
#[derive(Debug, Clone)]
pub struct Costs {
    pub literal: [u32; 256],
    pub len: [u32; MAX_MATCH + 1],
    pub dist: [u32; 30],
}

impl Costs {
    /// Costs from the code length of each symbol.
    pub fn of_lengths(litlen: &[u8], dist: &[u8]) -> Self {
        let cost = |lens: &[u8], i: usize| match lens.get(i) {
            Some(&len) if len > 0 => 256 * u32::from(len),
            _ => NEVER,
        };
        Self::of(|i| cost(litlen, i), |i| cost(dist, i))
    }

    /// Costs from how often each symbol occurs.
    pub fn of_counts(litlen: &[u32], dist: &[u32]) -> Self {
        let total = |counts: &[u32]| counts.iter().fold(0u32, |a, &b| a.saturating_add(b)).max(1);
        let (all, far) = (log2(total(litlen)), log2(total(dist)));
        let cost = |counts: &[u32], all: u32, i: usize| match counts.get(i) {
            Some(&n) if n > 0 => all - log2(n),
            _ => NEVER,
        };
        Self::of(|i| cost(litlen, all, i), |i| cost(dist, far, i))
    }

    fn of(litlen: impl Fn(usize) -> u32, dist: impl Fn(usize) -> u32) -> Self {
        let mut costs = Self { literal: [0; 256], len: [NEVER; MAX_MATCH + 1], dist: [0; 30] };
        (0..END).for_each(|i| costs.literal[i] = litlen(i));
        for len in MIN_MATCH..=MAX_MATCH {
            let symbol = len_symbol(len);
            costs.len[len] = litlen(FIRST_LEN + symbol) + 256 * u32::from(LEN_EXTRA[symbol]);
        }
        (0..30).for_each(|i| costs.dist[i] = dist(i) + 256 * u32::from(DIST_EXTRA[i]));
        costs
    }
}

/// The chain of a position, by a hash in which all of its first three bytes count alike.
fn chain_of(bytes: [u8; 3]) -> u16 {
    let [a, b, c] = bytes.map(u32::from);
    ((a | b << 8 | c << 16).wrapping_mul(0x9E37_79B1) >> 16) as u16
}

/// The choices and costs at the positions of a segment, and at those after it to which costs look ahead.
pub struct Paths {
    start: usize,
    /// The first position that must not be asked for.
    end: usize,
    /// For each position, the index in `matches` of its first match.
    first: Vec<u32>,
    /// The matches of each position as length and distance − 1, in rising order of both.
    matches: Vec<(u16, u16)>,
    /// The cost of the block from each position to its end.
    rest: Vec<u32>,
}

/// A token that may stand at a position, as its cost and its length (0 for a literal).
pub type Choice = (u32, u16);

impl Paths {
    pub fn new() -> Self {
        Self { start: 0, end: 0, first: Vec::new(), matches: Vec::new(), rest: Vec::new() }
    }

    /// Computes matches and costs for the first segment of `start..end`, the rest of a block's raw bytes.
    pub fn look(
        &mut self,
        links: &mut Chains,
        raw: &[u8],
        Range { start: at, end }: Range<usize>,
        chain: usize,
        costs: &Costs,
        work: &mut Work,
    ) {
        let known = end.min(at + SEGMENT + AHEAD);
        (self.start, self.end) = (at, end.min(at + SEGMENT));
        self.first.clear();
        self.matches.clear();
        for p in at..known {
            self.first.push(self.matches.len() as u32);
            // All positions of the window are in reach.
            links.enter_ranked(raw, p + 1, chain_of, |p| p.saturating_sub(WINDOW));
            let limit = MAX_MATCH.min(end - p);
            if limit >= MIN_MATCH && !work.is_spent() {
                let raw = &raw[..p + limit];
                let kinds = if limit >= LONG[LONG.len() - 1] { LONG.len() } else { 0 };
                if !self.find(links, raw, p, chain, kinds, work) {
                    self.find(links, raw, p, chain, 0, work);
                }
            }
        }
        self.first.push(self.matches.len() as u32);
        let n = known - at;
        self.rest.clear();
        self.rest.resize(n + MAX_MATCH, 0);
        for i in (0..n).rev() {
            let mut best = costs.literal[usize::from(raw[at + i])] + self.rest[i + 1];
            let mut len = MIN_MATCH;
            for &(longest, dist) in &self.matches[self.first[i] as usize..self.first[i + 1] as usize] {
                let far = costs.dist[dist_symbol(usize::from(dist) + 1)];
                let to = usize::from(longest) + 1;
                for (cost, rest) in costs.len[len..to].iter().zip(&self.rest[i + len..i + to]) {
                    best = best.min(far + cost + rest);
                }
                len = to;
            }
            self.rest[i] = best.min(CEILING);
        }
    }

    /// Appends the matches of position `p`, which end with `raw`. Once they are long enough, it goes along the
    /// first `kinds` longer chains instead of the plain one; false, and no matches, where these have too many
    /// other positions. The steps that the plain chain takes are counted.
    #[inline]
    fn find(
        &mut self,
        chains: &Chains,
        raw: &[u8],
        p: usize,
        chain: usize,
        kinds: usize,
        work: &mut Work,
    ) -> bool {
        let target = &raw[p..];
        let (base, ranks) = (chains.base(), chains.ranks());
        let floor = (base + p as u32).saturating_sub(WINDOW as u32).max(base);
        let most = usize::from(ranks.near(p)).min(chain);
        let (known, mut best, mut steps) = (self.matches.len(), MIN_MATCH - 1, most);
        let (mut links, mut kind, mut left) = (chains.links(), 0, most);
        let mut c = links.previous(p);
        while c >= floor {
            if left == 0 {
                if kind == 0 {
                    break;
                }
                self.matches.truncate(known);
                return false;
            }
            left -= 1;
            let q = (c - base) as usize;
            let other = &raw[q..q + target.len()];
            if other[best] == target[best] && other[best - 1] == target[best - 1] {
                let len = common(other, target);
                if len > best {
                    let back = usize::from(ranks.steps(p, q));
                    if back > most {
                        break;
                    }
                    best = len;
                    self.matches.push((len as u16, (p - q - 1) as u16));
                    if len == target.len() || self.matches.len() == known + MOST {
                        steps = back;
                        break;
                    }
                    let longest = LONG[..kinds].iter().take_while(|least| **least <= best + 1).count();
                    if longest > kind {
                        (kind, left) = (longest, most);
                        links = ranks.long(kind - 1);
                        let nearer = c;
                        c = links.previous(p);
                        while c >= nearer && left > 0 {
                            left -= 1;
                            c = links.previous((c - base) as usize);
                        }
                        continue;
                    }
                }
            }
            c = links.previous(q);
        }
        work.steps(steps as u32);
        true
    }

    /// The end of the segment.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The cheapest token at `at` that comes after `after` in order of cost (of equal cost, the shorter one
    /// first); `None` where there is no further one.
    #[inline]
    pub fn next(&self, raw: &[u8], at: usize, costs: &Costs, after: Option<Choice>) -> Option<Choice> {
        let i = at - self.start;
        let mut best: Option<Choice> = None;
        let mut consider = |choice: Choice| {
            if after.is_none_or(|a| choice > a) && best.is_none_or(|b| choice < b) {
                best = Some(choice);
            }
        };
        let literal = costs.literal[usize::from(raw[at])];
        if literal < NEVER {
            consider((literal + self.rest[i + 1], 0));
        }
        let mut len = MIN_MATCH;
        for &(longest, dist) in &self.matches[self.first[i] as usize..self.first[i + 1] as usize] {
            let far = costs.dist[dist_symbol(usize::from(dist) + 1)];
            let to = usize::from(longest) + 1;
            if far < NEVER {
                for l in len..to {
                    if costs.len[l] < NEVER {
                        consider((far + costs.len[l] + self.rest[i + l], l as u16));
                    }
                }
            }
            len = to;
        }
        best
    }

    /// The token that a choice at `at` stands for.
    pub fn token(&self, at: usize, choice: Choice) -> Token {
        let i = at - self.start;
        let matches = &self.matches[self.first[i] as usize..self.first[i + 1] as usize];
        match matches.iter().find(|m| m.0 >= choice.1) {
            Some(&(_, dist)) if choice.1 > 0 => Token::new(choice.1.into(), usize::from(dist) + 1),
            _ => Token::LITERAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranks::tests::repetitive;
    use super::*;

    /// The longer chains find the same matches, and the same steps are counted.
    #[test]
    fn longer_chains_find_the_same_matches() {
        let raw = repetitive(100_000);
        for chain in [1, 20, 8192] {
            let (mut links, mut paths) = (Chains::new(), Paths::new());
            let mut found = 0;
            for p in 0..raw.len() - MAX_MATCH {
                links.enter_ranked(&raw, p + 1, chain_of, |p| p.saturating_sub(WINDOW));
                let (mut plain, mut long) = (Work::new(raw.len()), Work::new(raw.len()));
                let raw = &raw[..p + MAX_MATCH];
                paths.matches.clear();
                assert!(paths.find(&links, raw, p, chain, 0, &mut plain));
                let expected = std::mem::take(&mut paths.matches);
                if paths.find(&links, raw, p, chain, LONG.len(), &mut long) {
                    assert_eq!((&paths.matches, long), (&expected, plain), "{p} {chain}");
                    found += 1;
                }
            }
            // Of a chain of one position nothing is gained.
            assert!(chain == 1 || found > raw.len() / 2, "{chain}: {found}");
        }
    }
}
