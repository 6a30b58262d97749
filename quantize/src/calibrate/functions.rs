//! The functions of networks that work on each row alone, and their derivatives.

use super::product::Matrix;
use rayon::prelude::*;

/// Values that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// A function of each value.
pub fn map(x: &Matrix, f: impl Fn(f32) -> f32 + Sync) -> Matrix {
    let mut out = x.clone();
    out.values.par_chunks_mut(CHUNK).for_each(|c| c.iter_mut().for_each(|v| *v = f(*v)));
    out
}

/// Errors times the slope of the function at `x`.
pub fn map_back(x: &Matrix, slope: impl Fn(f32) -> f32 + Sync, mut back: Matrix) -> Matrix {
    let chunks = back.values.par_chunks_mut(CHUNK).zip(x.values.par_chunks(CHUNK));
    chunks.for_each(|(b, x)| b.iter_mut().zip(x).for_each(|(b, x)| *b *= slope(*x)));
    back
}

/// The error function, within 1.5e-7 (Abramowitz and Stegun, "Handbook of mathematical functions", 7.1.26).
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = 0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4)));
    (1.0 - t * series * (-x * x).exp()).copysign(x)
}

/// x times the share of a normal distribution below x (Hendrycks and Gimpel, "Gaussian error linear units", 2016).
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The derivative of [`gelu`].
pub fn gelu_slope(x: f32) -> f32 {
    let density = (-0.5 * x * x).exp() * 0.398_942_3;
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * density
}

/// x times its logistic function.
pub fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// The derivative of [`silu`].
pub fn silu_slope(x: f32) -> f32 {
    let s = 1.0 / (1.0 + (-x).exp());
    s * (1.0 + x * (1.0 - s))
}

/// Adds a vector to each row.
pub fn add_to_rows(x: &mut Matrix, vector: &[f32]) {
    for row in x.values.chunks_exact_mut(vector.len().max(1)) {
        row.iter_mut().zip(vector).for_each(|(a, b)| *a += b);
    }
}

/// The mean that is taken off a row, and the factor that makes what is left one of mean square 1.
fn scale_of(row: &[f32], centred: bool, epsilon: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = if centred { row.iter().sum::<f32>() / n } else { 0.0 };
    let square = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
    (mean, 1.0 / (square + epsilon).sqrt())
}

/// Rows of mean square 1 (and, if `centred`, mean 0) times a gain for each column.
pub fn norm(x: &Matrix, gain: &[f32], centred: bool, epsilon: f32) -> Matrix {
    let mut out = x.clone();
    out.values.par_chunks_exact_mut(gain.len().max(1)).for_each(|row| {
        let (mean, factor) = scale_of(row, centred, epsilon);
        row.iter_mut().zip(gain).for_each(|(v, g)| *v = (*v - mean) * factor * g);
    });
    out
}

/// The errors of the inputs of [`norm`].
pub fn norm_back(x: &Matrix, gain: &[f32], centred: bool, epsilon: f32, back: &Matrix) -> Matrix {
    let mut out = back.clone();
    let n = gain.len().max(1);
    out.values.par_chunks_exact_mut(n).zip(x.values.par_chunks_exact(n)).for_each(|(b, x)| {
        let (mean, factor) = scale_of(x, centred, epsilon);
        b.iter_mut().zip(gain).for_each(|(b, g)| *b *= g);
        let unit = |v: f32| (v - mean) * factor;
        let along = b.iter().zip(x).map(|(b, v)| b * unit(*v)).sum::<f32>() / n as f32;
        let level = if centred { b.iter().sum::<f32>() / n as f32 } else { 0.0 };
        b.iter_mut().zip(x).for_each(|(b, v)| *b = (*b - level - unit(*v) * along) * factor);
    });
    out
}

/// The mean of the rows of each sequence.
pub fn pool(x: &Matrix, lengths: &[usize]) -> Matrix {
    let mut out = Matrix::zeros(lengths.len(), x.columns);
    let mut first = 0;
    for (i, &n) in lengths.iter().enumerate() {
        for r in first..first + n {
            out.row_mut(i).iter_mut().zip(x.row(r)).for_each(|(a, b)| *a += b / n as f32);
        }
        first += n;
    }
    out
}

/// The errors of the inputs of [`pool`].
pub fn pool_back(lengths: &[usize], back: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(lengths.iter().sum(), back.columns);
    let mut first = 0;
    for (i, &n) in lengths.iter().enumerate() {
        for r in first..first + n {
            out.row_mut(r).iter_mut().zip(back.row(i)).for_each(|(a, b)| *a = b / n as f32);
        }
        first += n;
    }
    out
}

/// The length of a row; never zero, so that it can divide.
fn length(row: &[f32]) -> f32 {
    row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12)
}

/// Rows of length 1.
pub fn unit(x: &Matrix) -> Matrix {
    let mut out = x.clone();
    for row in out.values.chunks_exact_mut(x.columns.max(1)) {
        let n = length(row);
        row.iter_mut().for_each(|v| *v /= n);
    }
    out
}

/// The errors of the inputs of [`unit`], whose results are `out`.
pub fn unit_back(x: &Matrix, out: &Matrix, back: &Matrix) -> Matrix {
    let mut result = back.clone();
    for r in 0..x.rows {
        let n = length(x.row(r));
        let along: f32 = out.row(r).iter().zip(back.row(r)).map(|(a, b)| a * b).sum();
        result.row_mut(r).iter_mut().zip(out.row(r)).for_each(|(b, o)| *b = (*b - along * o) / n);
    }
    result
}
