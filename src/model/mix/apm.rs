//! Adaptive probabilities: counters, and the final stages that correct a probability given a small context.

use super::logistic::Tables;
use super::pages::Pages;
use crate::Result;
use crate::kernel::prefetch_at;

/// The learning rate of a counter after n bits: entry n is 4096 / (n + 1.5), rounded down.
pub struct Rates([u32; 1024]);

impl Rates {
    /// Computes the table.
    pub const fn new() -> Self {
        let mut table = [0; 1024];
        let mut n = 0;
        while n < 1024 {
            table[n] = (8192 / (2 * n + 3)) as u32;
            n += 1;
        }
        Self(table)
    }
}

/// The shared table of rates.
pub static RATES: Rates = Rates::new();

/// A probability in the upper 22 bits, and in the lower 10 the number of bits that it is based on. It starts
/// as the mean of the bits, and becomes a running average once that number reaches its limit.
pub type Counter = u32;

/// A counter with probability `p` / 65536 that has seen no bit.
pub const fn counter(p: u32) -> Counter {
    p << 16
}

/// Moves a counter towards `bit`. Its number of bits stops growing at `limit`.
#[inline(always)]
pub fn learn(counter: &mut Counter, bit: u32, limit: u32) {
    let n = *counter & 1023;
    let p = (*counter >> 13) as i32;
    let target = ((bit << 19) - bit) as i32;
    let step = ((target - p) * RATES.0[n as usize] as i32) >> 9;
    let moved = ((*counter >> 10) as i32 + step) as u32;
    *counter = moved << 10 | (n + u32::from(n < limit));
}

/// A probability of one half in 22 bits: that of a context that has seen nothing.
pub const HALF: u32 = 1 << 21;

/// Moves a 22-bit probability towards `bit` by 1/128 of the distance.
#[inline(always)]
pub fn nudge(p: &mut u32, bit: u32) {
    let target = ((bit << 22) - bit) as i32;
    *p = (*p as i32 + ((target - *p as i32) >> 7)) as u32;
}

/// The probability of a counter in 12 bits.
#[inline(always)]
pub fn p12(counter: Counter) -> u32 {
    counter >> 20
}

/// The number of knots in a row: one for every octave of the logit from −16 to 16.
const KNOTS: usize = 33;

/// A final stage (an adaptive probability map, as in PAQ). For each of its contexts it learns which
/// probability bits really have when the mixer gives a certain logit. It keeps what it has learned at knots
/// along the logits, and interpolates between two knots.
pub struct Apm {
    /// Probabilities (Q16), [`KNOTS`] for each context.
    knots: Pages<u16>,
    /// The index of the knot nearest to the last logit.
    at: usize,
    /// For each bit, a knot moves by 2^-rate of its distance from the bit.
    rate: u32,
}

impl Apm {
    /// A stage that changes nothing yet.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(contexts: usize, tables: &Tables, rate: u32) -> Result<Self> {
        let row: Vec<u16> = (0..KNOTS as i32).map(|k| tables.squash((k - 16) * 256) as u16).collect();
        let mut knots = Pages::new(KNOTS * contexts)?;
        knots.as_chunks_mut::<KNOTS>().0.iter_mut().for_each(|to| to.copy_from_slice(&row));
        Ok(Self { knots, at: 0, rate })
    }

    /// Hints that a logit near this one will soon be refined in this context.
    #[inline(always)]
    pub fn prefetch(&self, logit: i32, context: usize) {
        prefetch_at(&self.knots, context * KNOTS + ((logit + 4096) >> 8) as usize);
    }

    /// The refined probability in 1/65536, 1..=65535, of a logit in a context.
    #[inline(always)]
    pub fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let position = (logit + 4096) as usize;
        let (low, weight) = (position >> 8, (position & 255) as u32);
        let base = context * KNOTS + low;
        self.at = base + usize::from(weight >= 128);
        let (a, b) = (u32::from(self.knots[base]), u32::from(self.knots[base + 1]));
        ((a * (256 - weight) + b * weight) >> 8).max(1)
    }

    /// Learns the bit that followed the last refined logit.
    #[inline(always)]
    pub fn update(&mut self, bit: u32) {
        let knot = &mut self.knots[self.at];
        let target = if bit != 0 { 65535 } else { 0 };
        let p = i32::from(*knot);
        *knot = (p + ((target - p + (1 << (self.rate - 1))) >> self.rate)) as u16;
    }
}
