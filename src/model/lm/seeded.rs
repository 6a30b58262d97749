//! Random weights for tests, benchmarks and golden files, drawn from an integer generator.

use super::weights::{Config, Layer, Matrix, Weights};
use crate::random::SplitMix;

impl Weights {
    /// Draws weights of the given shape from a seed. The shifts keep activations within their usual
    /// magnitudes, so that every part of the step is exercised.
    ///
    /// # Panics
    /// If the shape is outside the limits of the specification.
    pub fn seeded(config: Config, seed: u64) -> Self {
        config.check().expect("a shape within the limits");
        let mut rng = SplitMix(seed);
        let tables = config
            .tables
            .iter()
            .map(|t| (0..config.table_width << t.log2_rows).map(|_| weight(&mut rng)).collect())
            .collect();
        let (d, h, m) = (config.width, config.state, config.hidden);
        let input = matrix(&mut rng, d, config.tables.len() * config.table_width, 1 << 12, 73);
        let layers = (0..config.layers)
            .map(|_| Layer {
                gates: matrix(&mut rng, 3 * h, d, 700, 1024),
                out: matrix(&mut rng, d, h, 1 << 10, 700),
                up: matrix(&mut rng, m, d, 300, 1024),
                down: matrix(&mut rng, d, m, 1 << 10, 700),
            })
            .collect();
        let head = matrix(&mut rng, 256, d, 800, 1024);
        Self { config, tables, input, layers, head }
    }
}

/// Draws a matrix whose shifts bring inputs of magnitude `input` to outputs of magnitude `output`.
fn matrix(rng: &mut SplitMix, rows: usize, cols: usize, output: u64, input: u64) -> Matrix {
    const RMS_OF_WEIGHTS: u64 = 73;
    let sum = RMS_OF_WEIGHTS * input * (cols as u64).isqrt();
    let shift = (sum / output).max(1).ilog2() as i64;
    let weights = (0..rows * cols).map(|_| weight(rng)).collect();
    let bias = (0..rows).map(|_| rng.below(sum + 1) as i32 - (sum / 2) as i32).collect();
    let shift = (0..rows).map(|_| (shift + rng.below(3) as i64 - 1).clamp(0, 31) as u8).collect();
    Matrix { rows, cols, weights, bias, shift }
}

/// Draws a weight in -127..=127.
fn weight(rng: &mut SplitMix) -> i8 {
    (rng.below(255) as i64 - 127) as i8
}
