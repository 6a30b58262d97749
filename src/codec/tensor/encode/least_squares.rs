//! Fits, by least squares, the coefficients that predict each column from the columns before it.
//!
//! The mean products of all pairs of columns form a symmetric matrix; its Cholesky factor gives the
//! coefficients of every column by substitution. Sums of products are integers. Everything computed from them
//! is in doubles, but only with additions, multiplications, divisions and square roots in a fixed order,
//! which every machine rounds alike. The stored results are integers again, and sizes in bytes decide whether
//! they are used.

use super::tile_columns::{SMALL_UNIT, TileColumns, column_size, octaves};
use crate::codec::tensor::stored::{LinearPrediction, coefficients_before};
use rayon::prelude::*;

/// The number of rows whose products are summed in 32 bits before they are added to wider sums.
const BATCH: usize = 512;
/// The largest number of coefficients.
const MAX_COEFFICIENTS: usize = 1 << 17;

/// A prediction that still lacks classes, scales and a map, and the figures by which these are chosen.
pub struct FittedPrediction {
    /// The prediction. All columns have class 8.
    pub prediction: LinearPrediction,
    /// For each column, the standard deviation of what the prediction leaves of it, in units of the stored
    /// values and of the row's size.
    pub left: Vec<f64>,
    /// The standard deviation of all predictions, in units of the products of coefficients and numbers.
    pub deviation: f64,
}

/// Fits a prediction for rows of `row` symbols, with as many predicting columns as the limit on coefficients
/// allows. `None` where the matrix has no Cholesky factor.
pub fn fit(tiles: &[TileColumns], values: &[i16; 256], row: usize) -> Option<FittedPrediction> {
    let most = (1..row).rev().find(|n| coefficients_before(row, *n) <= MAX_COEFFICIENTS).unwrap_or(1);
    let rows: usize = tiles.iter().map(|t| t.rows).sum();
    let sizes: Vec<f64> = (0..row).into_par_iter().map(|c| column_size(tiles, values, c)).collect();
    let mut products = MeanProducts::new(tiles, values, most, &sizes);
    products.factor(2.0 * row as f64 / rows as f64)?;
    let coefficients: Vec<Vec<f64>> = (0..row).map(|column| products.coefficients(column)).collect();
    let explained: f64 = products.lines.iter().flatten().map(|x| x * x).sum();
    let left = products.left.iter().zip(&sizes).map(|(l, size)| size * l.sqrt()).collect();
    // Coefficients in finer steps than this many rows can tell apart would cost more than they gain. The less
    // is left of the columns, the finer the steps that rows can tell apart.
    let certain: f64 = products.left.iter().map(|l| -octaves(l.sqrt())).sum::<f64>() / row as f64;
    let wanted =
        (usize::BITS - (rows / 8).leading_zeros()) / 2 + certain.clamp(0.0, 7.0).round_ties_even() as u32;
    let largest = coefficients.iter().flatten().fold(0.0f64, |m, c| m.max(c.abs()));
    let bits = (0..=wanted).rev().find(|b| largest * f64::from(1u32 << b) < 126.5).unwrap_or(0);
    let unit = f64::from(1u32 << bits);
    let quantised = |c: &f64| (c * unit).round_ties_even().clamp(-127.0, 127.0) as i8;
    let multiplier = |s: &f64| (256.0 / s).round_ties_even().clamp(1.0, 65535.0) as u16;
    let prediction = LinearPrediction {
        values: Box::new(*values),
        multipliers: sizes[..most].iter().map(multiplier).collect(),
        scales: [0; 16],
        columns: vec![8; row],
        coefficients: coefficients.iter().flatten().map(quantised).collect(),
        map: Box::new([0; 256]),
    };
    let deviation = (explained / row as f64).sqrt() * unit;
    Some(FittedPrediction { prediction, left, deviation })
}

/// The mean products of columns, with rows and columns scaled to the same size.
struct MeanProducts {
    /// For each column, its products with the first columns before it, at most `most` of them.
    /// [`Self::factor`] replaces them by the lower triangle of the factor, without its diagonal.
    lines: Vec<Vec<f64>>,
    /// The product of each column with itself. [`Self::factor`] replaces it by what the columns before leave
    /// of it, which is the square of the factor's diagonal.
    left: Vec<f64>,
}

impl MeanProducts {
    /// Computes the products of all columns, which have these sizes.
    fn new(tiles: &[TileColumns], values: &[i16; 256], most: usize, sizes: &[f64]) -> Self {
        let mut sums: Vec<Vec<i64>> = (0..sizes.len()).map(|i| vec![0; i.min(most) + 1]).collect();
        let mut rows = 0;
        for tile in tiles {
            for first in (0..tile.rows).step_by(BATCH) {
                let range = first..tile.rows.min(first + BATCH);
                rows += range.len();
                let numbers =
                    |(column, size): (usize, &f64)| tile.numbers(column, range.clone(), values, *size);
                let numbers: Vec<Vec<i16>> = sizes.iter().enumerate().map(numbers).collect();
                sums.par_iter_mut().enumerate().for_each(|(i, sums)| {
                    let others = numbers[..i.min(most)].iter().chain([&numbers[i]]);
                    sums.iter_mut().zip(others).for_each(|(sum, b)| *sum += product(&numbers[i], b));
                });
            }
        }
        let unit = rows as f64 * SMALL_UNIT * SMALL_UNIT;
        let mut lines: Vec<Vec<f64>> =
            sums.iter().map(|s| s.iter().map(|s| *s as f64 / unit).collect()).collect();
        let left = lines.iter_mut().filter_map(Vec::pop).collect();
        Self { lines, left }
    }

    /// Replaces the products by their Cholesky factor. `more` is added to the product of each column with
    /// itself, so that coefficients stay small where rows are few. `None` where rounding errors are all that
    /// is left of some column.
    fn factor(&mut self, more: f64) -> Option<()> {
        for i in 0..self.lines.len() {
            let (before, rest) = self.lines.split_at_mut(i);
            let own = &mut rest[0];
            for j in 0..own.len() {
                let known: f64 = own[..j].iter().zip(&before[j]).map(|(x, y)| x * y).sum();
                own[j] = (own[j] - known) / self.left[j].sqrt();
            }
            self.left[i] += more - own.iter().map(|x| x * x).sum::<f64>();
            if self.left[i] <= 0.0 {
                return None;
            }
        }
        Some(())
    }

    /// The coefficients by which the columns before this one predict it, from the factor.
    fn coefficients(&self, column: usize) -> Vec<f64> {
        let mut found = self.lines[column].clone();
        for i in (0..found.len()).rev() {
            found[i] /= self.left[i].sqrt();
            let x = found[i];
            found.iter_mut().zip(&self.lines[i]).for_each(|(f, l)| *f -= l * x);
        }
        found
    }
}

/// The sum of products of at most [`BATCH`] small numbers, which 32 bits hold.
fn product(a: &[i16], b: &[i16]) -> i64 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>().into()
}
