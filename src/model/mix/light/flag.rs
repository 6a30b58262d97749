//! Flags: one decision in place of a whole byte where a long match expects it.
//!
//! In repeated text a byte's code would take several decisions that are all but certain. A flag says at once
//! that the expected byte comes. How sure that is depends on more than the length of the match, so that its
//! probability is mixed from several sources, like that of any other decision.

use super::kernel::{Row, SOURCES};
use super::{gather, inputs, learn, mix, train};
use crate::Result;
use crate::model::mix::apm::Apm;
use crate::model::mix::history::{History, mix_hash};
use crate::model::mix::logistic::Tables;
use crate::model::mix::matcher::Matcher;

/// The shortest match whose bytes are flagged, and the shortest one where the match has gone on after a miss.
const LONG: u32 = 16;
const AGAIN: u32 = 8;
/// log2 of the number of probabilities of each source.
const BITS: u32 = 14;
/// How slowly each source's probability follows the flags, as a shift.
const RATES: [u32; SOURCES] = [4, 4, 3, 3, 3, 3, 3, 4];
/// The first value of a probability (Q16): a match rarely ends.
const START: u16 = 63488;
/// The first weight of each source's logit, in Q14.
const WEIGHT: i16 = 2800;
/// The learning rate of the weights.
const RATE: i32 = 20;
/// The rows of the mixer, by class of match.
const ROWS: usize = 16;

/// Whether the next byte begins with a flag, where the match has this length after so many misses.
#[inline(always)]
pub fn is_due(length: u32, misses: u32) -> bool {
    length >= LONG || misses > 0 && length >= AGAIN
}

/// The flags' model.
pub struct Flags {
    /// The probability (Q16) that the expected byte comes, by source and place.
    probabilities: Box<[[u16; 1 << BITS]; SOURCES]>,
    rows: [Row; ROWS],
    stage: Apm,
    /// The last flags, the newest in the lowest bit.
    recent: u32,
}

impl Flags {
    /// A model that has seen no flag.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(tables: &Tables) -> Result<Self> {
        let mut row = Row([0; 2 * SOURCES]);
        row.0.as_chunks_mut::<2>().0.fill([0, WEIGHT]);
        Ok(Self {
            probabilities: vec![[START; 1 << BITS]; SOURCES].into_boxed_slice().try_into().expect("as many"),
            rows: [row; ROWS],
            stage: Apm::new(256, tables, 6)?,
            recent: u32::MAX,
        })
    }

    /// The place of each source's probability.
    #[inline(always)]
    fn places(&self, expected: u8, place: usize, history: &History, matcher: &Matcher) -> [usize; SOURCES] {
        let (e, c4) = (u32::from(expected), history.c4);
        let hashed = |context: u32| (mix_hash(context, e).wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize;
        let word = if history.word != 0 { history.word } else { history.gap };
        [
            place,
            (e << 4 | matcher.class()) as usize,
            hashed(c4 & 0xff),
            hashed(c4 & 0xffff),
            hashed(c4 & 0xff_ffff),
            hashed(mix_hash(c4, history.c8 & 0xff)),
            hashed(mix_hash(history.field, word)),
            (self.recent & 0xfff) as usize,
        ]
    }

    /// Codes whether the expected byte comes. `coder` is that of [`super::Light::code_byte`].
    #[inline(always)]
    pub fn code<const A: bool>(
        &mut self,
        (expected, place): (u8, usize),
        (history, matcher, tables): (&History, &Matcher, &Tables),
        coder: impl FnOnce(u32) -> u32,
    ) -> bool {
        let places = self.places(expected, place, history, matcher).map(|at| at & ((1 << BITS) - 1));
        let p = gather::<A>(std::array::from_fn(|i| self.probabilities[i][places[i]].into()));
        let x = inputs::<A>(&p);
        let row = matcher.class() as usize & (ROWS - 1);
        let logit = mix::<A>(&self.rows[row], &x);
        let mixed = tables.squash_mixed(logit);
        let refined = self.stage.refine(logit, expected.into());
        let got = coder((mixed + refined + 1) >> 1);
        let error = (((got << 16) as i32 - mixed as i32) * RATE) >> 8;
        train::<A>(&mut self.rows[row], &x, error as i16);
        self.stage.update(got);
        let p = learn::<A>(&p, got, &RATES);
        for ((source, at), p) in self.probabilities.iter_mut().zip(places).zip(p.0) {
            source[at] = p as u16;
        }
        self.recent = self.recent << 1 | got;
        got != 0
    }
}
