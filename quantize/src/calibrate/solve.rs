//! Quantises a checkpoint by what a calibration has seen, to a size of the `.nz` file.

use super::compensate::{Rounded, Sensitivity, Task};
use super::factor::Factor;
use super::product::Matrix;
use super::seen::Seen;
use super::tape::Parameters;
use super::{Companions, Network, Weights, parameters};
use crate::checkpoint::{Checkpoint, Replaced, kept};
use crate::search::{CLOSE, Search};
use crate::{Method, Options, Outcome, SMALL, TensorReport, Work, is_protected, values};
use nzip::Result;
use nzip::tensor::{Dtype, TensorInfo};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Tries to meet the size.
const TRIES: usize = 5;
/// log2 of the least and the greatest worth of a bit, in squared output error.
const SLOPES: (f64, f64) = (-70.0, 10.0);

/// A tensor that is to be rounded.
struct Part {
    /// Its number among the parameters.
    number: usize,
    dtype: Dtype,
    sensitivity: Sensitivity,
    /// Bits for each value, where the options give them.
    fixed: Option<f64>,
    /// Whether each value becomes zero.
    mask: Option<Vec<bool>>,
}

/// Quantises a checkpoint to `bytes` bytes of the `.nz` file. See [`crate::quantize_calibrated`].
pub fn solve(
    checkpoint: &Checkpoint<'_>,
    work: &[Work<'_>],
    options: &Options,
    bytes: u64,
    companions: &Companions,
    texts: &[impl AsRef<[u8]>],
) -> Result<Outcome> {
    let parameters = parameters(checkpoint);
    let network = Network::new(checkpoint, &parameters, companions)?;
    let seen = Seen::new(&network, &parameters, texts)?;
    let job = Job {
        checkpoint,
        work,
        options,
        parts: parts(checkpoint, work, options, &parameters, &seen),
        seen,
        parameters,
    };
    job.to_size(bytes)
}

/// The weights of each tensor's errors, where none makes up for another one; `None` for tensors that are kept.
pub fn weights(
    checkpoint: &Checkpoint<'_>,
    work: &[Work<'_>],
    options: &Options,
    companions: &Companions,
    texts: &[impl AsRef<[u8]>],
) -> Result<Vec<Option<Weights>>> {
    let parameters = parameters(checkpoint);
    let network = Network::new(checkpoint, &parameters, companions)?;
    let seen = Seen::new(&network, &parameters, texts)?;
    let parts = parts(checkpoint, work, options, &parameters, &seen);
    let of = |p: Part| Weights { rows: p.sensitivity.rows.roots(), columns: p.sensitivity.columns.roots() };
    Ok(parts.into_iter().map(|p| p.map(of)).collect())
}

/// The tensors that are rounded, `None` for those that are kept.
fn parts(
    checkpoint: &Checkpoint<'_>,
    work: &[Work<'_>],
    options: &Options,
    parameters: &Parameters,
    seen: &Seen,
) -> Vec<Option<Part>> {
    let tensors: Vec<_> = checkpoint.tensors().iter().zip(work).collect();
    let part = |(tensor, work): &(&TensorInfo, &Work<'_>)| {
        work.candidate.as_ref().ok()?;
        let number = parameters.find(&tensor.name)?;
        let fixed = options.bits.iter().find(|(p, _)| p.matches(&tensor.name)).map(|b| b.1);
        Some((number, tensor.dtype, seen.sensitivity(number), fixed))
    };
    let found: Vec<_> = tensors.par_iter().map(part).collect();
    // What the network does not use counts as much, as a whole, as other tensors do on the average.
    let whole = |number: usize, s: &Sensitivity| {
        let weights = &parameters.matrices[number];
        let square = |f: &Factor| f.diagonal.iter().map(|d| d * d).sum::<f64>();
        square(&s.rows) * square(&s.columns) * mean_square(weights)
    };
    let wholes: Vec<f64> =
        found.iter().flatten().filter_map(|f| f.2.as_ref().map(|s| whole(f.0, s))).collect();
    let usual = if wholes.is_empty() { 1.0 } else { wholes.iter().sum::<f64>() / wholes.len() as f64 };
    let complete = |(number, dtype, sensitivity, fixed): (usize, Dtype, Option<Sensitivity>, Option<f64>)| {
        let weights = &parameters.matrices[number];
        let sensitivity = sensitivity.unwrap_or_else(|| {
            let weight = usual / (mean_square(weights) * weights.values.len() as f64);
            Sensitivity {
                rows: Factor::diagonal(&vec![weight; weights.rows]),
                columns: Factor::diagonal(&vec![1.0; weights.columns]),
            }
        });
        let sparse = options.sparse.filter(|_| !is_protected(&parameters.names[number]));
        let mask = sparse.map(|sparse| {
            let [rows, columns] = [&sensitivity.rows, &sensitivity.columns].map(Factor::weights);
            sparse.mask(&weights.values, weights.columns, Some((&rows, &columns)))
        });
        Part { number, dtype, sensitivity, fixed, mask }
    };
    found.into_iter().map(|f| f.map(complete)).collect()
}

fn mean_square(m: &Matrix) -> f64 {
    m.values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / m.values.len().max(1) as f64
}

/// A checkpoint with all that is known about it.
struct Job<'a> {
    checkpoint: &'a Checkpoint<'a>,
    work: &'a [Work<'a>],
    options: &'a Options,
    parameters: Parameters,
    seen: Seen,
    parts: Vec<Option<Part>>,
}

impl Job<'_> {
    fn task<'b>(&'b self, part: &'b Part) -> Task<'b> {
        let weights = &self.parameters.matrices[part.number];
        Task { weights, dtype: part.dtype, sensitivity: &part.sensitivity, mask: part.mask.as_deref() }
    }

    /// The worth of a bit at which a tensor takes that many bits for each value.
    fn slope_for(&self, part: &Part, bits: f64) -> f64 {
        bisect(|slope| self.task(part).foretold(slope) > bits)
    }

    /// Bits of all tensors that are rounded, about.
    fn foretold(&self, slope: f64) -> f64 {
        let of = |part: &Part| match part.fixed {
            Some(bits) => bits,
            None => self.task(part).foretold(slope),
        };
        let bits = |part: &Part| of(part) * self.parameters.matrices[part.number].values.len() as f64;
        let all: Vec<f64> = self.parts.par_iter().flatten().map(bits).collect();
        all.iter().sum()
    }

    fn to_size(&self, bytes: u64) -> Result<Outcome> {
        let kept: u64 = self
            .checkpoint
            .tensors()
            .iter()
            .zip(&self.parts)
            .filter(|(_, p)| p.is_none())
            .map(|(t, _)| t.len)
            .sum();
        let search = Search {
            bytes,
            level: self.options.level,
            first: (bytes as f64 - 0.9 * kept as f64).max(0.0),
            margin: bytes as f64 / (4 * CLOSE) as f64,
            tries: TRIES,
        };
        search.run(|budget| self.at(bisect(|slope| self.foretold(slope) > 8.0 * budget)))
    }

    /// The file in which a bit is worth `slope` of squared output error.
    fn at(&self, slope: f64) -> Result<(Vec<u8>, Vec<TensorReport>)> {
        let round = |part: &Option<Part>| {
            let part = part.as_ref()?;
            let slope = part.fixed.map_or(slope, |bits| self.slope_for(part, bits));
            Some(self.task(part).round(slope))
        };
        let rounded: Vec<Option<Rounded>> = self.parts.par_iter().map(round).collect();
        let corrected = self.corrected(&rounded);
        let all = self.checkpoint.tensors().iter().zip(self.work).zip(self.parts.iter().zip(&rounded));
        let done: Vec<_> = all
            .map(|((tensor, work), (part, rounded))| {
                let number = self.parameters.find(&tensor.name);
                if let (Some(part), Some(rounded)) = (part, rounded) {
                    let old = &self.parameters.matrices[part.number].values;
                    let new = Replaced::new(tensor.dtype, old, |i| rounded.values.values[i]);
                    let used: BTreeSet<u32> = rounded.values.values.iter().map(|v| v.to_bits()).collect();
                    let method = Method::Levels { step: f64::from(rounded.step), levels: used.len() };
                    return new.reported(tensor, method, rounded.entropy);
                }
                let new = number.and_then(|n| corrected.get(&n));
                let old = values::read_if_float(tensor.dtype, self.checkpoint.bytes(tensor));
                let may = work.candidate.as_ref().is_err_and(|reason| *reason == SMALL)
                    && old.iter().all(|v| v.is_finite());
                if let Some(new) = new.filter(|new| may && new.iter().all(|v| v.is_finite())) {
                    let new = Replaced::new(tensor.dtype, &old, |i| new[i]);
                    return new.reported(tensor, Method::Corrected, kept(tensor, "").bits);
                }
                (None, kept(tensor, work.candidate.as_ref().err().copied().unwrap_or("not a matrix")))
            })
            .collect();
        self.checkpoint.assemble(&done, self.options)
    }

    /// Biases that make up for the mean errors of their products' outputs, by number.
    fn corrected(&self, rounded: &[Option<Rounded>]) -> HashMap<usize, Vec<f32>> {
        let mut out = HashMap::new();
        for (part, rounded) in self.parts.iter().zip(rounded) {
            let (Some(part), Some(rounded)) = (part, rounded) else { continue };
            let Some(product) = self.seen.moments.products.get(&part.number) else { continue };
            let Some(bias) = product.bias else { continue };
            let old = &self.parameters.matrices[part.number];
            let mean: Vec<f64> = product.sum.iter().map(|s| s / product.tokens).collect();
            let lost = |r: usize| -> f64 {
                let pairs = old.row(r).iter().zip(rounded.values.row(r)).zip(&mean);
                pairs.map(|((a, b), m)| (f64::from(*a) - f64::from(*b)) * m).sum()
            };
            let before = &self.parameters.matrices[bias].values;
            out.insert(
                bias,
                before.iter().enumerate().map(|(r, b)| (f64::from(*b) + lost(r)) as f32).collect(),
            );
        }
        out
    }
}

/// The least slope at which it is not too small.
fn bisect(too_small: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = SLOPES;
    for _ in 0..24 {
        let middle = (low + high) / 2.0;
        if too_small(middle.exp2()) { low = middle } else { high = middle }
    }
    high.exp2()
}
