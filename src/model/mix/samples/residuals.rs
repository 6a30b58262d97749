//! Distributions of residuals: how far bytes lie from the expected ones, learned for each class of places.

use super::kernel::{ONE_LOG2, PLACES, Sums, shift};
use crate::model::mix::logistic::{LIMIT, line};

/// What a value gets in addition to its share, in 1/2^22, so that no value is impossible.
const FLOOR: i32 = 4;
/// The place of the residual 0.
const CENTRE: i32 = PLACES as i32 / 2;

/// One distribution for each class, as sums: for each residual, the probability of those below it.
pub struct Residuals {
    sums: Vec<Sums>,
    /// The class of the next byte, the byte that is expected, and whether it counts modulo 256.
    class: usize,
    expected: i32,
    wraps: bool,
}

impl Residuals {
    /// Distributions that have learned nothing: small residuals are more probable than large ones.
    pub fn new(classes: usize) -> Self {
        Self { sums: vec![start(); classes], class: 0, expected: 0, wraps: false }
    }

    /// Selects the distribution of the next byte.
    pub fn select(&mut self, class: usize, expected: u8, wraps: bool) {
        (self.class, self.expected, self.wraps) = (class, expected.into(), wraps);
    }

    /// The logit in Q8 octaves that the next bit is a 1, within [`LIMIT`]. `c0` is a leading one followed by the bits of
    /// the byte so far, and `position` is their number.
    #[inline(always)]
    pub fn logit(&self, c0: u32, position: u32) -> i32 {
        let half = 128 >> position;
        let low = ((c0 << (8 - position)) & 255) as i32;
        let [zero, one] = [low, low + half].map(|from| self.share(from, from + half));
        (line(one) - line(zero)).clamp(-LIMIT, LIMIT)
    }

    /// The probability of the bytes `from..to`.
    #[inline(always)]
    fn share(&self, from: i32, to: i32) -> u32 {
        let place = CENTRE - self.expected;
        let mut share = self.between(from + place, to + place);
        if self.wraps {
            share += self.between(from + place - 256, to + place - 256);
            share += self.between(from + place + 256, to + place + 256);
        }
        (share + FLOOR * (to - from)) as u32
    }

    /// The probability of the places `from..to`.
    #[inline(always)]
    fn between(&self, from: i32, to: i32) -> i32 {
        let sums = &self.sums[self.class];
        let sum = |place: i32| sums.get(place.max(0) as usize).copied().unwrap_or(1 << ONE_LOG2);
        sum(to) - sum(from)
    }

    /// Learns the byte that came.
    #[inline(always)]
    pub fn learn<const A: bool>(&mut self, byte: u8) {
        let residual = i32::from(byte) - self.expected;
        let residual = if self.wraps { ((residual + 128) & 255) - 128 } else { residual };
        shift::<A>(&mut self.sums[self.class], (residual + CENTRE) as usize);
    }
}

/// The sums at the start: the residual r has a share in proportion to 1 / ((|r| + 1)² + 8).
fn start() -> Sums {
    let weight = |place: usize| {
        let distance = place.abs_diff(CENTRE as usize) as u64 + 1;
        (1 << 30) / (distance * distance + 8)
    };
    let total: u64 = (0..PLACES).map(weight).sum();
    let mut sum = 0;
    std::array::from_fn(|place| {
        let before = (sum << ONE_LOG2) / total;
        sum += weight(place);
        before as i32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares of all 256 bytes.
    fn shares(residuals: &Residuals) -> Vec<u32> {
        (0..256).map(|byte| residuals.share(byte, byte + 1)).collect()
    }

    #[test]
    fn every_byte_keeps_a_share_and_what_comes_often_grows() {
        let mut residuals = Residuals::new(2);
        for (expected, wraps) in [(0, false), (255, false), (3, true), (200, true)] {
            residuals.select(1, expected, wraps);
            let before = shares(&residuals);
            assert!(before.iter().all(|share| *share >= FLOOR as u32), "{expected}");
            for _ in 0..2000 {
                residuals.learn::<false>(7);
            }
            let after = shares(&residuals);
            assert!(after.iter().all(|share| *share >= FLOOR as u32), "{expected}");
            assert!(after[7] > before[7] && after[7] > 4_000_000, "{expected}: {}", after[7]);
            // Byte 7 is 0000_0111.
            assert!(residuals.logit(1, 0) < -3000 && residuals.logit(0b10_0000, 5) > 3000);
        }
    }
}
