//! Flags: one decision in place of a whole byte where a long match expects it.
//!
//! In repeated text a byte's code would take several decisions that are all but certain. A flag says at once
//! that the expected byte comes. How sure that is depends on more than the length of the match, so that its
//! probability is mixed from several sources, like that of any other decision.

use super::kernel::{Probabilities, Row, SOURCES, gather, inputs, learn, mix, train};
use crate::Result;
use crate::model::mix::apm::Apm;
use crate::model::mix::history::{History, mix_hash};
use crate::model::mix::logistic::{LIMIT, Tables};

/// The shortest match that `light` flags.
pub const LONG: u32 = 16;
/// A decision's probability stays this far from 0 and from 65536: even the surest decision costs some
/// payload, which bounds the raw bytes that a payload can stand for.
pub const SUREST: u32 = 8;
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

/// Whether the next byte begins with a flag, where the match has this length after so many misses. `shortest` is the
/// shortest match whose bytes are flagged; half of it is enough where the match has gone on after a miss.
#[inline(always)]
pub fn is_due(shortest: u32, length: u32, misses: u32) -> bool {
    length >= shortest || misses > 0 && length >= shortest / 2
}

/// A match that expects a byte.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The byte.
    pub byte: u8,
    /// The index of the match model's counter, or another number below 2^14 that tells as much.
    pub place: usize,
    /// The match model's class of length, 1..=13.
    pub class: u32,
}

/// The flags' model: `H` times [`SOURCES`] sources with `N` probabilities each, a power of two from 2^14.
pub struct Flags<const H: usize, const N: usize> {
    /// The probability (Q16) that the expected byte comes, by source and place.
    probabilities: Box<[[u16; N]]>,
    rows: [[Row; H]; ROWS],
    stage: Apm,
    /// The last flags, the newest in the lowest bit.
    recent: u32,
    /// The inputs of the last prediction.
    places: [[usize; SOURCES]; H],
    p: [Probabilities; H],
    x: [Row; H],
    class: usize,
    mixed: u32,
}

impl<const H: usize, const N: usize> Flags<H, N> {
    /// A model that has seen no flag.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(tables: &Tables) -> Result<Self> {
        let mut row = Row([0; 2 * SOURCES]);
        row.0.as_chunks_mut::<2>().0.fill([0, WEIGHT / H as i16]);
        Ok(Self {
            probabilities: vec![[START; N]; H * SOURCES].into_boxed_slice(),
            rows: [[row; H]; ROWS],
            stage: Apm::new(256, tables, 6)?,
            recent: u32::MAX,
            places: [[0; SOURCES]; H],
            p: [Probabilities([0; SOURCES]); H],
            x: [Row([0; 2 * SOURCES]); H],
            class: 0,
            mixed: 32768,
        })
    }

    /// The place of a hashed context of the expected byte.
    #[inline(always)]
    pub fn hashed(context: u32, expected: u8) -> usize {
        (mix_hash(context, expected.into()).wrapping_mul(0x9E37_79B1) >> (32 - N.ilog2())) as usize
    }

    /// The places of the first sources' probabilities.
    #[inline(always)]
    pub fn places(&self, expected: Expected, history: &History) -> [usize; SOURCES] {
        let c4 = history.c4;
        let hashed = |context| Self::hashed(context, expected.byte);
        [
            expected.place,
            usize::from(expected.byte) << 4 | expected.class as usize,
            hashed(c4 & 0xff),
            hashed(c4 & 0xffff),
            hashed(c4 & 0xff_ffff),
            hashed(mix_hash(c4, history.c8 & 0xff)),
            hashed(mix_hash(history.field, history.word_or_gap())),
            (self.recent & 0xfff) as usize,
        ]
    }

    /// The probability in 1/65536 that the expected byte comes, given the places of all sources' probabilities;
    /// [`SUREST`] from 0 and from 65536 or more.
    #[inline(always)]
    pub fn predict<const A: bool>(
        &mut self,
        expected: Expected,
        places: [[usize; SOURCES]; H],
        tables: &Tables,
    ) -> u32 {
        self.places = places.map(|half| half.map(|at| at & (N - 1)));
        self.class = expected.class as usize & (ROWS - 1);
        self.p = std::array::from_fn(|h| {
            gather::<A>(std::array::from_fn(|i| {
                self.probabilities[h * SOURCES + i][self.places[h][i]].into()
            }))
        });
        self.x = self.p.each_ref().map(inputs::<A>);
        let logits = self.rows[self.class].iter().zip(&self.x).map(|(row, x)| mix::<A>(row, x));
        let logit = logits.sum::<i32>().clamp(-LIMIT, LIMIT);
        self.mixed = tables.squash_mixed(logit);
        let refined = self.stage.refine(logit, expected.byte.into());
        ((self.mixed + refined + 1) >> 1).clamp(SUREST, 65536 - SUREST)
    }

    /// Learns whether the expected byte of the last prediction came.
    #[inline(always)]
    pub fn learn<const A: bool>(&mut self, came: u32) {
        let error = (((came << 16) as i32 - self.mixed as i32) * RATE) >> 8;
        for (row, x) in self.rows[self.class].iter_mut().zip(&self.x) {
            train::<A>(row, x, error as i16);
        }
        self.stage.update(came);
        let learned = self.p.each_ref().map(|p| learn::<A>(p, came, &RATES).0);
        let moved = self.places.as_flattened().iter().zip(learned.as_flattened());
        for (source, (at, p)) in self.probabilities.iter_mut().zip(moved) {
            source[*at] = *p as u16;
        }
        self.recent = self.recent << 1 | came;
    }
}
