//! Online least squares: a weighted sum of neighbours whose weights keep the squared error small.
//!
//! The least squares of the last samples solve a system of equations whose coefficients are moments: averages of the
//! products of two neighbours, and of a neighbour and the sample. Solving it anew for each sample would take far more
//! time than everything else. Instead, each sample moves some of the weights to where each alone would be best
//! (coordinate descent, or the method of Gauss and Seidel); the solution moves so slowly that this keeps up with it.

use super::kernel::{TAPS, Taps, average, dot};

/// Weights are in 1/2^16, and at most eight in magnitude.
const WEIGHT_LOG2: u32 = 16;
const MOST: i64 = 8 << WEIGHT_LOG2;
/// What learning depends on.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The number of bits that moments have after the point: products of two inputs must be at most
    /// 2^(30 − `precision`) − 2^(10 − `precision`).
    pub precision: u32,
    /// log2 of the number of samples over which moments are averaged, 1..=11.
    pub window: u32,
    /// Every sample moves one in this number of weights.
    pub turns: usize,
}

/// The moments and weights of the samples of one channel.
pub struct LeastSquares {
    /// The averages of the products of neighbours, and of each neighbour with the sample, in 1/2^`precision`.
    products: [Taps; TAPS],
    targets: Taps,
    weights: Taps,
    pace: Pace,
    /// The first weight that the next sample moves.
    turn: usize,
}

impl LeastSquares {
    /// Knows nothing.
    pub fn new(pace: Pace) -> Self {
        Self { products: [[0; TAPS]; TAPS], targets: [0; TAPS], weights: [0; TAPS], pace, turn: 0 }
    }

    /// The expected sample in 1/2^16, given its neighbours.
    #[inline(always)]
    pub fn expect<const A: bool>(&self, x: &Taps) -> i64 {
        dot::<A>(&self.weights, x)
    }

    /// Learns the sample that came.
    #[inline(always)]
    pub fn learn<const A: bool>(&mut self, x: &Taps, sample: i32) {
        let Pace { precision, window, turns } = self.pace;
        for (moments, x_i) in self.products.iter_mut().zip(x) {
            average::<A>(moments, x_i << precision, x, window);
        }
        average::<A>(&mut self.targets, sample << precision, x, window);
        self.turn = (self.turn + 1) % turns;
        for i in (self.turn..TAPS).step_by(turns) {
            let products = &self.products[i];
            let rest = (i64::from(self.targets[i]) << WEIGHT_LOG2) - dot::<A>(products, &self.weights);
            // The best step would be rest / product. The next power of two as the divisor needs no division.
            let divisor = products[i] as u32 + (1 << precision);
            let moved = i64::from(self.weights[i]) + (rest >> (divisor.ilog2() + 1));
            self.weights[i] = moved.clamp(-MOST, MOST) as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weighted_sum_is_found() {
        let mut squares = LeastSquares::new(Pace { precision: 14, window: 11, turns: 8 });
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as i32 - 128
        };
        let mut worst = 0;
        for i in 0..4000 {
            let x: Taps = std::array::from_fn(|_| next());
            let sample = (3 * x[0] - 2 * x[17] + x[31]) / 4;
            if i >= 3000 {
                worst = worst.max((squares.expect::<false>(&x) - (i64::from(sample) << 16)).abs());
            }
            squares.learn::<false>(&x, sample.clamp(-255, 255));
        }
        assert!(worst < 4 << 16, "{worst}");
    }

    #[test]
    fn extreme_samples_stay_in_range() {
        for (precision, window, limit) in [(14, 11, 255), (6, 11, 4095), (6, 9, 4095)] {
            let mut squares = LeastSquares::new(Pace { precision, window, turns: 8 });
            for i in 0..20_000 {
                let x = std::array::from_fn(|k| if (i * (k + 3) / 97) % 2 == 0 { limit } else { -limit });
                squares.learn::<false>(&x, if i / 5000 % 2 == 0 { limit } else { -limit });
            }
            assert!(squares.weights.iter().all(|w| i64::from(w.abs()) <= MOST));
        }
    }
}
