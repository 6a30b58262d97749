//! The training run of a language model: schedule, reports, validation, checkpoints, export.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use nzip::Result;
use nzip::internal::model::lm::weights::{Config, TableConfig, Weights};

use crate::error::{Place, bad_argument, tensors};

use super::checkpoint;
use super::corpus::{Corpus, Sampler, Segment};
use super::network::{Carry, Network};
use super::optimizer::Optimizer;

/// The shapes of shipped models, and one for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For golden files: a few thousand weights.
    Micro,
    /// About 0.25 M multiply-adds per byte.
    Tiny,
    /// About 1 M multiply-adds per byte.
    Base,
}

impl Size {
    fn config(self) -> Config {
        let (width, state, hidden, layers, table_width, tables): (_, _, _, _, _, &[(u8, u8)]) = match self {
            Self::Micro => (16, 16, 32, 2, 4, &[(1, 8), (2, 8), (3, 8)]),
            Self::Tiny => (96, 96, 192, 3, 16, &[(1, 8), (2, 12), (3, 13), (4, 14), (5, 14)]),
            Self::Base => (192, 192, 384, 3, 32, &[(1, 8), (2, 12), (3, 14), (4, 15), (5, 15), (6, 15)]),
        };
        let tables = tables.iter().map(|&(order, log2_rows)| TableConfig { order, log2_rows }).collect();
        Config { width, state, hidden, layers, table_width, tables }
    }
}

/// How a language model is learned.
#[derive(Debug, Clone)]
pub struct LmOptions {
    /// Folder of text, plain or `.zst`.
    pub data: PathBuf,
    /// Sampling factors by file-name prefix.
    pub weights: Option<PathBuf>,
    /// The shape of the network, unless it starts from a weight file.
    pub size: Size,
    /// The weight file to write. The checkpoint is written beside it.
    pub output: PathBuf,
    /// The exported weight file to start from.
    pub from: Option<PathBuf>,
    /// Whether to continue from the checkpoint beside the output.
    pub resume: bool,
    /// Total number of steps.
    pub steps: usize,
    /// The number of last steps over which the rate falls to zero and weights are quantised in the forward
    /// pass.
    pub decay: usize,
    /// The number of streams side by side.
    pub lanes: usize,
    /// The bytes of each stream per step.
    pub length: usize,
    /// A factor on all learning rates.
    pub rate: f64,
    /// The seed of the initial weights and of the sampling.
    pub seed: u64,
    /// The number of steps between validations.
    pub every: usize,
    /// Text to validate on; by default the held-out tails of the training files.
    pub validate: Option<PathBuf>,
}

const WARM_UP: usize = 100;
/// The held-out bytes taken from each file.
const VALIDATION_BYTES: usize = 8 << 10;

/// The number of steps between reports.
const REPORT: usize = 100;

/// A report on the progress of a training run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The run begins.
    Start {
        /// The number of bytes of text that it may learn from.
        bytes: u64,
        /// The steps done before, by the run whose checkpoint it continues from.
        done: usize,
        /// The total number of steps at the end.
        steps: usize,
    },
    /// Some steps have been done. The figures cover those since the last such report.
    Steps {
        /// The number of steps so far.
        step: usize,
        /// The mean cost of the bytes learned from.
        bits_per_byte: f64,
        /// The number of bytes learned from per second.
        bytes_per_second: f64,
    },
    /// The quantised network has been measured on text that it does not learn from.
    Validation {
        /// Bits per byte of all of that text.
        bits_per_byte: f64,
        /// Bits per byte of the files whose names start with `pg_`, if any are held out.
        books: Option<f64>,
    },
}

/// Trains until the last step and writes the weight file. `report` is called every hundred steps and after
/// every validation.
///
/// # Errors
///
/// [`nzip::ErrorKind::BadArgument`] for options that make no sense or a folder without text,
/// [`nzip::ErrorKind::Corrupt`] for a damaged checkpoint or weight file, and those of reading and writing
/// files.
pub fn train(o: &LmOptions, report: &mut dyn FnMut(Event)) -> Result<()> {
    if o.lanes == 0 || o.length < 8 {
        return Err(bad_argument("lanes must be positive and length at least 8"));
    }
    if o.decay > o.steps {
        return Err(bad_argument("the decay cannot be longer than the run"));
    }
    if o.every == 0 {
        return Err(bad_argument("the steps between validations must be positive"));
    }
    let corpus = Corpus::load(&o.data, o.weights.as_deref())?;
    let mut net = match &o.from {
        Some(path) => {
            let weights = fs::read(path).at(path.display())?;
            Network::from_weights(&Weights::from_bytes(&weights).at(path.display())?)
        }
        None => Network::new(o.size.config(), o.seed),
    }
    .map_err(tensors)?;
    let mut optimizer = Optimizer::new(&net);
    let state = o.output.with_extension("ckpt");
    let first = if o.resume { checkpoint::load(&state, &mut net, &mut optimizer)? } else { 0 };
    report(Event::Start { bytes: corpus.len() as u64, done: first, steps: o.steps });
    let validation_text = o.validate.as_ref().map(|p| fs::read(p).at(p.display())).transpose()?;

    let mut sampler = Sampler::new(&corpus, o.lanes, o.seed.wrapping_add(first as u64));
    let mut carry = net.zero_carry(o.lanes).map_err(tensors)?;
    let (mut clock, mut sum, mut count) = (Instant::now(), 0f64, 0usize);
    for step in first + 1..=o.steps {
        let segments = sampler.next(o.length);
        sum += learn(&mut net, &mut optimizer, &segments, &mut carry, o, step).map_err(tensors)?;
        count += 1;
        if step % REPORT == 0 || step == o.steps {
            report(Event::Steps {
                step,
                bits_per_byte: sum / count as f64 / std::f64::consts::LN_2,
                bytes_per_second: (count * o.lanes * o.length) as f64 / clock.elapsed().as_secs_f64(),
            });
            (clock, sum, count) = (Instant::now(), 0.0, 0);
        }
        if step % o.every == 0 || step == o.steps {
            report(validate(&net, &corpus, validation_text.as_deref()).map_err(tensors)?);
            checkpoint::save(&state, &net, &optimizer, step)?;
            let weights = net.to_weights().map_err(tensors)?;
            fs::write(&o.output, weights.to_bytes()).at(o.output.display())?;
            clock = Instant::now();
        }
    }
    Ok(())
}

/// Does one step and returns its mean loss in nats.
fn learn(
    net: &mut Network,
    optimizer: &mut Optimizer,
    segments: &[Segment<'_>],
    carry: &mut Carry,
    o: &LmOptions,
    step: usize,
) -> candle_core::Result<f64> {
    reset_fresh(carry, segments)?;
    let look = net.look_up(segments)?;
    let quantised = step + o.decay > o.steps;
    let loss = net.loss(segments, &look, carry, quantised)?;
    let grads = loss.backward()?;
    optimizer.step(net, &grads, &look, o.rate * schedule(o, step), step)?;
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

/// The factor on the learning rates at a step: warm-up, plateau, linear decay.
fn schedule(o: &LmOptions, step: usize) -> f64 {
    let left = (o.steps - step) as f64 / o.decay.max(1) as f64;
    (step as f64 / WARM_UP as f64).min(1.0).min(left.max(0.01))
}

/// Sets the states of lanes that start anew to zero.
fn reset_fresh(carry: &mut Carry, segments: &[Segment<'_>]) -> candle_core::Result<()> {
    if segments.iter().any(|s| s.fresh) {
        let keep: Vec<f32> = segments.iter().map(|s| if s.fresh { 0.0 } else { 1.0 }).collect();
        let keep = Tensor::from_vec(keep, (segments.len(), 1), &Device::Cpu)?.to_dtype(DType::F32)?;
        for state in carry.iter_mut() {
            *state = state.broadcast_mul(&keep)?;
        }
    }
    Ok(())
}

/// Measures the network on `text`, or on the held-out tails of the corpus.
fn validate(net: &Network, corpus: &Corpus, text: Option<&[u8]>) -> candle_core::Result<Event> {
    if let Some(text) = text {
        let bits_per_byte = measure(net, &text.chunks(64 << 10).collect::<Vec<_>>())?;
        return Ok(Event::Validation { bits_per_byte, books: None });
    }
    let prose = corpus.held_out(VALIDATION_BYTES * 4, |name| name.starts_with("pg_"));
    let all = corpus.held_out(VALIDATION_BYTES, |_| true);
    let books = if prose.is_empty() { None } else { Some(measure(net, &prose)?) };
    Ok(Event::Validation { bits_per_byte: measure(net, &all)?, books })
}

/// Bits per byte of the quantised network over texts that each start with a fresh state.
fn measure(net: &Network, texts: &[&[u8]]) -> candle_core::Result<f64> {
    let length = texts.iter().map(|t| t.len()).min().unwrap_or(0);
    let mut carry = net.zero_carry(texts.len())?;
    let (mut nats, mut bytes) = (0f64, 0usize);
    for start in (0..length).step_by(128) {
        let end = (start + 128).min(length);
        let segments: Vec<Segment<'_>> = texts
            .iter()
            .map(|t| Segment {
                history: &t[start.saturating_sub(8)..start],
                bytes: &t[start..end],
                fresh: start == 0,
            })
            .collect();
        let look = net.look_up(&segments)?;
        let loss = net.loss(&segments, &look, &mut carry, true)?.detach().to_scalar::<f32>()?;
        let n = (end - start) * texts.len();
        nats += f64::from(loss) * n as f64;
        bytes += n;
    }
    Ok(nats / bytes as f64 / std::f64::consts::LN_2)
}
