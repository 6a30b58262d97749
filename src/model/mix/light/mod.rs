//! The predictor of the codec `light`: a few of the contexts of `mix`, one layer of mixing, one final stage,
//! and a code in which frequent bytes take few decisions. Specified in `formats/light.md`.

//!
//! As in `mix`, each context finds a bit history, whose state a map turns into a probability. What makes it
//! faster is the byte code: it is shaped like Huffman's, so that a byte takes about as many decisions as its
//! bits of order-0 entropy, and all work is per decision.
pub mod code;
pub mod kernel;

use super::apm::Apm;
use super::context::{self, Kind};
use super::history::History;
use super::logistic::{TABLES, Tables};
use super::matcher::{COUNTERS, Matcher};
use super::priors::Priors;
use super::shipped;
use super::slots::{SLOT, Slot, SlotTable};
use super::state::{STATES, StateTable};
use crate::Result;
use code::Code;
use kernel::{Probabilities, Row, SOURCES};

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
/// A decision's probability stays this far from 0 and from 65536: even the surest decision costs some
/// payload, which bounds the raw bytes that a payload can stand for.
const SUREST: u32 = 8;

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
        let mut light = Self {
            tables,
            states: &STATES,
            history: History::new(shape.kind == Kind::Code),
            slots: SlotTable::new(shape.memory_bits)?,
            hashes: [0; CONTEXTS],
            buckets: [0; CONTEXTS],
            current: [[0; SLOT]; CONTEXTS],
            places: [0; CONTEXTS],
            maps,
            newest: Box::new([32768; 65536]),
            matcher: Matcher::new(6, heads, &[])?,
            expected: std::array::from_fn(|i| (start.counters[i] >> 16) as u16),
            rows: Box::new([row; ROWS]),
            stage: Apm::new(256, tables, 6)?,
            rate: 14,
            known: 0,
            shape,
        };
        if light.shape.kind == Kind::Text {
            light.prime();
        }
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

    /// Enters phrases into the bit histories of all contexts, as if each phrase stood at the start of a
    /// block.
    fn prime(&mut self) {
        for phrase in shipped::phrases(self.shape.primed).split(|&b| b == 0) {
            self.history.cut();
            for &byte in phrase {
                let hashes = context::first(Kind::Text, &self.history);
                let (code, length) = self.shape.code.code(byte);
                for hash in hashes {
                    prime_context(&mut self.slots, self.states, hash, code | 1 << length, length);
                }
                self.history.push(byte);
            }
        }
        self.history = History::new(false);
    }

    /// Codes the next byte and returns it. `coder` encodes or decodes one decision: it gets the probability,
    /// in 1/65536, that the decision is a 1, and returns the decision. `A` says whether the code runs with
    /// AVX2.
    #[inline(always)]
    pub fn code_byte<const A: bool>(&mut self, mut coder: impl FnMut(u32) -> u32) -> u8 {
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
            let p = learn::<A>(&p, got);
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
        self.history.push(byte);
        self.matcher.seek(&self.history);
        self.seek_byte();
        self.matcher.push(&self.history);
        // The mixer learns fast at first, and more slowly once its weights have settled.
        self.rate = match self.history.len() {
            0..0x4000 => 14,
            0x4000..0x20000 => 8,
            _ => 5,
        };
        self.start_byte();
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

/// Enters the code of a byte, which has a leading one, into the bit histories of a context.
fn prime_context(slots: &mut SlotTable, states: &StateTable, hash: u32, code: u32, length: u32) {
    let (mut bucket, mut check) = (slots.bucket(hash), hash as u8);
    for start in (0..length).step_by(SEGMENT as usize) {
        let end = length.min(start + SEGMENT);
        slots.learn(bucket, check, |slot| {
            let mut node = 1;
            for depth in start..end {
                let bit = (code >> (length - 1 - depth) & 1) as usize;
                slot[node & 15] = states.next[bit][usize::from(slot[node & 15])];
                node = node << 1 | bit;
            }
        });
        let prefix = code >> (length - end);
        bucket = SlotTable::second_bucket(bucket, prefix);
        check = SlotTable::second_check(hash, prefix);
    }
}

/// Defines functions that run the AVX2 form of a kernel where their parameter `A` says so.
macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty: $scalar:expr;)*) => {$(
        $(#[$doc])*
        #[allow(unsafe_code)] // the call of a function that needs AVX2
        #[inline(always)]
        fn $name<const A: bool>($($arg: $type),*) -> $out {
            #[cfg(target_arch = "x86_64")]
            if A {
                // SAFETY: `A` is only chosen where the processor has AVX2.
                return unsafe { kernel::avx2::$name($($arg),*) };
            }
            $scalar
        }
    )*};
}

kernels! {
    /// Puts the probabilities of all sources next to each other.
    gather(p: [u32; SOURCES]) -> Probabilities: Probabilities(p);
    /// See [`kernel::inputs_scalar`].
    inputs(p: &Probabilities) -> Row: kernel::inputs_scalar(p);
    /// See [`kernel::mix_scalar`].
    mix(row: &Row, x: &Row) -> i32: kernel::mix_scalar(row, x);
    /// See [`kernel::train_scalar`].
    train(row: &mut Row, x: &Row, error: i16) -> (): kernel::train_scalar(row, x, error);
    /// See [`kernel::learn_scalar`].
    learn(p: &Probabilities, bit: u32) -> Probabilities: kernel::learn_scalar(p, bit);
}
