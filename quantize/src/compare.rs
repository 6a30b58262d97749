//! How far the values of a checkpoint are from those of another one.

use crate::calibrate::product::Matrix;
use crate::checkpoint::Checkpoint;
use crate::spectrum::nuclear_norm;
use crate::values;
use nzip::Result;
use nzip::tensor::TensorInfo;
use rayon::prelude::*;

/// The difference between two tensors of one name, type and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub name: String,
    /// Root of the mean square error over the original's root mean square; infinite where the original is zero.
    pub relative_error: f64,
    /// The largest absolute error.
    pub max_error: f64,
    /// The cosine between the two as vectors; 1 where both are zero.
    pub cosine: f64,
    /// The sums of the squares of the original's values, and of the errors.
    pub square: f64,
    pub square_error: f64,
    /// The sum of singular values as a share of the original's; `None` for tensors that are no matrices, larger than 2,048 on
    /// both sides, zero or not finite.
    pub nuclear_ratio: Option<f64>,
}

/// Compares two safetensors files. `None` stands for tensors that the other file lacks, or has with another type or shape,
/// and for those of other types than floats that differ.
///
/// # Errors
/// Those of reading the files.
pub fn compare(original: &[u8], other: &[u8]) -> Result<Vec<(String, Option<Difference>)>> {
    let (a, b) = (Checkpoint::read(original)?, Checkpoint::read(other)?);
    let pairs = a.tensors().par_iter().map(|t| {
        let twin = b.tensors().iter().find(|u| u.name == t.name && u.dtype == t.dtype && u.shape == t.shape);
        (t.name.clone(), twin.and_then(|u| difference(t, a.bytes(t), b.bytes(u))))
    });
    Ok(pairs.collect())
}

fn difference(tensor: &TensorInfo, a: &[u8], b: &[u8]) -> Option<Difference> {
    let name = tensor.name.clone();
    if !values::is_float(tensor.dtype) {
        return (a == b).then(|| Difference { name, ..Difference::none() });
    }
    let (x, y) = (values::read(tensor.dtype, a), values::read(tensor.dtype, b));
    let square = x.iter().map(|v| f64::from(*v).powi(2)).sum();
    if a == b {
        return Some(Difference {
            name,
            square,
            nuclear_ratio: ratio(tensor, None, x),
            ..Difference::none()
        });
    }
    let (mut bb, mut ab, mut dd, mut worst) = (0.0, 0.0, 0.0, 0.0f64);
    for (x, y) in x.iter().zip(&y) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        (bb, ab) = (bb + y * y, ab + x * y);
        dd += (x - y) * (x - y);
        worst = worst.max((x - y).abs());
    }
    Some(Difference {
        name,
        relative_error: (dd / square).sqrt(),
        max_error: worst,
        cosine: ab / (square * bb).sqrt(),
        square,
        square_error: dd,
        nuclear_ratio: ratio(tensor, Some(y), x),
    })
}

/// The nuclear norm of a tensor's new values as a share of that of its old ones; they are the same where none are given.
fn ratio(tensor: &TensorInfo, new: Option<Vec<f32>>, old: Vec<f32>) -> Option<f64> {
    let &[rows, columns] = &tensor.shape[..] else { return None };
    let norm = |values| nuclear_norm(&Matrix { rows: rows as usize, columns: columns as usize, values });
    let Some(new) = new else {
        return (norm_is_known(rows, columns) && old.iter().any(|v| *v != 0.0)).then_some(1.0);
    };
    let (old, new) = (norm(old)?, norm(new)?);
    (old > 0.0).then_some(new / old)
}

/// Whether the nuclear norm of a finite matrix of these sides is computed.
fn norm_is_known(rows: u64, columns: u64) -> bool {
    (1..=crate::spectrum::MOST_SIDE as u64).contains(&rows.min(columns))
}

impl Difference {
    /// No difference.
    fn none() -> Self {
        Self {
            name: String::new(),
            relative_error: 0.0,
            max_error: 0.0,
            cosine: 1.0,
            square: 0.0,
            square_error: 0.0,
            nuclear_ratio: None,
        }
    }
}
