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
    /// Probabilities (Q16), [`KNOTS`] for each context; zeros for contexts that have not occurred yet.
    knots: Pages<u16>,
    /// The first values of a context's knots; none is 0, and none becomes 0.
    start: [u16; KNOTS],
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
        let start = std::array::from_fn(|k| tables.squash((k as i32 - 16) * 256) as u16);
        Ok(Self { knots: Pages::new(KNOTS * contexts)?, start, at: 0, rate })
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
        if self.knots[base] == 0 {
            self.begin(context);
        }
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

    /// Fills in the knots of a context that occurs for the first time: to fill in all of them at the start would take
    /// most of the time of a short block.
    #[cold]
    fn begin(&mut self, context: usize) {
        self.knots[context * KNOTS..][..KNOTS].copy_from_slice(&self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mix::logistic::TABLES;

    #[test]
    fn stages_start_as_identities_and_no_knot_becomes_zero() {
        let mut stage = Apm::new(2, &TABLES, 6).unwrap();
        for logit in (-4096..=4095).step_by(256) {
            assert_eq!(stage.refine(logit, 1), TABLES.squash(logit).max(1), "{logit}");
        }
        for logit in [-4096, -4000, 0, 4095] {
            for bit in [0, 1].repeat(2).into_iter().flat_map(|bit| [bit; 2000]) {
                stage.refine(logit, 0);
                stage.update(bit);
            }
            (0..5000).for_each(|_| {
                stage.refine(logit, 0);
                stage.update(0);
            });
            assert!(stage.knots[..KNOTS].iter().all(|k| *k > 0));
        }
    }
}
