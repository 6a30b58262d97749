//! How far the values of a checkpoint are from those of another one.

use crate::checkpoint::Checkpoint;
use crate::values;
use nzip::Result;
use nzip::tensor::TensorInfo;

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
}

/// Compares two safetensors files. `None` stands for tensors that the other file lacks, or has with another type or shape,
/// and for those of other types than floats that differ.
///
/// # Errors
/// Those of reading the files.
pub fn compare(original: &[u8], other: &[u8]) -> Result<Vec<(String, Option<Difference>)>> {
    let (a, b) = (Checkpoint::read(original)?, Checkpoint::read(other)?);
    let pairs = a.tensors().iter().map(|t| {
        let twin = b.tensors().iter().find(|u| u.name == t.name && u.dtype == t.dtype && u.shape == t.shape);
        (t.name.clone(), twin.and_then(|u| difference(t, a.bytes(t), b.bytes(u))))
    });
    Ok(pairs.collect())
}

fn difference(tensor: &TensorInfo, a: &[u8], b: &[u8]) -> Option<Difference> {
    let name = tensor.name.clone();
    if a == b {
        return Some(Difference { name, relative_error: 0.0, max_error: 0.0, cosine: 1.0 });
    }
    if !values::is_float(tensor.dtype) {
        return None;
    }
    let (mut aa, mut bb, mut ab, mut dd, mut worst) = (0.0, 0.0, 0.0, 0.0, 0.0f64);
    for (x, y) in values::read(tensor.dtype, a).into_iter().zip(values::read(tensor.dtype, b)) {
        let (x, y) = (f64::from(x), f64::from(y));
        (aa, bb, ab) = (aa + x * x, bb + y * y, ab + x * y);
        dd += (x - y) * (x - y);
        worst = worst.max((x - y).abs());
    }
    let cosine = ab / (aa * bb).sqrt();
    Some(Difference { name, relative_error: (dd / aa).sqrt(), max_error: worst, cosine })
}
