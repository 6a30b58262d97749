//! Makes checkpoints smaller by a stated loss. [`quantize`] reads a safetensors file and writes another one with the same
//! names, shapes and types, which any program loads. Its values lie on few levels, and the tensor codec of nzip codes these
//! at their entropy. The container itself remains lossless: what is lost, is lost here and is written down in the report
//! and in the file's metadata.
//!
//! The levels of a tensor are multiples of one step, moved to the mean of the values that they stand for. A uniform grid
//! whose levels are entropy-coded is within a quarter of a bit of the best that any code can do for independent values
//! (Gish and Pierce, "Asymptotically efficient quantizing", 1968), and it needs no scales beside the values: rows of
//! small values use few levels, and the codec's contexts by row pay for these alone.

mod budget;
mod calibrate;
mod checkpoint;
mod codebook;
mod compare;
mod entropy;
mod grid;
mod points;
mod predictions;
mod progressive;
mod safetensors;
mod search;
mod sparse;
mod spectrum;
mod values;

pub use calibrate::embeddings::embedding_cosines;
pub use calibrate::{Companions, is_sentence_encoder};
pub use compare::{Difference, compare};
pub use glob::Pattern;
pub use predictions::{Models as LanguageModels, Predictions};
pub use progressive::{Restored, quantize_progressive, restore_progressive};
pub use sparse::Sparsity;

use budget::Part;
use checkpoint::Checkpoint;
use nzip::tensor::Dtype;
use nzip::{Error, ErrorKind, Result};
use points::{Candidate, Point};
use rayon::prelude::*;
use search::Search;

/// The condition that the result has to meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Stored bits for each float value of the file: the bytes of the `.nz` file, header included, over all floats.
    Bits(f64),
    /// Bytes of the `.nz` file.
    Bytes(u64),
    /// The largest absolute error of any value.
    MaxError(f64),
    /// The largest error of a tensor as a share of its root mean square.
    RelativeError(f64),
}

/// How to quantise.
#[derive(Debug, Clone)]
pub struct Options {
    pub target: Target,
    /// The level at which the result will be compressed, 1..=9. It only matters to targets in bits or bytes.
    pub level: u8,
    /// Tensors whose names match are kept as they are. `*` stands for any characters.
    pub keep: Vec<Pattern>,
    /// Entropy in bits for each value of tensors whose names match; the first match counts.
    pub bits: Vec<(Pattern, f64)>,
    /// Values of matrices other than embeddings and heads that become zero.
    pub sparse: Option<Sparsity>,
    /// The most different values of a tensor, 2..=256, chosen freely; otherwise levels are multiples of a step.
    pub codebook: Option<usize>,
}

/// How a tensor was treated.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// It has its old values. The reason is given.
    Kept(&'static str),
    /// Its values were moved to levels.
    Levels {
        /// The distance between levels before they were moved to means.
        step: f64,
        /// The number of levels in use.
        levels: usize,
    },
    /// Its values were moved to make up for the mean error of a matrix before it.
    Corrected,
    /// It became so many parts of a progressive file.
    Parts(usize),
}

/// The outcome for one tensor.
#[derive(Debug, Clone)]
pub struct TensorReport {
    pub name: String,
    pub dtype: Dtype,
    pub elements: u64,
    pub method: Method,
    /// The entropy of the levels in bits for each value; of kept floats the bits that they have in the file.
    pub bits: f64,
    /// The error as a share of the tensor's root mean square.
    pub relative_error: f64,
    /// The largest absolute error.
    pub max_error: f64,
}

/// A finished checkpoint.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The safetensors file.
    pub file: Vec<u8>,
    /// The outcome for each tensor, in the order of the file.
    pub tensors: Vec<TensorReport>,
    /// The bytes of the `.nz` file at the level of the options; 0 for targets that are no size.
    pub stored: u64,
}

/// Why vectors and short tensors are kept.
const SMALL: &str = "small";
/// Tensors of fewer values are kept: they cost little.
const SHORTEST: u64 = 4096;
/// The weight of an error in embeddings and heads, where it is 1 in other matrices.
const PROTECTED: f64 = 4.0;
/// Tries to meet a size.
const TRIES: usize = 10;

/// Quantises a safetensors file.
///
/// # Errors
///
/// [`ErrorKind::BadArgument`] for a file of another kind, for targets that are no positive number, and for a size that
/// cannot be met; its message gives the least possible size. Those of reading the file.
pub fn quantize(file: &[u8], options: &Options) -> Result<Outcome> {
    check(options)?;
    let checkpoint = Checkpoint::read(file)?.masked(options);
    let work = Work::all(&checkpoint, options);
    match options.target {
        Target::MaxError(most) => {
            let choice: Vec<_> = work.iter().map(|w| w.fixed(options).or_else(|| w.within(most))).collect();
            checkpoint.write(&work, &choice, options).map(|(file, tensors)| Outcome {
                file,
                tensors,
                stored: 0,
            })
        }
        Target::RelativeError(most) => {
            let choice: Vec<_> = work.iter().map(|w| w.fixed(options).or_else(|| w.relative(most))).collect();
            checkpoint.write(&work, &choice, options).map(|(file, tensors)| Outcome {
                file,
                tensors,
                stored: 0,
            })
        }
        Target::Bytes(bytes) => to_size(&checkpoint, &work, options, bytes),
        Target::Bits(bits) => to_size(&checkpoint, &work, options, size_of(&work, bits)),
    }
}

/// Quantises a safetensors file to a size, weighing errors by what `texts` make of them: they are run through the model, a
/// sentence encoder of BERT's kind or a language model of the Llama family.
///
/// # Errors
///
/// Those of [`quantize`]. [`ErrorKind::BadArgument`] for other models, texts without tokens, and targets that are no size.
pub fn quantize_calibrated(
    file: &[u8],
    options: &Options,
    companions: &Companions,
    texts: &[impl AsRef<[u8]>],
) -> Result<Outcome> {
    check(options)?;
    let checkpoint = Checkpoint::read(file)?;
    let work = Work::all(&checkpoint, options);
    let bytes = match options.target {
        Target::Bytes(bytes) => bytes,
        Target::Bits(bits) => size_of(&work, bits),
        _ => return Err(bad_argument("calibration needs a target in bits or bytes")),
    };
    if options.codebook.is_some() {
        return Err(bad_argument("codebooks are not made by calibration"));
    }
    calibrate::solve::solve(&checkpoint, &work, options, bytes, companions, texts)
}

/// The bytes of that many bits for each float.
fn size_of(work: &[Work<'_>], bits: f64) -> u64 {
    let floats: u64 = work.iter().filter(|w| w.is_float).map(|w| w.elements).sum();
    (bits * floats as f64 / 8.0) as u64
}

fn check(options: &Options) -> Result<()> {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    let fits = match options.target {
        Target::Bits(x) | Target::MaxError(x) | Target::RelativeError(x) => positive(x),
        Target::Bytes(n) => n > 0,
    };
    if !fits || !options.bits.iter().all(|(_, bits)| positive(*bits)) {
        return Err(bad_argument("bits, bytes and errors must be positive numbers"));
    }
    if options.codebook.is_some_and(|n| !(2..=grid::MOST_LEVELS).contains(&n)) {
        return Err(bad_argument("a codebook has 2 to 256 values"));
    }
    let bounded = matches!(options.target, Target::MaxError(_));
    if bounded && (options.sparse.is_some() || options.codebook.is_some()) {
        return Err(bad_argument("with a largest error, there are no zeros by rule and no codebooks"));
    }
    Ok(())
}

fn bad_argument(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadArgument, message)
}

/// A tensor, and what may be done with it.
struct Work<'a> {
    name: &'a str,
    elements: u64,
    is_float: bool,
    /// The ways to code the tensor; `Err` with the reason where it is kept.
    candidate: std::result::Result<Candidate, &'static str>,
    /// The weight of its error.
    weight: f64,
}

impl<'a> Work<'a> {
    /// All tensors of a checkpoint.
    fn all(checkpoint: &'a Checkpoint<'_>, options: &Options) -> Vec<Self> {
        let tensors = checkpoint.tensors();
        let mut all: Vec<Self> = tensors.par_iter().map(|t| Self::new(checkpoint, t, options)).collect();
        if !tensors.iter().any(|t| t.name.contains("lm_head")) {
            // A table of tokens that is the last product, too: its values count as much as those of other matrices.
            let matrices = all.iter().filter(|w| w.candidate.is_ok() && !is_protected(w.name));
            let (count, sum) = matrices.fold((0u64, 0), |(n, sum), w| (n + 1, sum + w.elements));
            for table in all.iter_mut().filter(|w| w.name.contains("embed_tokens") && sum > 0) {
                table.weight = table.weight.max(table.elements as f64 * count as f64 / sum as f64);
            }
        }
        all
    }

    fn new(checkpoint: &Checkpoint<'_>, tensor: &'a nzip::tensor::TensorInfo, options: &Options) -> Self {
        let elements = tensor.shape.iter().product();
        let is_float = values::is_float(tensor.dtype);
        let weight = if is_protected(&tensor.name) { PROTECTED } else { 1.0 };
        let candidate = may_change(tensor, options)
            .and_then(|()| Candidate::new(tensor.dtype, checkpoint.source(tensor), options.codebook));
        Self { name: &tensor.name, elements, is_float, candidate, weight }
    }

    /// The point that the options give to this tensor by name.
    fn fixed(&self, options: &Options) -> Option<Point> {
        let bits = options.bits.iter().find(|(pattern, _)| pattern.matches(self.name))?.1;
        let candidate = self.candidate.as_ref().ok()?;
        candidate.cheapest(|p| p.bits >= bits).or_else(|| candidate.finest())
    }

    /// The cheapest point whose relative error is at most `most`.
    fn relative(&self, most: f64) -> Option<Point> {
        self.candidate.as_ref().ok()?.cheapest(|p| p.error.sqrt() <= most)
    }

    /// The point whose values are off by at most `most`.
    fn within(&self, most: f64) -> Option<Point> {
        self.candidate.as_ref().ok()?.exact(2.0 * most)
    }
}

/// Whether a tensor may get new values, as far as its header tells; `Err` with the reason where not.
fn may_change(tensor: &nzip::tensor::TensorInfo, options: &Options) -> std::result::Result<(), &'static str> {
    if !values::is_float(tensor.dtype) {
        Err("not a float type")
    } else if options.keep.iter().any(|p| p.matches(&tensor.name)) {
        Err("asked for")
    } else if tensor.shape.len() < 2 || tensor.shape.iter().product::<u64>() < SHORTEST {
        Err(SMALL)
    } else {
        Ok(())
    }
}

/// Whether an error in a tensor of this name is felt more than in others: embeddings and heads.
fn is_protected(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["embed", "lm_head", "wte", "wpe", "head.weight"].iter().any(|part| name.contains(part))
}

/// Quantises to a size of the `.nz` file.
fn to_size(checkpoint: &Checkpoint<'_>, work: &[Work<'_>], options: &Options, bytes: u64) -> Result<Outcome> {
    let parts: Vec<Part> = work.iter().map(|w| Part::new(w, w.fixed(options))).collect();
    let search = Search { bytes, level: options.level, first: bytes as f64, margin: 0.0, tries: TRIES };
    search.run(|budget| checkpoint.write(work, &budget::choose(&parts, 8.0 * budget), options))
}
