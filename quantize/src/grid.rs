//! Levels for the values of a tensor: multiples of a step, chosen by error and by what they cost once they are
//! entropy-coded.

use crate::entropy;
use crate::values::rounded;
use nzip::tensor::Dtype;

/// The most levels: what the codec's palettes hold.
pub const MOST_LEVELS: usize = 256;
/// The error, in squared steps, that is worth a bit: the slope of the rate–distortion curve of a uniform quantiser with
/// entropy coding, 2·ln 2 / 12 (Sullivan, "Efficient scalar quantization of exponential and Laplacian random variables",
/// 1996).
pub const WORTH: f64 = 0.1155;
/// Rounds in which values choose levels, and levels their costs.
const ROUNDS: usize = 3;
/// Up to these multiples of the step all, every 8th and every 64th are levels: a few outliers must not make the step coarse
/// for all other values. That is 97 + 84 + 64 levels.
const ALL: i32 = 48;
const EIGHTHS: i32 = 384;
const FARTHEST: i32 = 2432;

/// The level nearest to a multiple of the step, as a multiple.
fn snapped(multiple: i32) -> i32 {
    let to = |n: i32| (multiple + n / 2 * multiple.signum()) / n * n;
    match multiple.abs() {
        0..=ALL => multiple,
        49..=EIGHTHS => to(8),
        _ => to(64).clamp(-FARTHEST, FARTHEST),
    }
}

/// The levels of a tensor.
pub struct Grid {
    step: f64,
    /// The multiple of the step that the first level stands for.
    first: i32,
    /// Whether all multiples are levels.
    plain: bool,
    /// The cost of each level, in squared steps.
    costs: Vec<f64>,
    /// The value of each level.
    values: Vec<f32>,
    /// How many values each level stands for.
    counts: Vec<u64>,
}

impl Grid {
    /// Levels for `values`, which lie between `least` and `most`; `None` where there would be too many.
    ///
    /// A `plain` grid takes the nearest multiple for each value. Any other one has fewer levels for outliers, takes a
    /// cheaper level where that is worth the error, and moves levels to the means of their values; zero stays zero, so
    /// that what was pruned stays pruned.
    pub fn fit(
        values: &[f32],
        (least, most): (f32, f32),
        step: f64,
        dtype: Dtype,
        plain: bool,
    ) -> Option<Self> {
        let (first, last) = ((f64::from(least) / step).round(), (f64::from(most) / step).round());
        let farthest = f64::from(FARTHEST);
        let fits =
            if plain { last - first < MOST_LEVELS as f64 } else { first >= -farthest && last <= farthest };
        if !fits || first.abs() > 1e6 {
            return None;
        }
        // Snapping may round an outlier up.
        let (first, last) =
            if plain { (first as i32, last as i32) } else { (first as i32 - 64, last as i32 + 64) };
        let n = (last - first) as usize + 1;
        let level = |i: usize| ((first + i as i32) as f64 * step) as f32;
        let values_of = (0..n).map(|i| rounded(dtype, level(i))).collect();
        let mut grid =
            Self { step, first, plain, costs: vec![0.0; n], values: values_of, counts: vec![0; n] };
        grid.count(values);
        if plain {
            return Some(grid);
        }
        for _ in 0..ROUNDS {
            let all = values.len().max(1) as f64;
            for (cost, &count) in grid.costs.iter_mut().zip(&grid.counts) {
                *cost = WORTH * -((count as f64 + 0.1) / all).log2();
            }
            grid.count(values);
        }
        grid.move_levels(values, dtype);
        Some(grid)
    }

    /// The number of the level for a value.
    #[inline]
    pub fn level(&self, value: f32) -> usize {
        if value == 0.0 && self.first <= 0 {
            return (-self.first) as usize;
        }
        let x = f64::from(value) / self.step - f64::from(self.first);
        let near = x.round().clamp(0.0, (self.costs.len() - 1) as f64) as usize;
        let multiple = near as i32 + self.first;
        if self.plain || multiple.abs() >= ALL {
            let multiple = if self.plain { multiple } else { snapped(multiple) };
            return (multiple - self.first) as usize;
        }
        let cost = |i: usize| (x - i as f64) * (x - i as f64) + self.costs[i];
        // A cheaper level lies next to the nearest one, except where hardly any value is.
        let (low, high) = (near.saturating_sub(1), (near + 1).min(self.costs.len() - 1));
        let mut best = near;
        for i in [low, high] {
            if cost(i) < cost(best) {
                best = i;
            }
        }
        best
    }

    /// The value of a level.
    pub fn value(&self, level: usize) -> f32 {
        self.values[level]
    }

    fn count(&mut self, values: &[f32]) {
        let mut counts = vec![0; self.counts.len()];
        values.iter().for_each(|&v| counts[self.level(v)] += 1);
        self.counts = counts;
    }

    fn move_levels(&mut self, values: &[f32], dtype: Dtype) {
        let mut sums = vec![0.0; self.values.len()];
        values.iter().for_each(|&v| sums[self.level(v)] += f64::from(v));
        for (i, (sum, &count)) in sums.iter().zip(&self.counts).enumerate() {
            if count > 0 && self.first + i as i32 != 0 {
                self.values[i] = rounded(dtype, (sum / count as f64) as f32);
            }
        }
    }

    /// The entropy of the levels in bits for each value.
    pub fn entropy(&self) -> f64 {
        entropy::mean(&self.counts)
    }

    /// The number of levels in use.
    pub fn used(&self) -> usize {
        entropy::used(&self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that follow a bell curve, the same in every run.
    fn bell(n: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..n).map(|_| (0..12).map(|_| next()).sum::<f32>() - 6.0).collect()
    }

    fn error(values: &[f32], grid: &Grid) -> f64 {
        let off = |v: f32| f64::from(v - grid.value(grid.level(v)));
        values.iter().map(|&v| off(v) * off(v)).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn cheap_levels_beat_the_nearest_ones_at_the_same_rate() {
        let values = bell(50_000);
        let range = (-6.0, 6.0);
        let plain = Grid::fit(&values, range, 0.5, Dtype::F32, true).unwrap();
        // A finer step at the same entropy.
        let mut step = 0.5;
        let mut thrifty = Grid::fit(&values, range, step, Dtype::F32, false).unwrap();
        while thrifty.entropy() < plain.entropy() {
            step *= 0.995;
            thrifty = Grid::fit(&values, range, step, Dtype::F32, false).unwrap();
        }
        assert!(step < 0.5 && error(&values, &thrifty) < error(&values, &plain));
    }

    #[test]
    fn nearest_levels_are_off_by_half_a_step_at_most() {
        let values = bell(5_000);
        let grid = Grid::fit(&values, (-6.0, 6.0), 0.125, Dtype::F32, true).unwrap();
        assert!(values.iter().all(|&v| (v - grid.value(grid.level(v))).abs() <= 0.0626));
    }

    #[test]
    fn zero_stays_zero_and_too_many_levels_are_refused() {
        let mut values = bell(5_000);
        values[..1000].fill(0.0);
        let grid = Grid::fit(&values, (-6.0, 6.0), 0.7, Dtype::F16, false).unwrap();
        assert_eq!(grid.value(grid.level(0.0)), 0.0);
        assert!(Grid::fit(&values, (-6.0, 6.0), 0.01, Dtype::F32, true).is_none());
    }

    #[test]
    fn outliers_have_few_levels() {
        let all: std::collections::BTreeSet<i32> = (-3000..3000).map(snapped).collect();
        assert!(all.len() <= MOST_LEVELS, "{}", all.len());
        assert!((-3000..3000).all(|m: i32| snapped(-m) == -snapped(m)));
        let mut values = bell(5_000);
        values[17] = 400.0;
        let grid = Grid::fit(&values, (-6.0, 400.0), 0.25, Dtype::F32, false).unwrap();
        assert!((grid.value(grid.level(400.0)) - 400.0).abs() < 1e-3 && grid.used() < 60);
    }
}
