//! Moves the values of a tensor to levels, one after the other, so that later ones make up for the errors of earlier ones.
//!
//! With H = L Lᵀ and G = M Mᵀ (Cholesky), tr(G E H Eᵀ) = |Mᵀ E L|² for the errors E = W − Q. Element (a, b) of Mᵀ E L
//! depends on the errors behind a and b alone, so that from the last element to the first, each value can be chosen where
//! its own term is least: successive cancellation, of which GPTQ is the case G = 1 (Frantar et al., 2022; Tseng et al.,
//! "Model-preserving adaptive rounding", 2025). The weight of an error is (M_aa L_bb)², and the step by which a bit saves
//! as much error there as anywhere else is proportional to its inverse root, as in "WaterSIC" (Lifar et al., 2026). Levels
//! are chosen with their code lengths in mind.

use super::factor::Factor;
use super::levels::{FARTHEST, Levels, Place, Tally};
use super::product::Matrix;
use nzip::tensor::Dtype;
use rayon::prelude::*;

/// Squared steps of error that are worth a bit: 2·ln 2 / 12 (Sullivan, 1996).
const WORTH: f64 = 0.1155;
/// The share of values whose steps are clamped from below to the tensor's least step.
const FINEST: usize = 20;
/// The most values of a sample that foretells a tensor's size.
const SAMPLE: usize = 1 << 16;
/// Rows that a thread takes at once where they do not depend on each other. It is the same for any number of threads.
const ROWS: usize = 256;

/// How errors of a tensor's values add up to squared errors of the network's outputs.
pub struct Sensitivity {
    /// Factor of the moments of the rows' outputs.
    pub rows: Factor,
    /// Factor of the moments of the columns' inputs.
    pub columns: Factor,
}

/// A tensor's values on levels.
pub struct Rounded {
    pub values: Matrix,
    pub step: f32,
    /// Bits for each value.
    pub entropy: f64,
}

/// A tensor that is to be rounded.
pub struct Task<'a> {
    pub weights: &'a Matrix,
    pub dtype: Dtype,
    pub sensitivity: &'a Sensitivity,
    /// Whether each value becomes zero.
    pub mask: Option<&'a [bool]>,
}

/// The steps of a tensor at some slope, in the order of the factors.
struct Steps {
    levels: Levels,
    /// Octaves above the least step, by row and by column.
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Task<'_> {
    /// Steps such that a bit is worth `slope` of squared output error everywhere.
    fn steps(&self, slope: f64) -> Steps {
        let s = self.sensitivity;
        let octaves =
            |f: &Factor| -> Vec<f32> { f.diagonal.iter().map(|d| -(d.max(1e-30).log2()) as f32).collect() };
        let (mut rows, columns) = (octaves(&s.rows), octaves(&s.columns));
        let every = (rows.len() * columns.len()).div_ceil(SAMPLE) | 1;
        let n = columns.len();
        let mut sums: Vec<f32> =
            (0..rows.len() * n).step_by(every).map(|i| rows[i / n] + columns[i % n]).collect();
        sums.sort_by(f32::total_cmp);
        let finest = sums.get(sums.len() / FINEST).copied().unwrap_or(0.0);
        let most = self.weights.values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let wanted = (0.5 * (slope / WORTH).log2()) as f32 + finest;
        // The farthest level is at least as far as the largest value, and no step is so large that all becomes zero.
        let step = wanted.exp2().clamp(most / FARTHEST as f32, 4.0 * most);
        let shift = wanted - step.log2() - finest;
        rows.iter_mut().for_each(|r| *r += shift);
        Steps { levels: Levels::new(step, self.dtype), rows, columns }
    }

    fn place(&self, steps: &Steps, a: usize, b: usize) -> Place {
        let s = self.sensitivity;
        let root = s.rows.diagonal[a] * s.columns.diagonal[b];
        Place::new(steps.rows[a] + steps.columns[b], (root * root) as f32)
    }

    /// Whether the value at a place in the order of the factors becomes zero.
    fn is_zero(&self, a: usize, b: usize) -> bool {
        let s = self.sensitivity;
        self.mask.is_some_and(|mask| mask[s.rows.order[a] * self.weights.columns + s.columns.order[b]])
    }

    /// Levels with costs learned from rounding a sample without compensation, and its entropy.
    fn learned(&self, slope: f64) -> (Steps, f64) {
        let mut steps = self.steps(slope);
        let s = self.sensitivity;
        let (m, n) = (self.weights.rows, self.weights.columns);
        let every = (m * n).div_ceil(SAMPLE) | 1;
        let sample: Vec<(f32, Place, bool)> = (0..m * n)
            .step_by(every)
            .map(|i| {
                let (a, b) = (i / n, i % n);
                let value = self.weights.row(s.rows.order[a])[s.columns.order[b]];
                (value, self.place(&steps, a, b), self.is_zero(a, b))
            })
            .collect();
        let mut entropy = 0.0;
        for _ in 0..4 {
            let mut tally = Tally::new();
            for &(value, place, is_zero) in &sample {
                let level = match is_zero {
                    true => steps.levels.zero(),
                    false => steps.levels.choose(value, place, slope as f32),
                };
                tally.note(place, level, value);
            }
            steps.levels.learn(&tally);
            entropy = tally.entropy();
        }
        (steps, entropy)
    }

    /// Bits for each value that the tensor will take, about.
    pub fn foretold(&self, slope: f64) -> f64 {
        self.learned(slope).1
    }

    /// Rounds the tensor, where a bit is worth `slope` of squared output error.
    pub fn round(&self, slope: f64) -> Rounded {
        let (mut steps, _) = self.learned(slope);
        let s = self.sensitivity;
        let w = self.ordered();
        // Levels and costs fit what compensation makes of the values from the second pass on.
        let mut tally = self.pass(&w, &steps, slope).1;
        steps.levels.learn(&tally);
        steps.levels.move_to_means(&tally, self.dtype);
        let numbers;
        (numbers, tally) = self.pass(&w, &steps, slope);
        let mut values = Matrix::zeros(w.rows, w.columns);
        for (a, &row) in s.rows.order.iter().enumerate() {
            let from = &numbers[a * w.columns..][..w.columns];
            let to = values.row_mut(row);
            for (number, &column) in from.iter().zip(&s.columns.order) {
                to[column] = steps.levels.values[usize::from(*number)];
            }
        }
        Rounded { values, step: steps.levels.step, entropy: tally.entropy() }
    }

    /// The values in the order of the factors.
    fn ordered(&self) -> Matrix {
        let s = self.sensitivity;
        let mut out = Matrix::zeros(self.weights.rows, self.weights.columns);
        for (a, &row) in s.rows.order.iter().enumerate() {
            let from = self.weights.row(row);
            out.row_mut(a).iter_mut().zip(&s.columns.order).for_each(|(v, c)| *v = from[*c]);
        }
        out
    }

    /// The level of each value, in the order of the factors.
    fn pass(&self, w: &Matrix, steps: &Steps, slope: f64) -> (Vec<u8>, Tally) {
        let n = w.columns;
        let mut numbers = vec![0u8; w.rows * n];
        let Some(lower) = &self.sensitivity.rows.lower else {
            // Rows do not depend on each other.
            let chunks = numbers.par_chunks_mut(ROWS * n).enumerate().map(|(i, part)| {
                let mut tally = Tally::new();
                let (none, mut errors) = (vec![0.0; n], vec![0.0; n]);
                for (j, out) in part.chunks_exact_mut(n).enumerate() {
                    let a = i * ROWS + j;
                    self.row(steps, slope, (a, w.row(a)), &none, (out, &mut errors), &mut tally);
                }
                tally
            });
            let tallies: Vec<Tally> = chunks.collect();
            let mut sum = Tally::new();
            tallies.iter().for_each(|t| sum.add(t));
            return (numbers, sum);
        };
        let mut tally = Tally::new();
        // What the errors of later rows add to each value.
        let mut felt = Matrix::zeros(w.rows, n);
        let mut errors = vec![0.0; n];
        for a in (0..w.rows).rev() {
            let (before, at) = felt.values.split_at_mut(a * n);
            let out = &mut numbers[a * n..][..n];
            self.row(steps, slope, (a, w.row(a)), &at[..n], (out, &mut errors), &mut tally);
            for (factor, row) in lower.row(a).iter().zip(before.chunks_exact_mut(n)) {
                row.iter_mut().zip(&errors).for_each(|(f, e)| *f += factor * e);
            }
        }
        (numbers, tally)
    }

    /// Rounds a row from its last value to its first. `felt` is what later rows add to each.
    fn row(
        &self,
        steps: &Steps,
        slope: f64,
        (a, w): (usize, &[f32]),
        felt: &[f32],
        (out, errors): (&mut [u8], &mut [f32]),
        tally: &mut Tally,
    ) {
        let mut wanted: Vec<f32> = w.iter().zip(felt).map(|(w, f)| w + f).collect();
        for b in (0..w.len()).rev() {
            let place = self.place(steps, a, b);
            let number = match self.is_zero(a, b) {
                true => steps.levels.zero(),
                false => steps.levels.choose(wanted[b], place, slope as f32),
            };
            tally.note(place, number, wanted[b]);
            out[b] = number;
            errors[b] = w[b] - steps.levels.values[usize::from(number)];
            if let Some(lower) = &self.sensitivity.columns.lower {
                let e = errors[b] + felt[b];
                wanted[..b].iter_mut().zip(lower.row(b)).for_each(|(v, l)| *v += e * l);
            }
        }
    }
}
