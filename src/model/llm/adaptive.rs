//! The adaptive stage of a window that stands alone: it learns which of the window's tokens follow which
//! (`formats/llm.md`, "Adaptive stage").
//!
//! Before a symbol is coded from the network's weights, a few guesses are tried: the token that followed a
//! match, the tokens that followed the last two and the last one, and the network's likeliest token. Whether
//! a guess is right is a binary decision; its probability mixes the network's opinion with how often such
//! guesses were right. Integer arithmetic only; the state starts anew with every window.

use super::symbols::{Distribution, Symbol};
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::Result;
use crate::model::fixed::{hash, squash, stretch};

/// The greatest match length that is distinguished.
const MAX_MATCH: u32 = 32;
/// The number of bits of a hash that select an entry.
const HASH_BITS: u32 = 12;
/// The number of guesses: by a match, by what followed the last two tokens and the last one, and by the
/// network.
const GUESSES: usize = 4;
/// The number of inputs of the mixer: the network's opinion, the record of each guess, and a constant.
const INPUTS: usize = GUESSES + 2;
/// The largest magnitude of the mixer's weights, Q13.
const MIXER_LIMIT: i32 = 1 << 15;
/// Stands for no symbol.
const NONE: Symbol = u32::MAX;

/// One side of coding a symbol: an encoder that knows the symbol, or a decoder.
pub trait Coder {
    /// Codes whether the symbol is `guess`, which has a probability of `one` / 65536; returns whether it is.
    ///
    /// # Errors
    /// Those of reading a payload.
    fn is(&mut self, guess: Symbol, one: u32) -> Result<bool>;
    /// Codes the symbol from the weights of `d` and returns it.
    ///
    /// # Errors
    /// Those of reading a payload.
    fn symbol(&mut self, d: &Distribution<'_>, escape: u64) -> Result<Symbol>;
}

/// The coder that encodes one symbol.
pub struct Encode<'a> {
    pub symbol: Symbol,
    pub coder: &'a mut BitEncoder,
}

impl Coder for Encode<'_> {
    fn is(&mut self, guess: Symbol, one: u32) -> Result<bool> {
        self.coder.encode(guess == self.symbol, one);
        Ok(guess == self.symbol)
    }

    fn symbol(&mut self, d: &Distribution<'_>, escape: u64) -> Result<Symbol> {
        d.encode(self.symbol, escape, self.coder);
        Ok(self.symbol)
    }
}

impl Coder for BitDecoder<'_> {
    fn is(&mut self, _: Symbol, one: u32) -> Result<bool> {
        self.decode(one)
    }

    fn symbol(&mut self, d: &Distribution<'_>, escape: u64) -> Result<Symbol> {
        d.decode(escape, self)
    }
}

/// The symbol that followed a context, a check of the context, and a count of how often the symbol came
/// again.
#[derive(Debug, Clone, Copy, Default)]
struct Follower {
    symbol: Symbol,
    check: u8,
    count: u8,
}

/// A guess for the next symbol.
#[derive(Debug, Clone, Copy)]
struct Guess {
    symbol: Symbol,
    /// The index of its record of success.
    record: usize,
}

/// The state of a window: what its symbols have taught so far.
#[derive(Debug)]
pub struct Adaptive {
    history: Vec<Symbol>,
    /// The position of the symbol that the match expects, and the number of equal symbols before it (0 for no
    /// match).
    position: usize,
    length: u32,
    /// The position after the last occurrence of two symbols, by their hash.
    positions: Vec<u32>,
    /// The followers of the last two symbols and of the last one, by their hash.
    followers: [Vec<Follower>; 2],
    /// The share of guesses that were right, Q16: 16 records for each guess.
    records: [u16; 16 * GUESSES],
    /// The weights of the mixer (Q13), of which one row each is added up: by the number of the guess and of
    /// those that agree with it, and by the record of the match.
    by_agreement: [[i32; INPUTS]; 16 * GUESSES],
    by_match: [[i32; INPUTS]; 16],
    /// The number of decisions so far.
    decisions: u32,
    escapes: Escapes,
}

impl Default for Adaptive {
    fn default() -> Self {
        let record = |i: usize| (65536 - (65536u32 >> ((i & 15) / 2 + 1).min(12))) as u16;
        let mut mixer = [0; INPUTS];
        mixer[0] = 1 << 13;
        Self {
            history: Vec::new(),
            position: 0,
            length: 0,
            positions: vec![0; 1 << HASH_BITS],
            followers: [vec![Follower::default(); 1 << HASH_BITS], vec![Follower::default(); 1 << HASH_BITS]],
            records: std::array::from_fn(record),
            by_agreement: [mixer; 16 * GUESSES],
            by_match: [[0; INPUTS]; 16],
            decisions: 0,
            escapes: Escapes::default(),
        }
    }
}

/// The share of escapes among the symbols that no guess found, Q16.
#[derive(Debug)]
pub(super) struct Escapes(u32);

impl Default for Escapes {
    fn default() -> Self {
        Self(4)
    }
}

impl Escapes {
    /// The weight of an escape where all tokens together have weight `total`.
    pub fn weight(&self, total: u64) -> u64 {
        ((total * u64::from(self.0)) >> 16) + 1
    }

    /// Learns whether a symbol that no guess found was an escape.
    pub fn learn(&mut self, escaped: bool) {
        self.0 = if escaped {
            self.0 + ((65536 - self.0) >> 3)
        } else {
            (self.0 - (self.0 >> 5)).saturating_sub(1).max(4)
        };
    }
}

impl Adaptive {
    /// The window's symbols so far.
    pub fn history(&self) -> &[Symbol] {
        &self.history
    }

    /// Codes the next symbol and learns it. Wrong guesses are ruled out of `d` while it is used; afterwards
    /// its weights are the same as before.
    ///
    /// # Errors
    /// Those of the coder.
    pub fn code(&mut self, d: &mut Distribution<'_>, coder: &mut impl Coder) -> Result<Symbol> {
        let keys = self.keys();
        let mut guesses = self.guesses(keys);
        guesses[3] = d.likeliest().map(|symbol| Guess { symbol, record: 48 });
        let escape = self.escapes.weight(d.total());
        let mut refused: Vec<(Symbol, i32)> = Vec::new();
        let mut found = None;
        for i in 0..GUESSES {
            let Some(guess) = guesses[i] else { continue };
            let symbol = guess.symbol;
            if guesses[..i].iter().flatten().any(|g| g.symbol == symbol) {
                continue;
            }
            let weight = if symbol < d.vocab() { d.weight(symbol) as u64 } else { escape >> 8 };
            let chance = ((weight << 16) / (d.total() + escape)).clamp(1, 65535) as i32;
            if self.decide(i, symbol, chance, &guesses, coder)? {
                found = Some(symbol);
                break;
            }
            if symbol < d.vocab() {
                refused.push((symbol, d.weight(symbol)));
                d.set(symbol, 0);
            }
        }
        let symbol = match found {
            Some(symbol) => Ok(symbol),
            None => coder.symbol(d, escape),
        };
        refused.iter().for_each(|&(symbol, weight)| d.set(symbol, weight));
        let symbol = symbol?;
        if found.is_none() {
            self.escapes.learn(symbol >= d.vocab());
        }
        self.learn(symbol, keys);
        Ok(symbol)
    }

    /// The hashes of the last two symbols and of the last one.
    fn keys(&self) -> [u32; 2] {
        let n = self.history.len();
        let last = |i: usize| if n >= i { self.history[n - i] } else { NONE };
        let one = hash(last(1).wrapping_add(1));
        [hash(one.wrapping_add(last(2)).wrapping_add(2)), one]
    }

    /// The guesses other than the network's.
    fn guesses(&mut self, keys: [u32; 2]) -> [Option<Guess>; GUESSES] {
        let mut guesses = [None; GUESSES];
        if self.length == 0 && self.history.len() >= 2 {
            self.find_match(keys[0]);
        }
        if self.length > 0 {
            let record = self.length.min(15) as usize;
            guesses[0] = Some(Guess { symbol: self.history[self.position], record });
        }
        for (i, &key) in keys.iter().enumerate() {
            let slot = self.followers[i][(key >> (32 - HASH_BITS)) as usize];
            if slot.count > 0 && slot.check == (key >> 12) as u8 {
                let record = 16 * (i + 1) + usize::from(slot.count);
                guesses[i + 1] = Some(Guess { symbol: slot.symbol, record });
            }
        }
        guesses
    }

    /// Looks for an earlier occurrence of the last symbols.
    fn find_match(&mut self, key: u32) {
        let n = self.history.len();
        let at = self.positions[(key >> (32 - HASH_BITS)) as usize] as usize;
        if at == 0 {
            return;
        }
        // Equal symbols before the remembered place and before this one.
        let pairs = self.history[..at].iter().rev().zip(self.history[..n].iter().rev());
        let length = pairs.take(MAX_MATCH as usize).take_while(|(a, b)| a == b).count();
        if length >= 2 {
            (self.position, self.length) = (at, length as u32);
        }
    }

    /// Tries guess number `number`: mixes its probability, codes whether it is right, and learns that.
    /// `chance` is the network's opinion, a probability in Q16.
    fn decide(
        &mut self,
        number: usize,
        symbol: Symbol,
        chance: i32,
        guesses: &[Option<Guess>; GUESSES],
        coder: &mut impl Coder,
    ) -> Result<bool> {
        let mut inputs = [stretch(chance), 0, 0, 0, 0, 256];
        let mut agreement = 0;
        for (i, guess) in guesses.iter().enumerate() {
            if let Some(guess) = guess.filter(|g| g.symbol == symbol) {
                agreement |= 1 << i;
                inputs[1 + i] = stretch(i32::from(self.records[guess.record]));
            }
        }
        let of_match = guesses[0].filter(|g| g.symbol == symbol).map_or(0, |g| g.record);
        let sets = [&self.by_agreement[16 * number + agreement], &self.by_match[of_match]];
        let sum: i32 = sets.iter().flat_map(|set| set.iter().zip(&inputs)).map(|(w, i)| w * i).sum();
        let one = squash((sum + 4096) >> 13).clamp(4, 65532);
        let hit = coder.is(symbol, one as u32)?;
        let error = ((i32::from(hit) << 16) - one) >> 1;
        let rate = if self.decisions < 256 { 16 } else { 17 };
        for set in [&mut self.by_agreement[16 * number + agreement], &mut self.by_match[of_match]] {
            for (w, i) in set.iter_mut().zip(&inputs) {
                *w = (*w + ((i * error + (1 << (rate - 1))) >> rate)).clamp(-MIXER_LIMIT, MIXER_LIMIT);
            }
        }
        self.decisions = self.decisions.saturating_add(1);
        for guess in guesses.iter().flatten().filter(|g| g.symbol == symbol) {
            let goal = if hit { 65535 } else { 0 };
            let record = i32::from(self.records[guess.record]);
            self.records[guess.record] = (record + ((goal - record) >> 5)).clamp(64, 65471) as u16;
        }
        Ok(hit)
    }

    /// Learns the symbol that was coded.
    fn learn(&mut self, symbol: Symbol, keys: [u32; 2]) {
        if self.length > 0 && self.history[self.position] == symbol {
            self.length = (self.length + 1).min(MAX_MATCH);
            self.position += 1;
        } else {
            self.length = 0;
        }
        if self.history.len() >= 2 {
            self.positions[(keys[0] >> (32 - HASH_BITS)) as usize] = self.history.len() as u32;
        }
        for (table, key) in self.followers.iter_mut().zip(keys) {
            let slot = &mut table[(key >> (32 - HASH_BITS)) as usize];
            let check = (key >> 12) as u8;
            let count = if slot.check == check { slot.count } else { 0 };
            *slot = if count > 0 && slot.symbol == symbol {
                Follower { symbol, check, count: (count + 1).min(7) }
            } else if count > 2 {
                Follower { symbol: slot.symbol, check, count: count / 2 }
            } else {
                Follower { symbol, check, count: 1 }
            };
        }
        self.history.push(symbol);
    }
}
