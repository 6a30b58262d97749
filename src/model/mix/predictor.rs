//! The predictor: probability of the next bit from everything before it.

use super::ablation::{self, Part, on};
use super::apm::{Apm, counter, nudge};
use super::context::{self, Kind, MAX_CONTEXTS};
use super::direct::{DIRECTS, Direct};
use super::history::History;
use super::kernel::{Row, Short};
use super::logistic::{TABLES, Tables, pair};
use super::matcher::{COUNTERS, Matcher};
use super::mixer::{FAMILIES, FINALS, Mixer, WIDTH, spread};
use super::priors::{self, Priors, SIZES};
use super::slots::{SLOT, Slot, SlotTable};
use super::state::{STATES, StateTable};
use crate::model::fixed::{probability_of_one, stretch};
use crate::{Error, ErrorKind, Result};

/// What a decoder must know to build the same predictor.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub kind: Kind,
    /// The slot table takes 2^`memory_bits` bytes.
    pub memory_bits: u32,
    /// Contexts used in eights, 1..=3; the kind's first ones.
    pub groups: usize,
    /// Bytes of phrases that prime text, at most.
    pub primed: usize,
    /// Whether and how another model's distribution comes with every byte.
    pub guide: Guide,
}

/// Whether text is guided by another model, and what it starts from then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guide {
    /// Not guided.
    None,
    /// Guided; starts from what unguided text has learned.
    Derived,
    /// Guided; starts from what was learned with the model of this hash.
    Learned([u8; 32]),
}

/// Contexts that make up one vector of inputs.
pub const GROUP: usize = 8;
/// Most vectors of contexts.
const GROUPS: usize = MAX_CONTEXTS / GROUP;
/// One context's probabilities by state.
type Map = [u32; 256];
/// Places of the guess's two inputs in the first vector.
const GUESS: [usize; 2] = [5, 14];
/// A map's probability of one half; what an unseen context gets.
const HALF: u32 = 1 << 21;

/// The start without learned priors.
pub fn untrained() -> Priors {
    let mut row = [0; 256];
    for (c, [zeros, ones]) in row.iter_mut().zip(STATES.counts) {
        let (a, b) = (u32::from(zeros) * 2 + 1, u32::from(ones) * 2 + 1);
        *c = (1 << 22) / (a + b) * b;
    }
    row[0] = HALF;
    let mut last = Short([0; WIDTH]);
    last.0[..FAMILIES].fill((16384 / FAMILIES) as i16);
    let mut first = Row::splat(0);
    for (i, w) in first.0.as_flattened_mut().iter_mut().enumerate() {
        *w = if i < 16 || i % 2 == 0 { 3000 } else { 0 };
    }
    Priors {
        maps: row.repeat(MAX_CONTEXTS),
        counters: vec![counter(52000); 2 * COUNTERS],
        rows: vec![first; SIZES.iter().sum()],
        finals: vec![last; FINALS],
    }
}

/// A start for guided text that has no priors of its own: the guess leads, what text has learned follows.
pub fn guided(text: &Priors) -> Priors {
    let mut priors = text.clone();
    for row in &mut priors.rows {
        row.0.as_flattened_mut().iter_mut().for_each(|w| *w /= 2);
        row.0[0][GUESS[0]] = 9000;
        row.0[0][GUESS[1]] = 0;
    }
    priors
}

/// Walks a nibble's tree.
fn learn_nibble(slot: &mut Slot, nibble: u8, states: &StateTable) {
    let mut node = 1;
    for shift in [3, 2, 1, 0] {
        let bit = usize::from(nibble >> shift & 1);
        slot[node] = states.next[bit][usize::from(slot[node])];
        node = (node << 1 | bit) & 15;
    }
}

/// Context mixing over one block.
pub struct Predictor {
    shape: Shape,
    tables: &'static Tables,
    states: &'static StateTable,
    history: History,
    slots: SlotTable,
    /// Contexts used.
    contexts: usize,
    hashes: [u32; MAX_CONTEXTS],
    buckets: [usize; MAX_CONTEXTS],
    /// Where the slots in use came from.
    places: [usize; MAX_CONTEXTS],
    current: [[Slot; GROUP]; GROUPS],
    /// 22-bit probabilities by context and state.
    maps: Box<[[Map; GROUP]; GROUPS]>,
    matchers: [Matcher; 2],
    direct: Direct,
    mixer: Mixer,
    apms: [Apm; 3],
    guess: Box<[u32; 512]>,
    /// The bits of the byte in progress behind a leading one.
    c0: u32,
    bit_position: u32,
    order: usize,
    selector: usize,
    p: u32,
    logit: i32,
    /// Bits seen, for the learning rate.
    seen: u64,
}

impl Predictor {
    /// Starts from the shipped priors of the shape's kind.
    pub fn new(shape: Shape) -> Result<Self> {
        let learned = priors::for_kind(shape.kind).filter(|_| on(Part::Priors));
        match (shape.guide, learned) {
            (Guide::Learned(hash), _) => match priors::for_guide(&hash) {
                Some(learned) => Self::with_priors(shape, learned),
                None => {
                    let message = "priors for the model of a guided mix block: needs a newer nzip";
                    Err(Error::new(ErrorKind::NewerVersion, message))
                }
            },
            (Guide::Derived, Some(text)) => Self::with_priors(shape, &guided(text)),
            (_, Some(learned)) => Self::with_priors(shape, learned),
            (_, None) => Self::with_priors(shape, &untrained()),
        }
    }

    /// Starts from given priors.
    pub fn with_priors(shape: Shape, priors: &Priors) -> Result<Self> {
        let (first, second) = priors.counters.split_at(COUNTERS);
        let mut maps = Box::new([[[0; 256]; GROUP]; GROUPS]);
        maps.as_flattened_mut().as_flattened_mut().copy_from_slice(&priors.maps);
        let tables: &'static Tables = &TABLES;
        let states: &'static StateTable = &STATES;
        let hashes = [0; MAX_CONTEXTS];
        let history = History::new(shape.kind == Kind::Code);
        let heads = shape.memory_bits.saturating_sub(6).clamp(16, 22);
        let mut predictor = Self {
            shape,
            tables,
            states,
            history,
            slots: SlotTable::new(shape.memory_bits)?,
            contexts: shape.groups.min(MAX_CONTEXTS / GROUP) * GROUP,
            hashes,
            buckets: [0; MAX_CONTEXTS],
            places: [0; MAX_CONTEXTS],
            current: [[[0; SLOT]; GROUP]; GROUPS],
            maps,
            matchers: [Matcher::new(6, heads, first)?, Matcher::new(12, heads, second)?],
            direct: Direct::new()?,
            mixer: Mixer::new(SIZES, &priors.rows, &priors.finals),
            apms: [Apm::new(256, tables, 6)?, Apm::new(65536, tables, 6)?, Apm::new(65536, tables, 6)?],
            guess: Box::new([0; 512]),
            c0: 1,
            bit_position: 0,
            order: 0,
            selector: 0,
            p: 32768,
            logit: 0,
            seen: 0,
        };
        if shape.kind == Kind::Text {
            predictor.absorb(priors::phrases(shape.primed));
        }
        predictor.seek_contexts();
        predictor.start_contexts();
        Ok(predictor)
    }

    /// What this predictor has learned, as a start for others.
    pub fn priors(&self) -> Priors {
        Priors {
            maps: self.maps.as_flattened().as_flattened().to_vec(),
            counters: self.matchers.iter().flat_map(|m| m.counters.iter().copied()).collect(),
            rows: self.mixer.rows().to_vec(),
            finals: self.mixer.finals().to_vec(),
        }
    }

    /// Probability that the next bit is a one, in 1..=65535 of 65536.
    #[inline(always)]
    pub fn p(&self) -> u32 {
        self.p
    }

    /// Bytes so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Contexts used in eights.
    pub fn groups(&self) -> usize {
        self.shape.groups
    }

    /// Makes room for `more` bytes of history.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.history.reserve(more)
    }

    /// Primes the bit histories with phrases, each ended by a zero byte, as if each were a block's start.
    fn absorb(&mut self, phrases: &[u8]) {
        // The slots of a byte are asked for some bytes before they are changed.
        const AHEAD: usize = 4;
        let mut line: [([u32; MAX_CONTEXTS], u8); AHEAD] = [([0; MAX_CONTEXTS], 0); AHEAD];
        let mut n = 0;
        for phrase in phrases.split(|&b| b == 0) {
            self.history.cut();
            for &byte in phrase {
                let (hashes, before) = &mut line[n % AHEAD];
                if n >= AHEAD {
                    Self::absorb_byte(&mut self.slots, self.states, self.contexts, hashes, *before);
                }
                context::fill(self.shape.kind, &self.history, hashes);
                *before = byte;
                for &i in context::PRIMED.iter().filter(|&&i| i < self.contexts) {
                    let bucket = self.slots.bucket(hashes[i]);
                    self.slots.prefetch(bucket);
                    self.slots.prefetch(SlotTable::second_bucket(bucket, u32::from(byte) >> 4 | 16));
                }
                self.history.push(byte);
                n += 1;
            }
        }
        for k in n.saturating_sub(AHEAD)..n {
            let (hashes, byte) = &line[k % AHEAD];
            Self::absorb_byte(&mut self.slots, self.states, self.contexts, hashes, *byte);
        }
        self.history = History::new(self.shape.kind == Kind::Code);
    }

    fn absorb_byte(
        slots: &mut SlotTable,
        states: &StateTable,
        contexts: usize,
        hashes: &[u32; MAX_CONTEXTS],
        byte: u8,
    ) {
        let c0 = u32::from(byte) >> 4 | 16;
        for &i in context::PRIMED.iter().filter(|&&i| i < contexts) {
            let bucket = slots.bucket(hashes[i]);
            slots.learn(bucket, hashes[i] as u8, |slot| learn_nibble(slot, byte >> 4, states));
            let check = (hashes[i] as u8).wrapping_add((c0 as u8).wrapping_mul(0x3D));
            let bucket = SlotTable::second_bucket(bucket, c0);
            slots.learn(bucket, check, |slot| learn_nibble(slot, byte & 15, states));
        }
    }

    /// Takes the bit that came and predicts the next one of the same byte.
    #[inline(always)]
    pub fn update<const A: bool, const V: usize>(&mut self, bit: u32) {
        let node = self.node();
        self.c0 = self.c0 << 1 | bit;
        self.bit_position += 1;
        self.seen += 1;
        // Memory is asked for what comes next before this bit is learned.
        match self.bit_position {
            4 => self.seek_nibble(),
            8 => self.seek_byte(),
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
            8 => return self.start_byte(),
            _ => {}
        }
        self.predict::<A, V>();
    }

    /// Predicts the first bit of the next byte. Guided, `guess` holds another model's weights of the byte's values,
    /// summed up by node: entry c belongs to the values whose bits start with those of c behind its leading one.
    #[inline(always)]
    pub fn begin_byte<const A: bool, const V: usize>(&mut self, guess: Option<&[u32; 512]>) {
        if let Some(guess) = guess {
            self.guess.copy_from_slice(guess);
        }
        self.predict::<A, V>();
    }

    /// The guess for the next bit in Q8 octaves.
    #[inline(always)]
    fn guess(&self) -> i32 {
        let at = 2 * (self.c0 as usize & 255);
        stretch(probability_of_one(self.guess[at], self.guess[at + 1]))
    }

    #[inline(always)]
    fn node(&self) -> usize {
        let c0 = if self.bit_position < 4 {
            self.c0
        } else {
            self.c0 & ((1 << (self.bit_position - 4)) - 1) | 1 << (self.bit_position - 4)
        };
        c0 as usize & 15
    }

    #[inline(always)]
    fn update_histories<const V: usize>(&mut self, node: usize, bit: u32) {
        let next = &self.states.next[bit as usize & 1];
        for group in 0..V - 1 {
            let (slots, maps) = (&mut self.current[group], &mut self.maps[group]);
            for i in 0..GROUP {
                let state = usize::from(slots[i][node & 15]);
                nudge(&mut maps[i][state], bit);
                maps[i][0] = HALF;
                slots[i][node & 15] = next[state];
            }
        }
    }

    fn store_slots(&mut self) {
        for (&place, slot) in self.places[..self.contexts].iter().zip(self.current.as_flattened()) {
            *self.slots.slot(place) = *slot;
        }
    }

    /// Asks for what the second nibble needs.
    fn seek_nibble(&mut self) {
        self.direct.seek(self.c0, self.history.c4 & 0xff, [self.hashes[0], self.hashes[1]]);
        for bucket in &mut self.buckets[..self.contexts] {
            *bucket = SlotTable::second_bucket(*bucket, self.c0);
            self.slots.prefetch(*bucket);
        }
    }

    fn start_nibble(&mut self) {
        self.store_slots();
        self.direct.start();
        for i in 0..self.contexts {
            let check = (self.hashes[i] as u8).wrapping_add((self.c0 as u8).wrapping_mul(0x3D));
            self.load_slot(i, check);
        }
    }

    #[inline(always)]
    fn load_slot(&mut self, i: usize, check: u8) {
        let place = self.slots.find(self.buckets[i], check);
        self.places[i] = place;
        self.current[i / GROUP][i % GROUP] = *self.slots.slot(place);
    }

    /// Takes up the byte that is complete and asks for what the next one needs.
    fn seek_byte(&mut self) {
        self.history.push(self.c0 as u8);
        for matcher in &mut self.matchers {
            matcher.seek(&self.history);
        }
        self.seek_contexts();
        for matcher in &self.matchers {
            matcher.seek_candidate(&self.history);
        }
    }

    fn seek_contexts(&mut self) {
        context::fill(self.shape.kind, &self.history, &mut self.hashes);
        self.direct.seek(0, self.history.c4 & 0xff, [self.hashes[0], self.hashes[1]]);
        for (bucket, &hash) in self.buckets.iter_mut().zip(&self.hashes[..self.contexts]) {
            *bucket = self.slots.bucket(hash);
            self.slots.prefetch(*bucket);
        }
    }

    fn start_byte(&mut self) {
        self.store_slots();
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
        self.start_contexts();
    }

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
        let class = if m1.is_some() {
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
        let guess = if self.shape.guide != Guide::None { self.guess() } else { 0 };
        let history_or_guess =
            if self.shape.guide != Guide::None { ((guess + 4096) >> 8) << 3 | bp as i32 } else { c2 as i32 };
        let match_or_order =
            if class > 0 { (class as usize * 3 + agree) * 8 } else { (42 + self.order) * 8 } + bp as usize;
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
        let apm_contexts =
            [c0 as usize, (c0 | c1 << 8) as usize, (self.matchers[0].expected_byte() << 8 | c0) as usize];
        for (apm, &context) in self.apms.iter().zip(&apm_contexts) {
            apm.prefetch(self.logit, context);
        }
        let [d0, d1, d2, d3] =
            if on(Part::Direct) { self.direct.predict(node, tables) } else { [0; DIRECTS] };
        let certain =
            if self.shape.guide != Guide::None { (tables.squash(guess) as i32 - 32768) >> 4 } else { 0 };
        let first = [matched[0], matched[1], pair(256, guess), d0, d1, d2, d3, pair(certain, 0)];
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
        let p0 = tables.squash_mixed(logit);
        let mut refined = |i: usize, part| {
            let p = self.apms[i].refine(logit, apm_contexts[i]);
            if on(part) { p } else { p0 }
        };
        let (p1, p2, p3) = (refined(0, Part::Stage0), refined(1, Part::Stage1), refined(2, Part::Stage2));
        self.p = ((p0 + 2 * p1 + 2 * p2 + 3 * p3 + 4) >> 3).clamp(1, 65535);
    }
}
