//! Triangular factors of moments.

use super::product::Matrix;
use rayon::prelude::*;

/// The share of the mean square that is added to every square before factoring, so that directions that the calibration
/// hardly saw still count.
const DAMPING: f64 = 0.01;

/// A matrix of moments as L·Lᵀ, its rows and columns in another order.
#[derive(Debug, Clone)]
pub struct Factor {
    /// The place in the tensor of each row of L: those of large moments last.
    pub order: Vec<usize>,
    /// The diagonal of L.
    pub diagonal: Vec<f64>,
    /// L with each column divided by its diagonal element; `None` stands for the unit matrix.
    pub lower: Option<Matrix>,
}

impl Factor {
    /// A factor without any relation between rows: the roots of the weights.
    pub fn diagonal(weights: &[f64]) -> Self {
        Self {
            order: (0..weights.len()).collect(),
            diagonal: weights.iter().map(|w| w.sqrt()).collect(),
            lower: None,
        }
    }

    /// The roots of the squares themselves, in the order of the tensor: what errors weigh where nothing makes up for them.
    pub fn roots(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.order.len()];
        for (i, &place) in self.order.iter().enumerate() {
            out[place] = match &self.lower {
                Some(lower) => {
                    let part = |(l, d): (&f32, &f64)| (f64::from(*l) * d).powi(2);
                    lower.row(i)[..=i].iter().zip(&self.diagonal).map(part).sum::<f64>().sqrt()
                }
                None => self.diagonal[i],
            };
        }
        out
    }

    /// The diagonal in the order of the tensor: what errors weigh where those before them make up for them.
    pub fn weights(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.order.len()];
        self.order.iter().zip(&self.diagonal).for_each(|(place, d)| out[*place] = *d);
        out
    }

    /// Whether any weight is more than zero, and all are finite.
    pub fn tells(&self) -> bool {
        self.diagonal.iter().all(|d| d.is_finite()) && self.diagonal.iter().any(|d| *d > 0.0)
    }

    /// Factors a symmetric matrix, given as a function of row and column. Where it is all zero or not finite, nothing
    /// weighs.
    pub fn new(n: usize, moment: impl Fn(usize, usize) -> f64 + Sync) -> Self {
        let mean = (0..n).map(|i| moment(i, i)).sum::<f64>() / n.max(1) as f64;
        if !(mean > 0.0 && mean.is_finite()) {
            return Self::diagonal(&vec![0.0; n]);
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| moment(*a, *a).total_cmp(&moment(*b, *b)));
        let damping = DAMPING * mean;
        let mut lower = vec![0.0f64; n * n];
        for j in 0..n {
            // A column at a time: its elements do not depend on each other.
            let (above, from) = lower.split_at_mut((j + 1) * n);
            let row = &mut above[j * n..];
            let square = moment(order[j], order[j]) + damping - dot(&row[..j], &row[..j]);
            let root = if square > 0.0 { square.sqrt() } else { damping.sqrt() };
            row[j] = root;
            let row = &row[..j];
            from.par_chunks_mut(n).with_min_len(64).enumerate().for_each(|(i, other)| {
                let sum = moment(order[j + 1 + i], order[j]) - dot(&other[..j], row);
                other[j] = sum / root;
            });
        }
        let diagonal: Vec<f64> = (0..n).map(|i| lower[i * n + i]).collect();
        let scaled = lower.iter().zip((0..n).cycle()).map(|(v, j)| (v / diagonal[j]) as f32);
        let lower = Matrix { rows: n, columns: n, values: scaled.collect() };
        Self { order, diagonal, lower: Some(lower) }
    }
}

/// The sum of products, in eight sums that the compiler can keep side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x, y) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(p, q)| p * q).sum();
    for (p, q) in x.zip(y) {
        for i in 0..8 {
            sums[i] += p[i] * q[i];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_multiply_to_their_matrix() {
        let m = |i: usize, j: usize| if i == j { 3.0 + i as f64 } else { 1.0 / (1 + i + j) as f64 };
        let f = Factor::new(5, m);
        let l = f.lower.as_ref().unwrap();
        let of = |i: usize, j: usize| f64::from(l.row(i)[j]) * f.diagonal[j];
        for i in 0..5 {
            for j in 0..5 {
                let sum: f64 = (0..5).map(|k| of(i, k) * of(j, k)).sum();
                let damping = if i == j { 0.05 } else { 0.0 };
                assert!((sum - m(f.order[i], f.order[j]) - damping).abs() < 1e-5);
            }
            assert!((f.roots()[i].powi(2) - m(i, i) - 0.05).abs() < 1e-5);
        }
        assert!(
            Factor::new(3, |_, _| 0.0).lower.is_none() && Factor::new(2, |_, _| f64::NAN).lower.is_none()
        );
    }
}
