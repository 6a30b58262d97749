//! The runs of bytes that a part of a tensor consists of.

use crate::error::{Error, Result};
use crate::tensor::TensorInfo;
use std::ops::Range;

/// The runs of bytes that a part of a tensor consists of.
#[derive(Debug, PartialEq, Eq)]
pub struct Runs {
    /// The bytes of a run, and the number of runs.
    pub len: u64,
    pub count: u64,
    /// The bytes of the tensor before the first run.
    first: u64,
    /// For each dimension over which runs repeat, the outermost first: how often, and how many bytes apart.
    repeats: Vec<(u64, u64)>,
}

impl Runs {
    /// The runs of the elements whose indices lie in `ranges`, of the first dimensions; all indices of the others.
    ///
    /// # Errors
    /// `BadArgument` for more ranges than dimensions, for indices that do not exist, and where runs do not start and end
    /// at whole bytes or blocks.
    pub fn of(t: &TensorInfo, ranges: &[Range<u64>]) -> Result<Self> {
        let bad = |i: usize, r: &Range<u64>| {
            Error::bad_argument(format!("{}..{} of {} in dimension {i}", r.start, r.end, t.shape[i]))
        };
        if ranges.len() > t.shape.len() {
            let dimensions = t.shape.len();
            return Err(Error::bad_argument(format!("{} ranges of {dimensions} dimensions", ranges.len())));
        }
        let wrong = ranges.iter().zip(&t.shape).position(|(r, n)| r.start > r.end || r.end > *n);
        if let Some(i) = wrong {
            return Err(bad(i, &ranges[i]));
        }
        if t.len == 0 || ranges.iter().any(Range::is_empty) {
            return Ok(Self { len: 0, count: 0, first: 0, repeats: Vec::new() });
        }
        let (elements, bytes) = t.dtype.group();
        // In elements: the length of a run and its distance to the next one.
        let (mut len, mut step, mut first, mut repeats) = (1, 1, 0, Vec::new());
        for (i, n) in t.shape.iter().enumerate().rev() {
            let range = ranges.get(i).cloned().unwrap_or(0..*n);
            first += range.start * step;
            let count = range.end - range.start;
            if len == step {
                len *= count;
            } else if count > 1 {
                repeats.push((count, step));
            }
            step *= n;
        }
        let places = [len, first].into_iter().chain(repeats.iter().map(|r| r.1));
        if !places.into_iter().all(|n| n.is_multiple_of(elements)) {
            let dtype = t.dtype;
            return Err(Error::bad_argument(format!("part of a group of {elements} elements of {dtype}")));
        }
        let bytes = |n: u64| n / elements * bytes;
        repeats.reverse();
        repeats.iter_mut().for_each(|r| r.1 = bytes(r.1));
        let count = repeats.iter().map(|r| r.0).product();
        Ok(Self { len: bytes(len), count, first: bytes(first), repeats })
    }

    /// The raw offsets of all runs of a tensor that starts at raw offset `start`, in rising order.
    pub fn starts(&self, start: u64) -> Vec<u64> {
        let mut starts = Vec::with_capacity(self.count as usize);
        starts.extend((self.count > 0).then_some(start + self.first));
        for (count, step) in &self.repeats {
            let outer = std::mem::take(&mut starts);
            starts.extend(outer.iter().flat_map(|s| (0..*count).map(move |i| s + i * step)));
        }
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn runs(dtype: Dtype, shape: &[u64], ranges: &[Range<u64>]) -> Result<(u64, Vec<u64>)> {
        let runs = Runs::of(&TensorInfo::new("t".into(), dtype, shape.to_vec(), 100)?, ranges)?;
        assert_eq!(runs.count, runs.starts(0).len() as u64);
        Ok((runs.len, runs.starts(100)))
    }

    #[test]
    fn parts_are_runs() {
        let of = |ranges: &[Range<u64>]| runs(Dtype::U16, &[2, 3, 4, 5], ranges).unwrap();
        assert_eq!(of(&[]), (240, vec![100]));
        assert_eq!(of(&[1..2, 0..3]), (120, vec![220]));
        assert_eq!(of(&[0..2, 1..2, 1..3]), (20, vec![100 + 50, 100 + 170]));
        assert_eq!(of(&[1..2, 0..2, 3..4, 2..3]), (2, vec![100 + 154, 100 + 194]));
        assert_eq!(of(&[0..2, 2..2]), (0, vec![]));
        assert!(runs(Dtype::U16, &[2, 3], &[0..1, 0..1, 0..1]).is_err());
        assert!(runs(Dtype::U16, &[2, 3], &[0..1, 2..4]).is_err());
        // Two elements of four bits share a byte.
        assert_eq!(runs(Dtype::F4, &[2, 6], &[0..2, 2..4]).unwrap(), (1, vec![101, 104]));
        assert!(runs(Dtype::F4, &[2, 6], &[0..2, 1..3]).is_err());
    }
}
