//! The predictor of the codec `light`: a few of the contexts of `mix`, one layer of mixing, one final stage,
//! and a code in which frequent bytes take few decisions. Specified in `formats/light.md`.

//!
//! As in `mix`, each context finds a bit history, whose state a map turns into a probability. What makes it
//! faster is the byte code: it is shaped like Huffman's, so that a byte takes about as many decisions as its
//! bits of order-0 entropy, and all work is per decision.
pub mod code;
pub mod flag;
pub mod kernel;
mod prime;

use super::apm::Apm;
use super::context::{self, Kind};
use super::history::History;
use super::logistic::{TABLES, Tables};
use super::matcher::{COUNTERS, Matcher, REFUSED};
use super::priors::Priors;
use super::shipped;
use super::slots::{SLOT, Slot, SlotTable};
use super::state::{STATES, StateTable};
use crate::Result;
use code::Code;
use flag::{Expected, Flags, LONG, SUREST};
use kernel::{RATES, Row, SOURCES, gather, inputs, learn, mix, train};

/// The number of contexts of a byte: the first ones of its kind.
pub const CONTEXTS: usize = context::FIRST;
/// The indices of the sources after the contexts: the newest byte, and the match model.
const NEWEST: usize = 6;
const MATCH: usize = 7;
/// The number of decisions whose states one slot of a context holds.
const SEGMENT: u32 = 4;
/// The rows of the mixer: by the number of known contexts (0..=6) or by class of match (1..=13), and by the
/// number of decisions so far.
const ROWS: usize = (CONTEXTS + 14) * 8;
/// The number of probabilities of each of the flags' sources.
const FLAG_PLACES: usize = 1 << 14;

/// The parameters of a predictor: everything that a decoder must know to build the same one.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The kind of data, which chooses the contexts.
    pub kind: Kind,
    /// The slot table takes 2^`memory_bits` bytes, 16..=24.
    pub memory_bits: u32,
    /// The most bytes of phrases that prime text.
    pub primed: usize,
    /// The code of bytes.
    pub code: Code,
    /// Whether bytes of long matches begin with flags.
    pub flags: bool,
}

/// Light context mixing over one block.
pub struct Light {
    shape: Shape,
    tables: &'static Tables,
    states: &'static StateTable,
    history: History,
    slots: SlotTable,
    /// The context hashes of the current byte, and the buckets of their slots for the segment that was sought
    /// last.
    hashes: [u32; CONTEXTS],
    buckets: [usize; CONTEXTS],
    /// Copies of the slots of the current segment, and the places in the table to which they return.
    current: [Slot; CONTEXTS],
    places: [usize; CONTEXTS],
    /// The probability (Q16) of a 1, by context and state.
    maps: Box<[[u16; 256]; CONTEXTS]>,
    /// The probability (Q16) of a 1, by newest byte and rank of the prefix.
    newest: Box<[u16; 65536]>,
    matcher: Matcher,
    flags: Flags<1, FLAG_PLACES>,
    /// The probability (Q16) that the expected bit comes, by the matcher's counter.
    expected: [u16; COUNTERS],
    rows: Box<[Row; ROWS]>,
    stage: Apm,
    /// The mixer's learning rate.
    rate: i32,
    /// How many contexts of the current byte have been seen before.
    known: usize,
}

impl Light {
    /// Starts from the maps and match counters that `mix` has learned for the kind.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(shape: Shape) -> Result<Self> {
        let tables: &'static Tables = &TABLES;
        let untrained;
        let start = match shipped::for_kind(shape.kind)? {
            Some(learned) => learned,
            None => {
                untrained = Priors::untrained();
                &untrained
            }
        };
        let mut maps = Box::new([[0; 256]; CONTEXTS]);
        for (to, &p) in maps.as_flattened_mut().iter_mut().zip(&start.maps) {
            *to = (p >> 6) as u16;
        }
        let mut row = Row([0; 2 * SOURCES]);
        row.0.as_chunks_mut::<2>().0.fill([0, 5000]);
        let heads = (shape.memory_bits - 6).clamp(16, 18);
        let slots = match shape.kind {
            Kind::Text => prime::primed(&shape)?,
            _ => SlotTable::new(shape.memory_bits)?,
        };
        let mut light = Self {
            tables,
            states: &STATES,
            history: History::new(shape.kind.is_x86()),
            slots,
            hashes: [0; CONTEXTS],
            buckets: [0; CONTEXTS],
            current: [[0; SLOT]; CONTEXTS],
            places: [0; CONTEXTS],
            maps,
            newest: Box::new([32768; 65536]),
            matcher: Matcher::new(6, heads, &[])?,
            flags: Flags::new(tables)?,
            expected: std::array::from_fn(|i| match i {
                REFUSED.. => 32768,
                _ => (start.counters[i] >> 16) as u16,
            }),
            rows: Box::new([row; ROWS]),
            stage: Apm::new(256, tables, 6)?,
            rate: 14,
            known: 0,
            shape,
        };
        light.seek_byte();
        light.start_byte();
        Ok(light)
    }

    /// The bytes so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The code of bytes.
    pub fn code(&self) -> &Code {
        &self.shape.code
    }

    /// Makes room for `more` bytes of history.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.history.reserve(more)
    }

    /// Codes the next byte and returns it. `coder` encodes or decodes one decision: it gets the probability,
    /// in 1/65536, that the decision is a 1, and returns the decision. With a byte, the decision is whether
    /// this one comes; without, it is the next bit of the byte's code. `A` says whether the code runs with
    /// AVX2.
    #[inline(always)]
    pub fn code_byte<const A: bool>(&mut self, mut coder: impl FnMut(u32, Option<u8>) -> u32) -> u8 {
        let flagged = self.is_flagged();
        if let Some((byte, place)) = self.matcher.expectation().filter(|_| flagged) {
            let expected = Expected { byte, place, class: self.matcher.class() };
            let places = [self.flags.places(expected, &self.history)];
            let p = self.flags.predict::<A>(expected, places, self.tables);
            let came = coder(p, Some(byte)) & 1;
            self.flags.learn::<A>(came);
            if came != 0 {
                self.end_byte(byte);
                return byte;
            }
            self.seek_byte();
            self.start_byte();
        }
        self.code_bits::<A>(flagged, |p| coder(p, None))
    }

    /// Whether the next byte begins with a flag.
    #[inline(always)]
    fn is_flagged(&self) -> bool {
        self.shape.flags && flag::is_due(LONG, self.matcher.length(), self.matcher.misses())
    }

    /// Codes the next byte bit by bit. `refused` says that the expected byte does not come.
    #[inline(always)]
    fn code_bits<const A: bool>(&mut self, refused: bool, mut coder: impl FnMut(u32) -> u32) -> u8 {
        let newest = (self.history.c4 as usize & 255) << 8;
        let (target, target_length, place) = match self.matcher.expectation() {
            Some((byte, place)) => {
                let (code, length) = self.shape.code.code(byte);
                (code | 1 << length, length, place)
            }
            None => (0, 0, 0),
        };
        let class = self.matcher.class() as usize;
        let (mut prefix, mut depth, mut node) = (1u32, 0u32, 1usize);
        loop {
            let number = self.shape.code.node(prefix);
            let states: [usize; CONTEXTS] = std::array::from_fn(|i| self.current[i][node & 15].into());
            let at_newest = newest | number;
            let rest = target_length.wrapping_sub(depth);
            let expects = target_length > depth && target >> rest == prefix;
            let bit = if expects { target >> (rest - 1) & 1 } else { 0 };
            let place = if refused { REFUSED + (rest as usize & 15) } else { place };
            let sure = u32::from(self.expected[place]);
            let match_p = if !expects {
                32768
            } else if bit != 0 {
                sure
            } else {
                65535 - sure
            };
            let mut p = [0; SOURCES];
            for i in 0..CONTEXTS {
                p[i] = self.maps[i][states[i]].into();
            }
            p[NEWEST] = self.newest[at_newest & 65535].into();
            p[MATCH] = match_p;
            let p = gather::<A>(p);
            let x = inputs::<A>(&p);
            let by = if expects { CONTEXTS + class } else { self.known };
            let row = (by * 8 + depth.min(7) as usize).min(ROWS - 1);
            let logit = mix::<A>(&self.rows[row], &x);
            let mixed = self.tables.squash_mixed(logit);
            let refined = self.stage.refine(logit, number);
            let sum = (mixed + refined + 1) >> 1;
            let got = coder(sum.clamp(SUREST, 65536 - SUREST)) & 1;

            prefix = prefix << 1 | got;
            depth += 1;
            let byte = self.shape.code.byte(prefix);
            // The next segment is sought before this decision is learned, so that memory arrives in the
            // meantime.
            if byte.is_none() && depth.is_multiple_of(SEGMENT) {
                self.seek_segment(prefix);
            }
            let error = (((got << 16) as i32 - mixed as i32) * self.rate) >> 8;
            train::<A>(&mut self.rows[row], &x, error as i16);
            self.stage.update(got);
            let p = learn::<A>(&p, got, &RATES);
            for ((map, state), p) in self.maps.iter_mut().zip(&states).zip(p.0) {
                map[*state] = p as u16;
            }
            self.newest[at_newest & 65535] = p.0[NEWEST] as u16;
            if expects {
                let q = p.0[MATCH] as u16;
                self.expected[place] = if bit != 0 { q } else { 65535 - q };
            }
            let next = &self.states.next[got as usize];
            for (slot, state) in self.current.iter_mut().zip(&states) {
                slot[node & 15] = next[*state];
            }
            node = node << 1 | got as usize;
            if let Some(byte) = byte {
                self.store_slots();
                self.end_byte(byte);
                return byte;
            }
            if depth.is_multiple_of(SEGMENT) {
                self.store_slots();
                for i in 0..CONTEXTS {
                    self.load_slot(i, SlotTable::second_check(self.hashes[i], prefix));
                }
                node = 1;
            }
        }
    }

    /// Copies the slots of the finished segment back into the table.
    #[inline(always)]
    fn store_slots(&mut self) {
        for (&place, slot) in self.places.iter().zip(&self.current) {
            *self.slots.slot(place) = *slot;
        }
    }

    /// Seeks the slots of the segment that starts at a prefix.
    #[inline(always)]
    fn seek_segment(&mut self, prefix: u32) {
        for bucket in &mut self.buckets {
            *bucket = SlotTable::second_bucket(*bucket, prefix);
            self.slots.prefetch(*bucket);
        }
    }

    /// Finds the slot of a context in its bucket and copies it out.
    #[inline(always)]
    fn load_slot(&mut self, i: usize, check: u8) {
        self.places[i] = self.slots.find(self.buckets[i], check);
        self.current[i] = *self.slots.slot(self.places[i]);
    }

    /// Appends a complete byte and prepares the next one.
    #[inline(always)]
    fn end_byte(&mut self, byte: u8) {
        // If the match goes on, the next byte begins with a flag and will most likely need no slots.
        let goes_on = self.shape.flags
            && flag::is_due(LONG, self.matcher.length() + 1, self.matcher.misses())
            && self.matcher.expectation().is_some_and(|(expected, _)| expected == byte);
        self.history.push(byte);
        self.matcher.seek(&self.history);
        if !goes_on {
            self.seek_byte();
        }
        self.matcher.push(&self.history);
        // The mixer learns fast at first, and more slowly once its weights have settled.
        self.rate = match self.history.len() {
            0..0x4000 => 14,
            0x4000..0x20000 => 8,
            _ => 5,
        };
        if !self.is_flagged() {
            self.start_byte();
        }
    }

    /// Computes the contexts of the next byte and seeks their buckets.
    #[inline(always)]
    fn seek_byte(&mut self) {
        self.hashes = context::first(self.shape.kind, &self.history);
        for (bucket, &hash) in self.buckets.iter_mut().zip(&self.hashes) {
            *bucket = self.slots.bucket(hash);
            self.slots.prefetch(*bucket);
        }
    }

    /// Loads the slots of the next byte's first segment.
    #[inline(always)]
    fn start_byte(&mut self) {
        for i in 0..CONTEXTS {
            self.load_slot(i, self.hashes[i] as u8);
        }
        self.known = self.current.iter().filter(|slot| slot[1] != 0).count();
    }
}
