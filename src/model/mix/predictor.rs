//! The predictor: gives the probability of the next bit from everything before it.
//!
//! Each context remembers, for every node of the next nibble's tree, a state that sums up the bits seen
//! there; an adaptive map turns the state into a probability. The two steps learn different things. A state
//! belongs to one context and holds what followed that context. A map belongs to all contexts of one index,
//! and learns how far such states can be trusted: for example, what three zeros in a row are worth in an
//! order-2 context of this file.
//!
//! The mixer adds up the logits of all contexts, of the match models and of the guide, each with a weight
//! from sets of weights that it learns while coding. Adding logits instead of averaging probabilities lets
//! confident inputs outweigh doubtful ones, and several independent inputs that agree make the result more
//! certain than each of them. Final stages then correct the result where its probabilities turned out wrong.
//!
//! A byte is two nibbles, since the 15 nodes of a nibble's tree and a check byte fill one slot of 16 bytes: a
//! context touches one cache line per nibble instead of one per bit. Even so, most of the time would go into
//! waiting for memory, because every context's slot lies at a random place of a table that no cache holds.
//! Therefore everything that the next nibble or byte will need is *sought* (found by hash and prefetched)
//! before the current bit is learned, and *started* (loaded) only after that.

mod flags;
mod shape;

pub use shape::{FlagRule, Shape, Start};

use super::ablation::{self, Part, on};
use super::apm::{Apm, HALF, nudge};
use super::context::{self, Kind, MAX_CONTEXTS};
use super::direct::{DIRECTS, Direct};
use super::history::History;
use super::light::flag::Flags;
use super::logistic::{TABLES, Tables, pair};
use super::matcher::{COUNTERS, Matcher};
use super::mixer::{Mixer, spread};
use super::priming;
use super::priors::{Priors, SIZES};
use super::samples::Samples;
use super::shipped;
use super::slots::{SLOT, Slot, SlotTable};
use super::state::{STATES, StateTable};
use crate::model::fixed::{probability_of_one, stretch};
use crate::{Error, ErrorKind, Result};

/// The number of contexts in a group: their two inputs each fill one vector.
pub const GROUP: usize = 8;
/// The most groups of contexts.
const GROUPS: usize = MAX_CONTEXTS / GROUP;
/// The 22-bit probabilities of one context by state.
type Map = [u32; 256];
/// The number of probabilities of each of the flags' sources.
const FLAG_PLACES: usize = 1 << 16;

/// Context mixing over one block.
///
/// Functions that run for every bit have two constant parameters: `A` says whether the code runs with AVX2,
/// and `V` is the number of vectors of inputs: one for the fixed inputs, and one for each group of contexts.
pub struct Predictor {
    shape: Shape,
    tables: &'static Tables,
    states: &'static StateTable,
    history: History,
    slots: SlotTable,
    /// The number of contexts in use.
    contexts: usize,
    /// The context hashes of the current byte, and the buckets of their slots for the nibble that was sought
    /// last.
    hashes: [u32; MAX_CONTEXTS],
    buckets: [usize; MAX_CONTEXTS],
    /// Copies of the slots of the current nibble, and the places in the table to which they return.
    current: [[Slot; GROUP]; GROUPS],
    places: [usize; MAX_CONTEXTS],
    /// The probability of a 1, by context and state.
    maps: Box<[[Map; GROUP]; GROUPS]>,
    /// The match models of orders 6 and 12. The short order finds matches early; the long one is more
    /// reliable.
    matchers: [Matcher; 2],
    direct: Direct,
    mixer: Mixer,
    apms: [Apm; 3],
    /// The model of samples, if they are expected.
    samples: Option<Samples>,
    /// The guide's weights for the current byte; see [`Predictor::begin_byte`].
    guess: Box<[u32; 512]>,
    /// The model of flags, if there are any.
    flags: Option<Flags<2, FLAG_PLACES>>,
    /// The byte that is flagged next, with the probability that it comes; or else the one that is expected, but not
    /// probable enough; and whether the last flag said that its byte does not come.
    due: Option<(u8, u32)>,
    doubtful: Option<u8>,
    refused: bool,
    /// Whether the slots of the current byte have been sought.
    sought: bool,
    /// The bits of the current byte after a leading one, and their number.
    c0: u32,
    bit_position: u32,
    /// How many of the first five contexts have been seen before.
    order: usize,
    /// The class of the position, see [`context::selector`].
    selector: usize,
    /// The probability that the next bit is a 1, and the mixer's logit from which it was made.
    p: u32,
    logit: i32,
    /// The number of bits coded so far.
    seen: u64,
}

impl Predictor {
    /// Starts from the shipped priors of the shape's kind, or of its guide.
    ///
    /// # Errors
    /// `NewerVersion` for a guide whose priors are not known; `MissingModel` where this build lacks the
    /// priors; `LimitExceeded` where memory is missing.
    pub fn new(shape: Shape) -> Result<Self> {
        let learned = shipped::for_kind(shape.kind)?.filter(|_| on(Part::Priors));
        match (shape.start, learned) {
            (Start::Learned(hash), _) => match shipped::for_guide(&hash)? {
                Some(learned) => Self::with_priors(shape, learned),
                None => {
                    let message = "priors for the model of a guided mix block: needs a newer nzip";
                    Err(Error::new(ErrorKind::NewerVersion, message))
                }
            },
            (Start::Derived, Some(text)) => Self::with_priors(shape, &text.guided()),
            (_, Some(learned)) => Self::with_priors(shape, learned),
            (_, None) => Self::with_priors(shape, &Priors::untrained()),
        }
    }

    /// Starts from the given priors.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn with_priors(shape: Shape, priors: &Priors) -> Result<Self> {
        let (first, second) = priors.counters.split_at(COUNTERS);
        let mut maps = Box::new([[[0; 256]; GROUP]; GROUPS]);
        maps.as_flattened_mut().as_flattened_mut().copy_from_slice(&priors.maps);
        let tables: &'static Tables = &TABLES;
        let states: &'static StateTable = &STATES;
        let hashes = [0; MAX_CONTEXTS];
        let history = History::new(shape.kind.is_x86());
        let contexts = shape.groups.min(MAX_CONTEXTS / GROUP) * GROUP;
        let slots = match shape.kind {
            Kind::Text => priming::primed(shape.memory_bits, contexts, shape.primed)?,
            _ => SlotTable::new(shape.memory_bits)?,
        };
        let heads = shape.memory_bits.saturating_sub(6).clamp(16, 22);
        let mut predictor = Self {
            shape,
            tables,
            states,
            history,
            slots,
            contexts,
            hashes,
            buckets: [0; MAX_CONTEXTS],
            places: [0; MAX_CONTEXTS],
            current: [[[0; SLOT]; GROUP]; GROUPS],
            maps,
            matchers: [Matcher::new(6, heads, first)?, Matcher::new(12, heads, second)?],
            direct: Direct::new()?,
            mixer: Mixer::new(SIZES, &priors.rows, &priors.finals),
            apms: [Apm::new(256, tables, 6)?, Apm::new(65536, tables, 6)?, Apm::new(65536, tables, 6)?],
            samples: shape.samples.then(|| Samples::new(shape.kind)).flatten(),
            guess: Box::new([0; 512]),
            flags: shape.flags.map(|_| Flags::new(tables)).transpose()?,
            due: None,
            doubtful: None,
            refused: false,
            sought: true,
            c0: 1,
            bit_position: 0,
            order: 0,
            selector: 0,
            p: 32768,
            logit: 0,
            seen: 0,
        };
        if shape.flags.is_some() {
            predictor.matchers.iter_mut().for_each(Matcher::reset_refused);
        }
        predictor.seek_contexts();
        predictor.start_contexts();
        Ok(predictor)
    }

    /// The learned state, as priors for other predictors.
    pub fn priors(&self) -> Priors {
        Priors {
            maps: self.maps.as_flattened().as_flattened().to_vec(),
            counters: self.matchers.iter().flat_map(|m| m.counters.iter().copied()).collect(),
            rows: self.mixer.rows().to_vec(),
            finals: self.mixer.finals().to_vec(),
        }
    }

    /// The probability that the next bit is a 1, in 1/65536, 1..=65535.
    #[inline(always)]
    pub fn p(&self) -> u32 {
        self.p
    }

    /// The bytes so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The number of groups of contexts.
    pub fn groups(&self) -> usize {
        self.shape.groups
    }

    /// Makes room for `more` bytes of history.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.history.reserve(more)
    }

    /// Learns the bit that was coded and predicts the next bit of the same byte. After a byte's last bit,
    /// [`Predictor::begin_byte`] must be called to predict the next one.
    #[inline(always)]
    pub fn update<const A: bool, const V: usize>(&mut self, bit: u32) {
        let node = self.node();
        self.c0 = self.c0 << 1 | bit;
        self.bit_position += 1;
        self.seen += 1;
        // What comes next is sought before this bit is learned, so that memory arrives in the meantime.
        match self.bit_position {
            4 => self.seek_nibble(),
            8 => {
                if let Some(expected) = self.doubtful {
                    self.learn_flag::<A>(u32::from(expected == self.c0 as u8));
                }
                self.push::<A>(self.c0 as u8);
            }
            _ => {}
        }
        self.mixer.update::<A, V>(bit, self.tables);
        for apm in &mut self.apms {
            apm.update(bit);
        }
        for matcher in &mut self.matchers {
            matcher.update(bit);
        }
        if on(Part::Direct) {
            self.direct.update(node, bit);
        }
        self.update_histories::<V>(node, bit);
        match self.bit_position {
            4 => self.start_nibble(),
            8 => {
                self.store_slots();
                return self.end_byte::<A>();
            }
            _ => {}
        }
        self.predict::<A, V>();
    }

    /// Predicts the first bit of the next byte. In a guided block, `guess` holds the guide's weights of the
    /// byte's values, summed for each node of the tree over its bits: entry c is the sum over the values
    /// whose bits start with those of c after its leading one.
    #[inline(always)]
    pub fn begin_byte<const A: bool, const V: usize>(&mut self, guess: Option<&[u32; 512]>) {
        if let Some(guess) = guess {
            self.guess.copy_from_slice(guess);
        }
        self.predict::<A, V>();
    }

    /// The logit of the next bit, in Q8 octaves, according to the guide or the model of samples, if there is one.
    #[inline(always)]
    fn guess(&self) -> Option<i32> {
        if let Some(samples) = &self.samples {
            return Some(samples.logit(self.c0, self.bit_position));
        }
        let at = 2 * (self.c0 as usize & 255);
        let is_guided = self.shape.start != Start::Unguided;
        is_guided.then(|| stretch(probability_of_one(self.guess[at], self.guess[at + 1])))
    }

    /// The node of the next bit in its nibble's tree, 1..=15.
    #[inline(always)]
    fn node(&self) -> usize {
        let c0 = if self.bit_position < 4 {
            self.c0
        } else {
            self.c0 & ((1 << (self.bit_position - 4)) - 1) | 1 << (self.bit_position - 4)
        };
        c0 as usize & 15
    }

    /// Learns a bit in the maps and the bit histories of all contexts.
    #[inline(always)]
    fn update_histories<const V: usize>(&mut self, node: usize, bit: u32) {
        let next = &self.states.next[bit as usize & 1];
        for group in 0..V - 1 {
            let (slots, maps) = (&mut self.current[group], &mut self.maps[group]);
            for i in 0..GROUP {
                let state = usize::from(slots[i][node & 15]);
                nudge(&mut maps[i][state], bit);
                // State 0 has seen nothing. Its map entry must not learn, so that new contexts stay silent.
                maps[i][0] = HALF;
                slots[i][node & 15] = next[state];
            }
        }
    }

    /// Copies the slots of the finished nibble back into the table.
    fn store_slots(&mut self) {
        for (&place, slot) in self.places[..self.contexts].iter().zip(self.current.as_flattened()) {
            *self.slots.slot(place) = *slot;
        }
    }

    /// Seeks the entries of the second nibble.
    fn seek_nibble(&mut self) {
        self.direct.seek(self.c0, self.history.c4 & 0xff, [self.hashes[0], self.hashes[1]]);
        for bucket in &mut self.buckets[..self.contexts] {
            *bucket = SlotTable::second_bucket(*bucket, self.c0);
            self.slots.prefetch(*bucket);
        }
    }

    /// Loads the slots of the second nibble.
    fn start_nibble(&mut self) {
        self.store_slots();
        self.direct.start();
        for i in 0..self.contexts {
            self.load_slot(i, SlotTable::second_check(self.hashes[i], self.c0));
        }
    }

    /// Finds the slot of a context in its bucket and copies it out.
    #[inline(always)]
    fn load_slot(&mut self, i: usize, check: u8) {
        let place = self.slots.find(self.buckets[i], check);
        self.places[i] = place;
        self.current[i / GROUP][i % GROUP] = *self.slots.slot(place);
    }

    /// Appends a complete byte to the history and seeks the entries of the next one.
    #[inline(always)]
    fn push<const A: bool>(&mut self, byte: u8) {
        // Where one byte was doubtful, the next one often is.
        self.sought = self.doubtful.is_some() || !self.goes_on(byte);
        self.history.push(byte);
        if let Some(samples) = &mut self.samples {
            samples.push::<A>(self.history.bytes());
        }
        for matcher in &mut self.matchers {
            matcher.seek(&self.history);
        }
        if self.sought {
            self.seek_contexts();
        }
        for matcher in &self.matchers {
            matcher.seek_candidate(&self.history);
        }
    }

    /// Computes the contexts of the next byte and seeks their lines and buckets.
    fn seek_contexts(&mut self) {
        match self.contexts {
            0..=8 => self.hash_contexts::<GROUP>(),
            9..=16 => self.hash_contexts::<{ 2 * GROUP }>(),
            _ => self.hash_contexts::<{ 3 * GROUP }>(),
        }
        self.direct.seek(0, self.history.c4 & 0xff, [self.hashes[0], self.hashes[1]]);
        for (bucket, &hash) in self.buckets.iter_mut().zip(&self.hashes[..self.contexts]) {
            *bucket = self.slots.bucket(hash);
            self.slots.prefetch(*bucket);
        }
    }

    /// Learns a complete byte and prepares the next one.
    fn end_byte<const A: bool>(&mut self) {
        // The mixer learns fast at first, and more slowly once its weights have settled.
        if self.seen & 0xfff == 0 {
            let kib = self.seen >> 13;
            self.mixer.set_rate(if kib < 8 {
                20
            } else if kib < 64 {
                14
            } else {
                10
            });
        }
        if on(Part::Matches) {
            for matcher in &mut self.matchers {
                matcher.push(&self.history);
            }
        }
        self.refused = false;
        self.seek_flag::<A>();
        if self.due.is_none() {
            self.load_contexts();
        }
    }

    /// Loads the slots of the next byte, which are sought now where that was put off.
    fn load_contexts(&mut self) {
        if !self.sought {
            self.seek_contexts();
        }
        self.start_contexts();
    }

    /// Computes the hashes of the first `N` contexts.
    #[inline(always)]
    fn hash_contexts<const N: usize>(&mut self) {
        let hashes = context::first::<N>(self.shape.kind, &self.history);
        self.hashes[..N].copy_from_slice(&hashes);
        let expected = self.samples.as_ref().map(Samples::expected);
        if let Some(replaced) = expected.and_then(|e| context::expected(self.shape.kind, &self.history, e)) {
            for (i, hash) in replaced {
                self.hashes[i] = hash;
            }
        }
    }

    /// Loads the slots of the next byte's first nibble.
    fn start_contexts(&mut self) {
        self.c0 = 1;
        self.bit_position = 0;
        self.direct.start();
        for i in 0..self.contexts {
            self.load_slot(i, self.hashes[i] as u8);
        }
        self.selector = context::selector(self.shape.kind, &self.history);
        self.order = self.current[0][..5].iter().filter(|slot| slot[1] != 0).count();
    }

    /// Predicts the next bit: selects the mixer's rows, gathers all inputs, mixes them and refines the
    /// result.
    ///
    /// The rows are selected by what tells how far inputs can be trusted: the bits of this byte so far, the
    /// last bytes, the length of the match or, without one, how many orders know this context, and the
    /// position in a line, record or instruction.
    #[inline(always)]
    fn predict<const A: bool, const V: usize>(&mut self) {
        let node = self.node();
        let tables = self.tables;
        let c0 = self.c0;
        let bp = self.bit_position;
        let c1 = self.history.c4 & 0xff;
        let c2 = self.history.c4 >> 8 & 0xff;
        let matched = self.matchers.each_mut().map(|m| m.predict(c0, bp, tables));
        let [m0, m1] = self.matchers.each_ref().map(Matcher::expected_bit);
        // The class of the longest match that expects a bit, 0 for none; and whether both models expect one,
        // and the same one.
        let class = if self.refused {
            0
        } else if m1.is_some() {
            self.matchers[1].class()
        } else if m0.is_some() {
            self.matchers[0].class()
        } else {
            0
        };
        let agree = match (m0, m1) {
            (Some(a), Some(b)) => 1 + (a == b) as usize,
            _ => 0,
        };
        let guess = self.guess();
        // The fourth family is selected by the byte before the last; where there is a guess, that tells more.
        let history_or_guess = guess.map_or(c2 as i32, |guess| ((guess + 4096) >> 8) << 3 | bp as i32);
        let match_or_order =
            if class > 0 { (class as usize * 3 + agree) * 8 } else { (42 + self.order) * 8 } + bp as usize;
        let match_or_order = if self.refused { bp as usize } else { match_or_order };
        // Samples rarely match or have a known context; how the bits compare with the expected ones tells more.
        let match_or_order = self.samples.as_ref().map_or(match_or_order, |s| s.relation(c0, bp));
        self.mixer.select(
            [
                c0 as usize,
                c1 as usize,
                match_or_order,
                history_or_guess as usize,
                self.selector * 8 + bp as usize,
            ],
            [self.selector, (self.order * 8 + bp as usize) * 4 + (class as usize + 3) / 5],
        );
        let expected_byte = match &self.samples {
            Some(samples) => samples.expected().byte.into(),
            None => self.matchers[0].expected_byte(),
        };
        let apm_contexts = [c0 as usize, (c0 | c1 << 8) as usize, (expected_byte << 8 | c0) as usize];
        for (apm, &context) in self.apms.iter().zip(&apm_contexts) {
            apm.prefetch(self.logit, context);
        }
        let [d0, d1, d2, d3] =
            if on(Part::Direct) { self.direct.predict(node, tables) } else { [0; DIRECTS] };
        let certain = guess.map_or(0, |guess| (tables.squash(guess) as i32 - 32768) >> 4);
        let first = [matched[0], matched[1], pair(256, guess.unwrap_or(0)), d0, d1, d2, d3, pair(certain, 0)];
        let inputs = self.mixer.inputs();
        spread::<A>(first, &mut inputs.0[0]);
        for group in 0..V - 1 {
            let (slots, maps) = (&self.current[group], &self.maps[group]);
            let state = |i: usize| usize::from(slots[i][node & 15]);
            let pairs = std::array::from_fn(|i| {
                let inputs = tables.inputs(maps[i][state(i)] >> 10);
                ablation::context_inputs(self.shape.kind, group * GROUP + i, inputs)
            });
            spread::<A>(pairs, &mut inputs.0[1 + group]);
        }
        let logit = self.mixer.mix::<A, V>();
        self.logit = logit;
        // The final stages correct the mixer where its probabilities turned out wrong in small contexts.
        // Averaging with the mixer's own result limits the damage of a stage that has seen little.
        let p0 = tables.squash_mixed(logit);
        let mut refined = |i: usize, part| {
            let p = self.apms[i].refine(logit, apm_contexts[i]);
            if on(part) { p } else { p0 }
        };
        let (p1, p2, p3) = (refined(0, Part::Stage0), refined(1, Part::Stage1), refined(2, Part::Stage2));
        self.p = ((p0 + 2 * p1 + 2 * p2 + 3 * p3 + 4) >> 3).clamp(1, 65535);
    }
}
