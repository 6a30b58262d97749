//! The guesses of a chained block: it learns which of its tokens follow which (`formats/llm.md`, "Guesses of
//! a chained block").
//!
//! As in [`super::adaptive`], guesses are tried before a symbol is coded from the network's weights. A
//! chained block is longer than a window, so more can be learned: there are more contexts, each remembers two
//! symbols, and guesses are tried in the order of their probability, the likeliest first.
//!
//! A guess is a yes-or-no decision about one symbol. This lets experts that know only one or two symbols take
//! part: they need no distribution over the vocabulary, and a mixer like that of [`crate::model::mix`], which
//! only handles binary decisions, can weigh them against the network. A guess that turns out wrong still
//! gains something, since its weight is taken out of the network's distribution before the symbol is coded
//! from it. Integer arithmetic only.

use super::adaptive::{Coder, Escapes};
use super::symbols::{Distribution, Symbol};
use crate::error::{Error, Result};
use crate::model::fixed::{hash, squash, stretch};

/// The lengths, in symbols, of the contexts whose followers are remembered.
const ORDERS: [usize; 4] = [1, 2, 3, 6];
/// The lengths, in symbols, of the contexts by which earlier places are found again.
const PLACES: [usize; 2] = [12, 6];
/// The fewest equal symbols of a match, and the most that are counted when one is found.
const MATCH_MIN: usize = 6;
const MATCH_FOUND: usize = 48;
/// The length from which on a match is kept and no other is looked for.
const MATCH_GOOD: usize = 12;
/// The greatest match length that is distinguished, and the length above which misses are forgotten.
const MATCH_MAX: usize = 64;
const MATCH_SURE: usize = 16;
/// The number of misses at which a match is given up.
const MISSES: usize = 8;
/// The number of bits of a hash that select an entry.
const HASH_BITS: u32 = 16;
/// The number of experts that guess beside the network: the match, and the followers of each order.
const EXPERTS: usize = 1 + ORDERS.len();
/// The number of records of an expert.
const RECORDS: usize = 64;
/// The number of inputs of the mixer: the network's opinion, the records of the experts, and a constant.
const INPUTS: usize = EXPERTS + 2;
/// The most guesses that are tried for a symbol, and the least probability (Q16) of a guess that is tried.
const TRIES: usize = 6;
const LEAST: i32 = 64;
/// The largest magnitude of the mixer's weights, Q14.
const MIXER_LIMIT: i32 = 1 << 16;
/// Stands for no symbol.
const NONE: Symbol = u32::MAX;

/// A row of the mixer's weights, or its inputs.
type MixerRow = [i32; INPUTS];

/// The followers of a context: up to two symbols with their counts, the more trusted one first, and a check
/// of the context.
#[derive(Debug, Clone, Copy, Default)]
struct Followers {
    symbols: [Symbol; 2],
    counts: [u8; 2],
    check: u16,
}

/// The opinion of an expert: up to two symbols that it expects, each with the index of the record of such
/// guesses.
#[derive(Debug, Clone, Copy)]
struct Opinion {
    symbols: [Symbol; 2],
    records: [usize; 2],
}

/// The match that is followed: an earlier occurrence of the last symbols.
#[derive(Debug, Clone, Copy, Default)]
struct Match {
    /// The position of the expected symbol; 0 for no match.
    position: usize,
    length: usize,
    misses: usize,
}

impl Match {
    /// The state of the match, 0..64, by length and recent misses. It is the index of the match's record.
    fn state(self) -> usize {
        let log = self.length.checked_ilog2().unwrap_or(0) as usize;
        let bucket = if self.length < 2 { self.length } else { 2 * log + (self.length >> (log - 1) & 1) };
        bucket + 16 * self.misses.min(3)
    }
}

/// A guess with its probability, and what learning from its outcome needs.
struct Judged {
    /// The probability that the guess is right, Q16.
    one: i32,
    inputs: MixerRow,
    /// The selected row of each of the three sets.
    sets: [usize; 3],
    /// For each expert that expects this symbol, the record of such guesses; `usize::MAX` for the others.
    records: [usize; EXPERTS],
}

/// The state of a block: what its symbols have taught so far.
#[derive(Debug)]
pub struct Chain {
    history: Vec<Symbol>,
    found: Match,
    /// For each of [`PLACES`], the position after the last occurrence of that many symbols, by their hash.
    places: [Vec<u32>; PLACES.len()],
    /// For each of [`ORDERS`], the followers of that many symbols, by their hash.
    followers: [Vec<Followers>; ORDERS.len()],
    /// The share of guesses that were right, Q16, by record.
    records: Vec<u16>,
    /// Three sets of rows of weights (Q14). One row of each is selected and added up: by the network's
    /// confidence, by the match, and by the orders that know the context.
    sets: [Vec<MixerRow>; 3],
    decisions: u32,
    escapes: Escapes,
}

impl Chain {
    /// The bytes that the tables take, apart from the history.
    pub const BYTES: usize =
        (PLACES.len() * size_of::<u32>() + ORDERS.len() * size_of::<Followers>()) << HASH_BITS;

    /// The state at the start of a block.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new() -> Result<Self> {
        let mut network = [0; INPUTS];
        network[0] = 1 << 14;
        Ok(Self {
            history: Vec::new(),
            found: Match::default(),
            places: [table()?, table()?],
            followers: [table()?, table()?, table()?, table()?],
            records: (0..EXPERTS * RECORDS).map(first_record).collect(),
            sets: [vec![network; 256], vec![[0; INPUTS]; 132], vec![[0; INPUTS]; 256]],
            decisions: 0,
            escapes: Escapes::default(),
        })
    }

    /// The block's symbols so far.
    pub fn history(&self) -> &[Symbol] {
        &self.history
    }

    /// Codes the next symbol and learns it. Wrong guesses are ruled out of `d` while it is used; afterwards
    /// its weights are the same as before.
    ///
    /// # Errors
    /// Those of the coder.
    pub fn code(&mut self, d: &mut Distribution<'_>, coder: &mut impl Coder) -> Result<Symbol> {
        let (keys, places) = (ORDERS.map(|n| self.key(n)), PLACES.map(|n| self.key(n)));
        self.find_match(places);
        let opinions = self.opinions(keys);
        let escape = self.escapes.weight(d.total());
        let mut refused = Vec::new();
        let guessed = self.guess(d, coder, &opinions, escape, &mut refused);
        let symbol = match guessed {
            Ok(None) => coder.symbol(d, escape),
            Ok(Some(symbol)) => Ok(symbol),
            Err(ref e) => Err(e.again()),
        };
        refused.iter().for_each(|&(symbol, weight)| d.set(symbol, weight));
        let symbol = symbol?;
        if let Ok(None) = guessed {
            self.escapes.learn(symbol >= d.vocab());
        }
        self.learn(symbol, keys, places);
        Ok(symbol)
    }

    /// The hash of the last `n` symbols.
    fn key(&self, n: usize) -> u32 {
        let last = |i: usize| self.history.len().checked_sub(i).map_or(NONE, |at| self.history[at]);
        (1..=n).fold(n as u32, |key, i| hash(key.wrapping_add(last(i)).wrapping_add(1)))
    }

    /// Looks for an earlier occurrence of the last symbols that is longer than the current match.
    fn find_match(&mut self, places: [u32; PLACES.len()]) {
        for (table, key) in self.places.iter().zip(places) {
            let at = table[entry(key)] as usize;
            if self.found.length >= MATCH_GOOD || at == 0 || at == self.found.position {
                continue;
            }
            // Equal symbols before the remembered place and before this one.
            let pairs = self.history[..at].iter().rev().zip(self.history.iter().rev());
            let length = pairs.take(MATCH_FOUND).take_while(|(a, b)| a == b).count();
            if length >= MATCH_MIN && length > self.found.length {
                self.found = Match { position: at, length, misses: 0 };
            }
        }
    }

    /// The opinions of all experts; `None` for those that do not know the context.
    fn opinions(&self, keys: [u32; ORDERS.len()]) -> [Option<Opinion>; EXPERTS] {
        let mut opinions = [None; EXPERTS];
        if self.found.position > 0 {
            let symbols = [self.history[self.found.position], NONE];
            opinions[0] = Some(Opinion { symbols, records: [self.found.state(), 0] });
        }
        for (i, (table, key)) in self.followers.iter().zip(keys).enumerate() {
            let slot = table[entry(key)];
            if slot.counts[0] > 0 && slot.check == key as u16 {
                let [first, second] = slot.counts.map(usize::from);
                let symbols = [slot.symbols[0], if second > 0 { slot.symbols[1] } else { NONE }];
                let records = [3 * first + second.min(2), 48 + second.min(3) + 4 * first.min(3)];
                let start = (i + 1) * RECORDS;
                opinions[i + 1] = Some(Opinion { symbols, records: records.map(|r| start + r) });
            }
        }
        opinions
    }

    /// Tries guesses and returns the symbol of the right one; `None` where all are wrong. Wrong ones get
    /// weight 0 in `d`, and go to `refused` with the weights that they had.
    fn guess(
        &mut self,
        d: &mut Distribution<'_>,
        coder: &mut impl Coder,
        opinions: &[Option<Opinion>; EXPERTS],
        escape: u64,
        refused: &mut Vec<(Symbol, i32)>,
    ) -> Result<Option<Symbol>> {
        let mut guesses: Vec<Symbol> = Vec::with_capacity(2 * EXPERTS);
        let expected = opinions.iter().flatten().flat_map(|o| o.symbols).filter(|&s| s != NONE);
        for symbol in expected.chain(d.likeliest()) {
            if !guesses.contains(&symbol) {
                guesses.push(symbol);
            }
        }
        for rank in 0..TRIES {
            let judged = guesses.iter().map(|&symbol| {
                let weight = if symbol < d.vocab() { d.weight(symbol) as u64 } else { escape >> 8 };
                let chance = ((weight << 16) / (d.total() + escape)).clamp(1, 65535) as i32;
                self.judge(symbol, chance, rank, opinions)
            });
            // The likeliest; of equal ones, the first.
            let best = judged.enumerate().reduce(|a, b| if b.1.one > a.1.one { b } else { a });
            let Some((at, judged)) = best.filter(|(_, judged)| judged.one >= LEAST) else { break };
            let symbol = guesses.remove(at);
            let hit = coder.is(symbol, judged.one as u32)?;
            self.learn_guess(&judged, hit);
            if hit {
                return Ok(Some(symbol));
            }
            if symbol < d.vocab() {
                refused.push((symbol, d.weight(symbol)));
                d.set(symbol, 0);
            }
        }
        Ok(None)
    }

    /// Computes the probability of a guess. `chance` is the network's opinion, a probability in Q16; `rank`
    /// is the number of guesses tried before.
    fn judge(
        &self,
        symbol: Symbol,
        chance: i32,
        rank: usize,
        opinions: &[Option<Opinion>; EXPERTS],
    ) -> Judged {
        let mut inputs = [0; INPUTS];
        inputs[0] = stretch(chance);
        inputs[INPUTS - 1] = 256;
        let mut records = [usize::MAX; EXPERTS];
        for (i, opinion) in opinions.iter().enumerate() {
            let of = opinion.and_then(|o| o.symbols.iter().position(|&s| s == symbol).map(|n| o.records[n]));
            if let Some(record) = of {
                records[i] = record;
                inputs[1 + i] = stretch(i32::from(self.records[record]));
            }
        }
        let confidence = ((inputs[0] + 2048) >> 8).clamp(0, 15) as usize;
        let (followed, agrees) = (opinions[0].is_some(), records[0] != usize::MAX);
        let of_match = if agrees { 1 + records[0] } else { 65 * usize::from(followed) };
        let highest = |known: &dyn Fn(usize) -> bool| (1..EXPERTS).rev().find(|&i| known(i)).unwrap_or(0);
        let (knows, expects) = (highest(&|i| opinions[i].is_some()), highest(&|i| records[i] != usize::MAX));
        let sets = [
            64 * rank.min(3) + 32 * usize::from(followed) + 16 * usize::from(agrees) + confidence,
            66 * rank.min(1) + of_match,
            64 * rank.min(3) + 8 * knows + expects,
        ];
        let weights = self.sets.iter().zip(sets).flat_map(|(kind, set)| kind[set].iter().zip(&inputs));
        let sum: i64 = weights.map(|(&w, &i)| i64::from(w) * i64::from(i)).sum();
        let one = squash(((sum + (1 << 13)) >> 14).clamp(-4096, 4095) as i32).clamp(4, 65532);
        Judged { one, inputs, sets, records }
    }

    /// Learns whether a guess was right.
    fn learn_guess(&mut self, judged: &Judged, hit: bool) {
        let error = (i32::from(hit) << 16) - judged.one;
        let rate = if self.decisions < 256 { 16 } else { 17 };
        for (kind, set) in self.sets.iter_mut().zip(judged.sets) {
            for (w, i) in kind[set].iter_mut().zip(&judged.inputs) {
                *w = (*w + ((i * error + (1 << (rate - 1))) >> rate)).clamp(-MIXER_LIMIT, MIXER_LIMIT);
            }
        }
        self.decisions = self.decisions.saturating_add(1);
        let goal = if hit { 65535 } else { 0 };
        for &record in judged.records.iter().filter(|&&r| r != usize::MAX) {
            let value = i32::from(self.records[record]);
            self.records[record] = (value + ((goal - value) >> 6)).clamp(64, 65471) as u16;
        }
    }

    /// Learns the symbol that was coded.
    fn learn(&mut self, symbol: Symbol, keys: [u32; ORDERS.len()], places: [u32; PLACES.len()]) {
        let found = &mut self.found;
        if found.position > 0 {
            if self.history[found.position] == symbol {
                found.length = (found.length + 1).min(MATCH_MAX);
                found.misses = if found.length > MATCH_SURE { 0 } else { found.misses };
            } else {
                (found.length, found.misses) = (0, found.misses + 1);
            }
            found.position += 1;
            if found.misses == MISSES {
                *found = Match::default();
            }
        }
        for (table, key) in self.places.iter_mut().zip(places) {
            table[entry(key)] = self.history.len() as u32;
        }
        for (table, key) in self.followers.iter_mut().zip(keys) {
            table[entry(key)].learn(symbol, key as u16);
        }
        self.history.push(symbol);
    }
}

impl Followers {
    /// Learns that `symbol` followed the context with this check.
    fn learn(&mut self, symbol: Symbol, check: u16) {
        let [first, second] = self.counts;
        if first == 0 || self.check != check {
            *self = Self { symbols: [symbol, NONE], counts: [1, 0], check };
        } else if self.symbols[0] == symbol {
            self.counts[0] = (first + 1).min(15);
        } else if second > 0 && self.symbols[1] == symbol {
            self.symbols.swap(0, 1);
            self.counts = [(second + 1).min(15), (first / 2).max(1)];
        } else {
            self.symbols[1] = symbol;
            self.counts = [(first - first / 4).max(1), 1];
        }
    }
}

/// The initial value of record `i`.
fn first_record(i: usize) -> u16 {
    let (expert, record) = (i / RECORDS, i % RECORDS);
    let sure = |halves: usize| 65536 - (65536u32 >> (1 + halves));
    let start = match (expert, record) {
        (0, state) => sure((state & 15) / 2),
        (_, 48..) => 2048,
        (_, counts) => sure(counts / 6) >> (counts % 3),
    };
    start.min(65471) as u16
}

/// The entry that a hash selects.
fn entry(key: u32) -> usize {
    (key >> (32 - HASH_BITS)) as usize
}

/// A table of 2^[`HASH_BITS`] entries.
fn table<T: Clone + Default>() -> Result<Vec<T>> {
    let mut table = Vec::new();
    table.try_reserve_exact(1 << HASH_BITS).map_err(|_| Error::limit("no memory for an llm's guesses"))?;
    table.resize(1 << HASH_BITS, T::default());
    Ok(table)
}
