//! Checkpoints of which a prefix is a coarser model: a safetensors file whose tensors are parts of the original's tensors, the
//! coarsest first, then those that save the most error for a byte. `docs/quantize.md` describes the file.

mod chain;
mod description;
mod order;
mod restore;

pub use restore::{Restored, restore_progressive};

use crate::calibrate::Weights;
use crate::checkpoint::{Checkpoint, Replaced, kept};
use crate::search::Search;
use crate::{
    Companions, Method, Options, Outcome, TRIES, Target, TensorReport, Work, bad_argument, calibrate,
    safetensors, size_of, values,
};
use chain::{Part, Places, State, chain};
use description::{Described, KEY, Run};
use nzip::tensor::{Dtype, TensorInfo};
use nzip::{Error, ErrorKind, Result};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The most values of a run.
const RUN: usize = 1 << 19;

/// Quantises a safetensors file to a progressive one of a size. With `texts`, errors are weighed by what these make of them,
/// as [`crate::quantize_calibrated`] says.
///
/// # Errors
///
/// Those of [`crate::quantize`] and [`crate::quantize_calibrated`]. [`ErrorKind::BadArgument`] for targets that are no size,
/// and for bits of single tensors.
pub fn quantize_progressive(
    file: &[u8],
    options: &Options,
    calibration: Option<(&Companions, &[Vec<u8>])>,
) -> Result<Outcome> {
    crate::check(options)?;
    if !options.bits.is_empty() || options.sparse.is_some() || options.codebook.is_some() {
        return Err(bad_argument(
            "a progressive file has no bits of single tensors, zeros by rule or codebooks",
        ));
    }
    let checkpoint = Checkpoint::read(file)?;
    let work = Work::all(&checkpoint, options);
    let bytes = match options.target {
        Target::Bytes(bytes) => bytes,
        Target::Bits(bits) => size_of(&work, bits),
        _ => return Err(bad_argument("a progressive file needs a target in bits or bytes")),
    };
    let weights = match calibration {
        Some((companions, texts)) => {
            calibrate::solve::weights(&checkpoint, &work, options, companions, texts)?
        }
        None => work.iter().map(|_| None).collect(),
    };
    let tensors: Vec<_> = checkpoint.tensors().iter().zip(&work).zip(&weights).collect();
    let cut = |((tensor, work), weights): &((&TensorInfo, &Work<'_>), &Option<Weights>)| {
        work.candidate.as_ref().ok()?;
        let whole = weights.is_none().then_some(work.weight);
        Some(Cut::new(tensor, checkpoint.bytes(tensor), whole, weights.as_ref()))
    };
    let cuts: Vec<Option<Cut>> = tensors.par_iter().map(cut).collect();
    let job = Job::new(&checkpoint, &work, cuts)?;
    let fixed = job.fixed as f64;
    let search = Search {
        bytes,
        level: options.level,
        first: (bytes as f64 - 0.9 * fixed).max(0.0),
        margin: 0.0,
        tries: TRIES,
    };
    search.run(|budget| job.write(8.0 * budget))
}

/// A tensor cut into runs and parts.
struct Cut {
    /// The first step and the parts of each run.
    runs: Vec<(f32, Vec<Part>)>,
    /// The exponents of rows and columns that its values were multiplied by.
    exponents: Option<[Vec<i8>; 2]>,
    /// The weight of its squared errors.
    weight: f64,
}

impl Cut {
    /// Cuts a tensor. `whole` is the weight of its relative squared error where there are no `weights`.
    fn new(tensor: &TensorInfo, bytes: &[u8], whole: Option<f64>, weights: Option<&Weights>) -> Self {
        let mut values = values::read(tensor.dtype, bytes);
        let square: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        let columns = tensor.shape.last().map_or(1, |n| *n as usize).max(1);
        let (exponents, shift) = weights.map(exponents).unzip();
        if let Some([rows, of_columns]) = &exponents {
            for (row, e) in values.chunks_exact_mut(columns).zip(rows) {
                for (v, f) in row.iter_mut().zip(of_columns) {
                    *v *= ((i32::from(*e) + i32::from(*f)) as f32).exp2();
                }
            }
        }
        let run = (RUN / columns).max(1) * columns;
        let runs = values.par_chunks(run).map(chain).collect();
        let weight = shift.unwrap_or_else(|| whole.unwrap_or(1.0) / square);
        Self { runs, exponents, weight }
    }

    /// The entropy of the parts that were taken, in bits.
    fn bits(&self, taken: &[usize]) -> f64 {
        self.runs.iter().zip(taken).flat_map(|((_, run), n)| &run[..*n]).map(|p| p.bits).sum()
    }

    /// The values that the parts give that were taken, for a tensor with so many columns.
    fn values(&self, taken: &[usize], columns: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for ((step, run), n) in self.runs.iter().zip(taken) {
            let mut state = State::new(run[0].digits.len());
            for (number, part) in run[..*n].iter().enumerate() {
                // These are digits of such parts.
                let _ = state.apply(number, &part.digits);
            }
            let places: Vec<&Places> = run.iter().map(|p| &p.places).collect();
            out.extend(state.values(*step, &places));
        }
        if let Some([rows, of_columns]) = &self.exponents {
            for (row, e) in out.chunks_exact_mut(columns).zip(rows) {
                for (v, f) in row.iter_mut().zip(of_columns) {
                    *v = (f64::from(*v) * f64::exp2(-f64::from(i32::from(*e) + i32::from(*f)))) as f32;
                }
            }
        }
        out
    }
}

/// The exponents of rows and columns for weights, and the weight of squared errors of what they make.
fn exponents(weights: &Weights) -> ([Vec<i8>; 2], f64) {
    let mut all = 0.0;
    let sides = [&weights.rows, &weights.columns].map(|side| {
        let logs: Vec<f64> = side.iter().map(|w| w.max(1e-30).log2()).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        all += most;
        // Rows that hardly weigh lose all that they have when others have lost a millionth.
        logs.iter().map(|l| (l - most).max(-20.0).round() as i8).collect()
    });
    (sides, f64::exp2(2.0 * all))
}

/// All parts of a checkpoint.
struct Job<'a> {
    checkpoint: &'a Checkpoint<'a>,
    work: &'a [Work<'a>],
    cuts: Vec<Option<Cut>>,
    /// The tensor and the run of each chain, and the parts after the first ones in order.
    chains: Vec<(usize, usize)>,
    order: Vec<order::Place>,
    /// Bytes of what is not in parts.
    fixed: u64,
}

impl<'a> Job<'a> {
    fn new(checkpoint: &'a Checkpoint<'a>, work: &'a [Work<'a>], cuts: Vec<Option<Cut>>) -> Result<Self> {
        let all = || cuts.iter().enumerate().filter_map(|(t, c)| Some((t, c.as_ref()?)));
        let chains = all().flat_map(|(t, c)| (0..c.runs.len()).map(move |r| (t, r))).collect();
        let parts: Vec<_> = all().flat_map(|(_, c)| c.runs.iter().map(|r| (&r.1[..], c.weight))).collect();
        let order = order::order(&parts);
        let names: HashSet<&str> = checkpoint.tensors().iter().map(|t| &t.name[..]).collect();
        for (t, cut) in all() {
            let name = &checkpoint.tensors()[t].name;
            let runs = cut.runs.iter().enumerate();
            let mut parts =
                runs.flat_map(|(r, run)| (0..run.1.len()).map(move |p| Described::part(name, r, p)));
            if let Some(taken) = parts.find(|p| names.contains(&p[..])) {
                return Err(bad_argument(format!("the name {taken:?} is needed for a part")));
            }
        }
        let kept = checkpoint.tensors().iter().zip(&cuts).filter(|(_, c)| c.is_none());
        let fixed = kept.map(|(t, _)| t.len).sum();
        Ok(Self { checkpoint, work, cuts, chains, order, fixed })
    }

    /// The file of as many parts as take `bits` in all, and what became of each tensor.
    fn write(&self, bits: f64) -> Result<(Vec<u8>, Vec<TensorReport>)> {
        let mut taken: Vec<Vec<usize>> =
            self.cuts.iter().map(|c| vec![1; c.as_ref().map_or(0, |c| c.runs.len())]).collect();
        let first = |c: &Cut| c.bits(&vec![1; c.runs.len()]);
        let mut sum: f64 = self.cuts.iter().flatten().map(first).sum();
        let mut places = Vec::new();
        for &(chain, part) in &self.order {
            let (t, r) = self.chains[chain];
            let Some(cut) = &self.cuts[t] else { continue };
            sum += cut.runs[r].1[part].bits;
            if sum > bits {
                break;
            }
            taken[t][r] = part + 1;
            places.push((t, r, part));
        }
        Ok((self.file(&taken, &places)?, self.reports(&taken)))
    }

    fn file(&self, taken: &[Vec<usize>], places: &[(usize, usize, usize)]) -> Result<Vec<u8>> {
        let tensors = self.checkpoint.tensors();
        let mut out = Vec::new();
        let mut described = Vec::new();
        let part = |t: usize, r: usize, p: usize, shape: Vec<u64>| {
            let digits = self.cuts[t].as_ref().map_or(&[][..], |c| &c.runs[r].1[p].digits);
            let bytes = digits.iter().map(|d| *d as u8).collect();
            let name = Described::part(&tensors[t].name, r, p);
            safetensors::Tensor { name, dtype: Dtype::I8, shape, bytes }
        };
        for (t, tensor) in tensors.iter().enumerate() {
            let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
            let Some(cut) = &self.cuts[t] else {
                let bytes = self.checkpoint.bytes(tensor).to_vec();
                out.push(safetensors::Tensor { name, dtype: tensor.dtype, shape, bytes });
                continue;
            };
            if let Some(sides) = &cut.exponents {
                for (name, side) in Described::exponents(&name).into_iter().zip(sides) {
                    let bytes: Vec<u8> = side.iter().map(|e| *e as u8).collect();
                    let shape = vec![bytes.len() as u64];
                    out.push(safetensors::Tensor { name, dtype: Dtype::I8, shape, bytes });
                }
            }
            let columns = shape.last().copied().unwrap_or(1).max(1);
            for (r, (_, run)) in cut.runs.iter().enumerate() {
                out.push(part(t, r, 0, vec![run[0].digits.len() as u64 / columns, columns]));
            }
            let run = |((step, run), n): (&(f32, Vec<Part>), &usize)| Run {
                values: run[0].digits.len() as u64,
                step: *step,
                parts: run[..*n].iter().map(|p| p.places.clone()).collect(),
            };
            described.push(Described {
                name,
                dtype: tensor.dtype,
                shape,
                scaled: cut.exponents.is_some(),
                runs: cut.runs.iter().zip(&taken[t]).map(run).collect(),
            });
        }
        for &(t, r, p) in places {
            let one = part(t, r, p, Vec::new());
            out.push(safetensors::Tensor { shape: vec![one.bytes.len() as u64], ..one });
        }
        let found = nzip::tensor::safetensors::metadata(self.checkpoint.file())?;
        let mut metadata: Map<String, Value> =
            found.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
        if metadata.contains_key(KEY) {
            return Err(Error::new(ErrorKind::BadArgument, "the file is progressive already"));
        }
        metadata.insert(KEY.into(), Value::String(description::written(&described)));
        Ok(safetensors::file(metadata, &out))
    }

    fn reports(&self, taken: &[Vec<usize>]) -> Vec<TensorReport> {
        let report = |t: usize| {
            let (tensor, taken) = (&self.checkpoint.tensors()[t], &taken[t]);
            let Some(cut) = &self.cuts[t] else {
                return kept(tensor, self.work[t].candidate.as_ref().err().copied().unwrap_or(""));
            };
            let old = values::read(tensor.dtype, self.checkpoint.bytes(tensor));
            let new = cut.values(taken, tensor.shape.last().map_or(1, |n| *n as usize));
            let (method, bits) =
                (Method::Parts(taken.iter().sum()), cut.bits(taken) / old.len().max(1) as f64);
            let round = |i: usize| values::rounded(tensor.dtype, new[i]);
            Replaced::new(tensor.dtype, &old, round).reported(tensor, method, bits).1
        };
        (0..self.cuts.len()).into_par_iter().map(report).collect()
    }
}
