//! Which values of a matrix become zero: a share of all, or all but N of each M consecutive inputs.

use crate::values;
use nzip::tensor::Dtype;
use std::str::FromStr;

/// Which values become zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sparsity {
    /// This share of the values of each matrix, from 0 up to 1.
    Share(f64),
    /// All but `keep` of each `of` consecutive values of a row; of fewer at its end, as many as there are beyond `keep`.
    Pattern { keep: usize, of: usize },
}

impl FromStr for Sparsity {
    type Err = String;

    /// Reads `2:4` or `0.5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "N:M with N less than M, or a share from 0 to 1, expected".to_string();
        if let Some((keep, of)) = text.split_once(':') {
            let (keep, of) = (keep.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
            return if keep < of && keep > 0 && of <= 1024 {
                Ok(Self::Pattern { keep, of })
            } else {
                Err(wrong())
            };
        }
        let share: f64 = text.parse().map_err(|_| wrong())?;
        if share > 0.0 && share < 1.0 { Ok(Self::Share(share)) } else { Err(wrong()) }
    }
}

impl Sparsity {
    /// Whether each value of a matrix becomes zero: those of the least magnitudes times the weights of their row and column.
    /// That is the error which a zero leaves where others make up for it or not, as the weights say (LeCun et al., "Optimal
    /// brain damage", 1990; Frantar and Alistarh, "SparseGPT", 2023).
    pub fn mask(self, values: &[f32], columns: usize, weights: Option<(&[f64], &[f64])>) -> Vec<bool> {
        let columns = columns.max(1);
        let score = |i: usize| {
            let weight = weights.map_or(1.0, |(rows, cols)| rows[i / columns] * cols[i % columns]);
            (f64::from(values[i].abs()) * weight) as f32
        };
        let scores: Vec<f32> = (0..values.len()).map(score).collect();
        let mut out = vec![false; values.len()];
        match self {
            Self::Share(share) => {
                let count = (share * values.len() as f64).round() as usize;
                least(&scores, 0, count, &mut out);
            }
            Self::Pattern { keep, of } => {
                for row in 0..values.len() / columns {
                    for start in (0..columns).step_by(of) {
                        let first = row * columns + start;
                        let group = &scores[first..row * columns + columns.min(start + of)];
                        least(group, first, group.len().saturating_sub(keep), &mut out);
                    }
                }
            }
        }
        out
    }

    /// The bytes of a tensor in which values have become zero; `None` where some are not finite.
    pub fn masked(self, dtype: Dtype, bytes: &[u8], columns: usize) -> Option<Vec<u8>> {
        let values = values::read(dtype, bytes);
        if !values.iter().all(|v| v.is_finite()) {
            return None;
        }
        let mut out = bytes.to_vec();
        let mask = self.mask(&values, columns, None);
        for (bytes, zero) in out.chunks_exact_mut(values::size(dtype)).zip(mask) {
            if zero {
                bytes.fill(0);
            }
        }
        Some(out)
    }
}

/// Marks the `count` least scores, the first of equal ones; `first` is the place of the first score.
fn least(scores: &[f32], first: usize, count: usize, out: &mut [bool]) {
    if count == 0 {
        return;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let by_score = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, by_score);
    }
    order[..count].iter().for_each(|i| out[first + i] = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_each_group_and_of_all_become_zero() {
        let values = [1.0, -3.0, 2.0, 0.5, 5.0, -4.0, 7.0, 6.0, 9.0, -8.0];
        let zeros =
            |mask: Vec<bool>| mask.iter().enumerate().filter(|m| *m.1).map(|m| m.0).collect::<Vec<_>>();
        let pattern = "2:4".parse::<Sparsity>().unwrap();
        // Rows of five: the group at the end of a row has one value.
        assert_eq!(zeros(pattern.mask(&values, 5, None)), [0, 3, 5, 7]);
        assert_eq!(zeros(Sparsity::Share(0.3).mask(&values, 5, None)), [0, 2, 3]);
        let (rows, columns) = (vec![1.0, 0.1], vec![1.0, 1.0, 1.0, 50.0, 1.0]);
        assert_eq!(zeros(Sparsity::Share(0.3).mask(&values, 5, Some((&rows, &columns)))), [5, 6, 7]);
        assert_eq!(zeros(Sparsity::Share(0.5).mask(&[0.0; 4], 2, None)), [0, 1]);
    }

    #[test]
    fn what_is_no_sparsity_is_refused() {
        for text in ["", "4:2", "0:4", "2:", "x", "1.0", "0", "-0.5", "NaN", "1:99999"] {
            assert!(text.parse::<Sparsity>().is_err(), "{text}");
        }
        assert_eq!("0.5".parse(), Ok(Sparsity::Share(0.5)));
        assert_eq!(Sparsity::Share(0.5).masked(Dtype::F32, &f32::NAN.to_le_bytes(), 1), None);
    }
}
