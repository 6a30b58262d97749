//! The size and the error of a tensor at each of a ladder of steps.

use crate::codebook::Codebook;
use crate::grid::Grid;
use crate::values;
use nzip::tensor::Dtype;

/// The most values that a sample has.
const SAMPLE: usize = 1 << 16;
/// The steps of the ladder: rms · 2^(2 − i/4).
const RUNGS: usize = 40;

/// A step for a tensor, with what its sample tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub step: f64,
    /// Whether each value takes the nearest level.
    pub plain: bool,
    /// Entropy in bits for each value.
    pub bits: f64,
    /// Mean square error over mean square.
    pub error: f64,
}

/// A tensor that may be quantised.
pub struct Candidate {
    /// From the coarsest step to the finest one.
    pub points: Vec<Point>,
    range: (f32, f32),
}

impl Candidate {
    /// Looks at the values of a tensor, which is to have levels, or a `codebook` of at most so many values.
    ///
    /// # Errors
    /// The reason for which it is kept.
    pub fn new(dtype: Dtype, bytes: &[u8], codebook: Option<usize>) -> Result<Self, &'static str> {
        let values = values::read(dtype, bytes);
        let mut range = (f32::INFINITY, f32::NEG_INFINITY);
        let mut square = 0.0;
        for &v in &values {
            if !v.is_finite() {
                return Err("infinities or NaN");
            }
            range = (range.0.min(v), range.1.max(v));
            square += f64::from(v) * f64::from(v);
        }
        let square = square / values.len() as f64;
        if square == 0.0 || range.0 == range.1 {
            return Err("constant");
        }
        let every = values.len().div_ceil(SAMPLE);
        // An odd stride meets all columns of a matrix.
        let sample: Vec<f32> = values.iter().step_by(every | 1).copied().collect();
        let point = |i: usize| {
            let step = square.sqrt() * 2f64.powf(2.0 - i as f64 / 4.0);
            let mean = |off: &dyn Fn(f32) -> f32| {
                sample.iter().map(|&v| f64::from(off(v)).powi(2)).sum::<f64>() / sample.len() as f64 / square
            };
            if let Some(most) = codebook {
                let book = Codebook::fit(&sample, step, most, dtype);
                let error = mean(&|v| v - book.value(book.choose(v)));
                return Some(Point { step, plain: false, bits: book.entropy(), error });
            }
            let grid = Grid::fit(&sample, range, step, dtype, false)?;
            let error = mean(&|v| v - grid.value(grid.level(v)));
            Some(Point { step, plain: false, bits: grid.entropy(), error })
        };
        let points: Vec<Point> = (0..RUNGS).map_while(point).collect();
        if points.is_empty() {
            Err("a few values are far larger than all others")
        } else {
            Ok(Self { points, range })
        }
    }

    /// The coarsest point that suits.
    pub fn cheapest(&self, suits: impl Fn(&Point) -> bool) -> Option<Point> {
        self.points.iter().copied().find(suits)
    }

    /// The finest point.
    pub fn finest(&self) -> Option<Point> {
        self.points.last().copied()
    }

    /// The point whose nearest levels have this step; `None` where there would be too many of them.
    pub fn exact(&self, step: f64) -> Option<Point> {
        let levels = (f64::from(self.range.1) - f64::from(self.range.0)) / step;
        (levels + 2.0 < crate::grid::MOST_LEVELS as f64).then_some(Point {
            step,
            plain: true,
            bits: 0.0,
            error: 0.0,
        })
    }

    /// The least and the greatest value.
    pub fn range(&self) -> (f32, f32) {
        self.range
    }
}
