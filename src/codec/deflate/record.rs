//! Codes how a deflate stream was made from its inside: blocks, headers and tokens, as differences from the
//! choices of a known search. The same functions encode and decode.
//!
//! An encoder of deflate is deterministic: who knows its search and its settings also knows its tokens. So a
//! record need not repeat them. At each position both directions run the search on the inside, and one
//! adaptive bit says whether the stream has the expected token; only where it has not is the token itself
//! coded. A stream that a known search explains well costs a few bytes, whatever its length.

use super::adaptive::Coder;
use super::chains::Chains;
use super::codes::{Counts, DIST_EXTRA, DISTS, FIRST_LEN, LEN_EXTRA, LITLEN, MIN_MATCH, Token, fixed};
use super::inflate::{Block, Kind, Parsed};
use super::method::{DEFAULT, Method, corrupt, method};
use super::models::{Models, gap};
use super::output::Output;
use super::paths::{Choice, Costs, Paths};
use super::search::{Search, Settings};
use super::tree::{Expected, tree};
use super::work::Work;
use crate::error::Result;

/// The number of ranks, by cost, at which a token is coded as a choice; others are coded explicitly.
const RANKS: usize = 12;
/// The most tokens of a block.
const MOST_TOKENS: usize = 1 << 22;
/// The number of bits of an explicit distance.
const DIST_BITS: u32 = 15;

/// The state that is kept from stream to stream, apart from models.
pub struct State {
    method: Method,
    /// The number of tokens in a full block.
    full: u32,
    chains: Chains,
    links: Chains,
    paths: Paths,
}

impl State {
    pub fn new() -> Self {
        Self {
            method: Method::Search(DEFAULT),
            full: 16383,
            chains: Chains::new(),
            links: Chains::new(),
            paths: Paths::new(),
        }
    }
}

/// Codes one stream. `given` holds the stream and its method in encoding, and is `None` in decoding, where
/// `out` receives the stream.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] and [`crate::ErrorKind::Truncated`] for records that no encoder writes.
pub fn stream<C: Coder>(
    c: &mut C,
    m: &mut Models,
    state: &mut State,
    raw: &[u8],
    given: Option<(&Parsed, Method)>,
    out: &mut Output,
) -> Result<()> {
    state.method = method(c, m, state.method, given.map(|g| g.1))?;
    state.chains.restart();
    state.links.restart();
    let given = given.map(|g| g.0);
    let mut coding = Coding {
        c,
        m,
        raw,
        out,
        work: Work::new(raw.len()),
        at: 0,
        litlen: Vec::new(),
        dist: Vec::new(),
        kind: 3,
        tokens: Vec::new(),
        decodes: given.is_none(),
    };
    let mut blocks = given.map(|g| g.blocks.iter());
    loop {
        let block = blocks.as_mut().and_then(Iterator::next);
        let tokens = given.zip(block).map_or(&[][..], |(g, b)| &g.tokens[b.tokens.clone()]);
        if coding.block(state, block, tokens)? {
            break;
        }
    }
    if coding.at != raw.len() {
        return Err(corrupt("that leaves bytes of its inside"));
    }
    let padding = given.map_or(0, |g| g.padding);
    coding.padding(1, padding);
    coding.out.settle();
    coding.c.check()
}

struct Coding<'a, C> {
    c: &'a mut C,
    m: &'a mut Models,
    raw: &'a [u8],
    out: &'a mut Output,
    work: Work,
    /// The number of bytes of the inside that finished blocks stand for.
    at: usize,
    /// The code lengths of the last block with codes of its own.
    litlen: Vec<u8>,
    dist: Vec<u8>,
    /// The kind of the last block; 3 before the first one.
    kind: usize,
    /// The tokens of the current block.
    tokens: Vec<Token>,
    decodes: bool,
}

impl<C: Coder> Coding<'_, C> {
    /// Codes a block. Returns true for the last one.
    fn block(&mut self, state: &mut State, given: Option<&Block>, tokens: &[Token]) -> Result<bool> {
        self.c.check()?;
        let finished = self.at == self.raw.len();
        let last = self.c.flag(&mut self.m.last[usize::from(finished)], given.is_some_and(|b| b.last));
        let number = match given.map(|b| &b.kind) {
            Some(Kind::Stored { .. }) => 0,
            Some(Kind::Fixed) => 1,
            _ => 2,
        };
        self.kind = self.c.tree(&mut self.m.kind[self.kind], 2, number) as usize;
        match (self.kind, state.method) {
            (0, _) => self.stored(last, given)?,
            (1 | 2, Method::Search(settings)) => self.searched(state, settings, last, given, tokens)?,
            (1 | 2, Method::Paths { chain, counted }) => {
                self.chosen(state, chain as usize, counted, last, given, tokens)?;
            }
            _ => return Err(corrupt("with a block of no kind")),
        }
        if self.work.is_spent() {
            return Err(corrupt("that takes too many steps"));
        }
        self.c.check()?;
        Ok(last)
    }

    /// Codes the padding bits up to the next byte.
    fn padding(&mut self, which: usize, given: u8) -> u8 {
        let mut value = 0;
        if !self.c.flag(&mut self.m.padding[which], given == 0) {
            value = self.c.tree(&mut self.m.bits[which], 7, given.into()) as u8;
        }
        if self.decodes {
            let bits = self.out.to_byte();
            self.out.put(u32::from(value) & ((1 << bits) - 1), bits);
        }
        value
    }

    fn stored(&mut self, last: bool, given: Option<&Block>) -> Result<()> {
        let len = self.c.number(&mut self.m.stored, given.map_or(0, |b| b.raw.len() as u32)) as usize;
        let padding = match given.map(|b| &b.kind) {
            Some(Kind::Stored { padding }) => *padding,
            _ => 0,
        };
        let bytes = self.raw.get(self.at..self.at + len).filter(|_| len < 1 << 16);
        let bytes = bytes.ok_or_else(|| corrupt("with a stored block that is too long"))?;
        if self.decodes {
            self.out.header(last, &Kind::Stored { padding });
        }
        self.padding(0, padding);
        if self.decodes {
            self.out.expect(len + 4)?;
            self.out.put(len as u32, 16);
            self.out.put(!(len as u32) & 0xFFFF, 16);
            self.out.settle();
            self.out.bytes.extend_from_slice(bytes);
        }
        self.at += len;
        Ok(())
    }

    /// Writes the block that starts at `start` of the inside and has the tokens gathered; does nothing in
    /// encoding.
    fn write(&mut self, last: bool, kind: &Kind, start: usize) -> Result<()> {
        if !self.decodes {
            return Ok(());
        }
        let raw = &self.raw[start..self.at];
        self.out.header(last, kind);
        match kind {
            Kind::Dynamic(tree) => {
                let counts = Counts::of(&self.tokens, raw);
                let all = |counts: &[u32], lens: &[u8]| {
                    counts.iter().enumerate().all(|(i, &n)| n == 0 || lens.get(i).is_some_and(|l| *l > 0))
                };
                if !all(&counts.litlen, &tree.litlen) || !all(&counts.dist, &tree.dist) {
                    return Err(corrupt("with a symbol that has no code"));
                }
                self.out.expect(bits(&counts, &tree.litlen, &tree.dist).div_ceil(8) as usize)?;
                self.out.tokens(&self.tokens, raw, &tree.litlen, &tree.dist);
            }
            _ => {
                let (litlen, dist) = fixed();
                let counts = Counts::of(&self.tokens, raw);
                self.out.expect(bits(&counts, &litlen, &dist) as usize / 8)?;
                self.out.tokens(&self.tokens, raw, &litlen, &dist);
            }
        }
        Ok(())
    }

    /// Codes a block whose tokens are predicted by zlib's search. Its header comes after its tokens, since it
    /// is predicted from their counts.
    fn searched(
        &mut self,
        state: &mut State,
        settings: Settings,
        last: bool,
        given: Option<&Block>,
        tokens: &[Token],
    ) -> Result<()> {
        let start = self.at;
        let mut count = usize::MAX;
        if !last {
            if !self.c.flag(&mut self.m.count_same, tokens.len() == state.full as usize) {
                state.full = self.c.number(&mut self.m.count, tokens.len() as u32);
            }
            count = state.full as usize;
        }
        self.tokens.clear();
        let mut search = Search::new(self.raw, settings);
        let mut history = 0;
        let mut given_tokens = tokens.iter();
        while self.tokens.len() < count && self.at < self.raw.len() {
            let (expected, len) = search.predict(&mut state.chains, self.at, &mut self.work);
            let actual = given_tokens.next().copied().unwrap_or_default();
            let what = match (expected.is_literal(), len) {
                (true, 0) => 0,
                (true, _) => 1,
                (false, n) => 2 + n.ilog2() as usize,
            };
            let right = self.c.flag(&mut self.m.right[what][history], actual == expected);
            history = ((2 * history) & 7) | usize::from(!right);
            let token = if right { expected } else { self.other(state, &search, expected, what, actual)? };
            search.pass(&mut state.chains, self.at, token);
            self.push(token)?;
            if self.at > self.raw.len() {
                return Err(corrupt("with a match past the end"));
            }
        }
        if !last && self.tokens.len() < count {
            return Err(corrupt("with more tokens than bytes"));
        }
        let kind = if self.kind == 1 {
            Kind::Fixed
        } else {
            let expected = Expected::of(&Counts::of(&self.tokens, &self.raw[start..self.at]));
            Kind::Dynamic(self.tree(&expected, given)?)
        };
        self.write(last, &kind, start)
    }

    /// Appends a token to the block and moves on by its length.
    fn push(&mut self, token: Token) -> Result<()> {
        if self.tokens.len() == MOST_TOKENS {
            return Err(corrupt("with a block of too many tokens"));
        }
        self.tokens.push(token);
        self.at += token.span();
        Ok(())
    }

    /// Codes a token that is not the expected one.
    fn other(
        &mut self,
        state: &mut State,
        search: &Search<'_>,
        expected: Token,
        what: usize,
        actual: Token,
    ) -> Result<Token> {
        self.c.check()?;
        let m = &mut *self.m;
        if !expected.is_literal() && self.c.flag(&mut m.literal[what], actual.is_literal()) {
            return Ok(Token::LITERAL);
        }
        let known = !expected.is_literal();
        let mut len = expected.len();
        if !known || !self.c.flag(&mut m.len_same[0], actual.len() == len) {
            let value = actual.len().saturating_sub(MIN_MATCH) as u32;
            len = MIN_MATCH + self.c.tree(&mut m.lens[usize::from(known)], 8, value) as usize;
        }
        if self.at + len > self.raw.len() {
            return Err(corrupt("with a match past the end"));
        }
        let place = if self.decodes {
            None
        } else {
            search.place(&mut state.chains, self.at, actual, &mut self.work)
        };
        let place = self.c.number(&mut m.places[usize::from(known)], place.map_or(0, |p| p + 1));
        let dist = match place {
            0 => {
                let value = actual.dist().wrapping_sub(1) as u32 & 0x7FFF;
                return self.explicit_dist(len, value);
            }
            place if self.decodes => {
                search.at_place(&mut state.chains, self.at, len, place - 1, &mut self.work)
            }
            _ => Some(actual.dist()),
        };
        dist.map(|d| Token::new(len, d)).ok_or_else(|| corrupt("with a match that is not there"))
    }

    /// Codes a distance by its bits.
    fn explicit_dist(&mut self, len: usize, value: u32) -> Result<Token> {
        let low = DIST_BITS - 8;
        let high = self.c.tree(&mut self.m.far, 8, value >> low);
        let dist =
            1 + (high << low | self.c.tree(&mut self.m.far_low, low, value & ((1 << low) - 1))) as usize;
        let at = self.at;
        let there = at.checked_sub(dist).filter(|_| at + len <= self.raw.len());
        if there.is_none_or(|p| self.raw[p..p + len] != self.raw[at..at + len]) {
            return Err(corrupt("with a match that is not there"));
        }
        Ok(Token::new(len, dist))
    }

    fn tree(&mut self, expected: &Expected, given: Option<&Block>) -> Result<super::inflate::Tree> {
        let given = given.and_then(|b| match &b.kind {
            Kind::Dynamic(tree) => Some(tree),
            _ => None,
        });
        let tree = tree(self.c, &mut self.m.tree, expected, given)?;
        self.litlen.clone_from(&tree.litlen);
        self.dist.clone_from(&tree.dist);
        Ok(tree)
    }

    /// Codes a block whose tokens are ranked by cost. Its header comes before its tokens, since costs depend
    /// on it.
    fn chosen(
        &mut self,
        state: &mut State,
        chain: usize,
        counted: bool,
        last: bool,
        given: Option<&Block>,
        tokens: &[Token],
    ) -> Result<()> {
        let start = self.at;
        let mut end = self.raw.len();
        if !last {
            let len = self.c.number(&mut self.m.raw_len, given.map_or(0, |b| b.raw.len() as u32)) as usize;
            end = start + len;
            if end > self.raw.len() {
                return Err(corrupt("with a block past the end"));
            }
        }
        let (kind, costs) = if self.kind == 1 {
            let (litlen, dist) = fixed();
            (Kind::Fixed, Costs::of_lengths(&litlen[..LITLEN], &dist[..DISTS]))
        } else if counted {
            let given_counts = given.map(|b| Counts::of(tokens, &self.raw[b.raw.clone()]));
            let counts = self.counts(given_counts.as_ref());
            let tree = self.tree(&Expected::of(&counts), given)?;
            (Kind::Dynamic(tree), Costs::of_counts(&counts.litlen, &counts.dist))
        } else {
            let expected = Expected { litlen: self.litlen.clone(), dist: self.dist.clone(), counted: false };
            let tree = self.tree(&expected, given)?;
            let costs = Costs::of_lengths(&tree.litlen, &tree.dist);
            (Kind::Dynamic(tree), costs)
        };
        self.tokens.clear();
        let mut history = 0;
        let mut given_tokens = tokens.iter();
        let mut seen = start;
        while self.at < end {
            // Every position is entered into the chains, in order, whether a token starts there or not.
            while seen <= self.at {
                state.paths.look(&mut state.links, self.raw, seen..end, chain, &costs, &mut self.work);
                seen = state.paths.end();
                if self.work.is_spent() {
                    return Err(corrupt("that takes too many steps"));
                }
            }
            let actual = given_tokens.next().copied().unwrap_or_default();
            let token = self.choice(&state.paths, &costs, &mut history, actual, end)?;
            self.push(token)?;
        }
        self.write(last, &kind, start)
    }

    fn choice(
        &mut self,
        paths: &Paths,
        costs: &Costs,
        history: &mut usize,
        actual: Token,
        end: usize,
    ) -> Result<Token> {
        let at = self.at;
        let mut here: Option<Choice> = paths.next(self.raw, at, costs, None);
        for rank in 0..RANKS {
            let Some(choice) = here else { break };
            let after = paths.next(self.raw, at, costs, here);
            let token = paths.token(at, choice);
            let kinds = 2 * usize::from(choice.1 > 0) + usize::from(after.is_some_and(|a| a.1 > 0));
            let gap = gap(after.map(|a| a.0 - choice.0));
            let model = &mut self.m.taken[(gap * 8 + rank.min(7)) * 4 + kinds][*history];
            if self.c.flag(model, token == actual) {
                *history = ((2 * *history) & 7) | usize::from(rank > 0);
                return Ok(token);
            }
            here = after;
        }
        *history = ((2 * *history) & 7) | 1;
        self.c.check()?;
        if self.c.flag(&mut self.m.literal[0], actual.is_literal()) {
            return Ok(Token::LITERAL);
        }
        let value = actual.len().saturating_sub(MIN_MATCH) as u32;
        let len = MIN_MATCH + self.c.tree(&mut self.m.lens[0], 8, value) as usize;
        if at + len > end {
            return Err(corrupt("with a match past the end"));
        }
        self.explicit_dist(len, actual.dist().wrapping_sub(1) as u32 & 0x7FFF)
    }

    /// Codes the symbol counts of a block.
    fn counts(&mut self, given: Option<&Counts>) -> Counts {
        let mut counts = Counts { litlen: [0; LITLEN], dist: [0; DISTS] };
        let (c, m) = (&mut *self.c, &mut *self.m);
        let (numbers, far) = m.counts.split_at_mut(1);
        for (i, n) in counts.litlen.iter_mut().enumerate() {
            *n = c.number(&mut numbers[0], given.map_or(0, |g| g.litlen[i]));
        }
        for (i, n) in counts.dist.iter_mut().enumerate() {
            *n = c.number(&mut far[0], given.map_or(0, |g| g.dist[i]));
        }
        counts
    }
}

/// The number of bits that the tokens of a block take.
fn bits(counts: &Counts, litlen: &[u8], dist: &[u8]) -> u64 {
    let sum = |counts: &[u32], lens: &[u8]| -> u64 {
        counts.iter().zip(lens).map(|(n, l)| u64::from(*n) * u64::from(*l)).sum()
    };
    let extra = |counts: &[u32], bits: &[u8]| sum(counts, bits);
    sum(&counts.litlen, litlen)
        + sum(&counts.dist, dist)
        + extra(&counts.litlen[FIRST_LEN..], &LEN_EXTRA)
        + extra(&counts.dist, &DIST_EXTRA)
}
