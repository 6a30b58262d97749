//! Adaptive probability maps: direct ones (`Counter` maps) and interpolated final stages.

use super::logistic::Tables;
use super::pages::Pages;
use crate::Result;
use crate::kernel::prefetch_at;

/// Reciprocals that set how fast a counter moves: entry n is 4096 / (n + 1.5), rounded down.
pub struct Rates([u32; 1024]);

impl Rates {
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

pub static RATES: Rates = Rates::new();

/// A probability (22 bits) with the number of bits that made it (10 bits).
pub type Counter = u32;

/// A counter that has seen nothing, at probability `p` / 65536.
pub const fn counter(p: u32) -> Counter {
    p << 16
}

/// Moves a counter towards `bit`; it counts up to `limit`.
#[inline(always)]
pub fn learn(counter: &mut Counter, bit: u32, limit: u32) {
    let n = *counter & 1023;
    let p = (*counter >> 13) as i32;
    let target = ((bit << 19) - bit) as i32;
    let step = ((target - p) * RATES.0[n as usize] as i32) >> 9;
    let moved = ((*counter >> 10) as i32 + step) as u32;
    *counter = moved << 10 | (n + u32::from(n < limit));
}

/// Moves a 22-bit probability towards `bit` by 1/128.
#[inline(always)]
pub fn nudge(p: &mut u32, bit: u32) {
    let target = ((bit << 22) - bit) as i32;
    *p = (*p as i32 + ((target - *p as i32) >> 7)) as u32;
}

/// The counter's probability in 12 bits.
#[inline(always)]
pub fn p12(counter: Counter) -> u32 {
    counter >> 20
}

/// Buckets of the logit axis: one each 256 (Q8), and the end.
const KNOTS: usize = 33;

/// A final stage: refines a probability in a small context by interpolating between learned knots.
pub struct Apm {
    knots: Pages<u16>,
    at: usize,
    rate: u32,
}

impl Apm {
    pub fn new(contexts: usize, tables: &Tables, rate: u32) -> Result<Self> {
        let row: Vec<u16> = (0..KNOTS as i32).map(|k| tables.squash((k - 16) * 256) as u16).collect();
        let mut knots = Pages::new(KNOTS * contexts)?;
        knots.as_chunks_mut::<KNOTS>().0.iter_mut().for_each(|to| to.copy_from_slice(&row));
        Ok(Self { knots, at: 0, rate })
    }

    /// Hints which context comes next.
    #[inline(always)]
    pub fn prefetch(&self, logit: i32, context: usize) {
        prefetch_at(&self.knots, context * KNOTS + ((logit + 4096) >> 8) as usize);
    }

    /// The refined probability in 1..=65535 of a logit in a context.
    #[inline(always)]
    pub fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let position = (logit + 4096) as usize;
        let (low, weight) = (position >> 8, (position & 255) as u32);
        let base = context * KNOTS + low;
        self.at = base + usize::from(weight >= 128);
        let (a, b) = (u32::from(self.knots[base]), u32::from(self.knots[base + 1]));
        ((a * (256 - weight) + b * weight) >> 8).max(1)
    }

    /// Learns from the bit that came.
    #[inline(always)]
    pub fn update(&mut self, bit: u32) {
        let knot = &mut self.knots[self.at];
        let target = if bit != 0 { 65535 } else { 0 };
        let p = i32::from(*knot);
        *knot = (p + ((target - p + (1 << (self.rate - 1))) >> self.rate)) as u16;
    }
}
