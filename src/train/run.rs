//! The training run of a language model: schedule, progress, validation, checkpoints, export.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::checkpoint;
use super::corpus::{Corpus, Sampler, Segment};
use super::network::{Carry, Network};
use super::optimizer::Optimizer;
use crate::model::lm::weights::{Config, TableConfig, Weights};

/// The shapes that ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For golden files: a few thousand weights.
    Micro,
    /// About 0.25 M multiply-adds a byte.
    Tiny,
    /// About 1 M multiply-adds a byte.
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

/// What `nzip train` is asked to do.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Folder of text, plain or `.zst`.
    pub data: PathBuf,
    /// Sampling factors by file-name prefix.
    pub weights: Option<PathBuf>,
    pub size: Size,
    /// The weight file to write; the checkpoint lies beside it.
    pub output: PathBuf,
    /// Start from this exported weight file.
    pub from: Option<PathBuf>,
    /// Go on from the checkpoint beside the output.
    pub resume: bool,
    /// Total number of steps.
    pub steps: usize,
    /// The rate falls to zero over this many last steps, and weights are quantised in the forward pass.
    pub decay: usize,
    /// Streams side by side.
    pub lanes: usize,
    /// Bytes of each stream per step.
    pub length: usize,
    pub rate: f64,
    pub seed: u64,
    /// Steps between validations.
    pub every: usize,
    /// Text to validate on; by default the held-out tails of the training files.
    pub validate: Option<PathBuf>,
}

const WARM_UP: usize = 100;
/// Held-out bytes taken from each file.
const VALIDATION_BYTES: usize = 8 << 10;

/// Trains, with one line of progress per hundred steps on standard error.
pub fn train_lm(o: &TrainOptions) -> Result<()> {
    ensure!(o.lanes > 0 && o.length >= 8, "lanes must be positive and length at least 8");
    ensure!(o.decay <= o.steps, "the decay cannot be longer than the run");
    let corpus = Corpus::load(&o.data, o.weights.as_deref())?;
    let mut net = match &o.from {
        Some(path) => Network::from_weights(&Weights::from_bytes(&fs::read(path)?)?)?,
        None => Network::new(o.size.config(), o.seed)?,
    };
    let mut optimizer = Optimizer::new(&net);
    let state = o.output.with_extension("ckpt");
    let first = if o.resume { checkpoint::load(&state, &mut net, &mut optimizer)? } else { 0 };
    eprintln!("training on {:.1} MB from step {first} to {}", corpus.len() as f64 / 1e6, o.steps);
    let validation_text = o.validate.as_ref().map(fs::read).transpose().context("reading validation text")?;

    let mut sampler = Sampler::new(&corpus, o.lanes, o.seed.wrapping_add(first as u64));
    let mut carry = net.zero_carry(o.lanes)?;
    let (mut clock, mut sum, mut count) = (Instant::now(), 0f64, 0usize);
    for step in first + 1..=o.steps {
        let segments = sampler.next(o.length);
        reset_fresh(&mut carry, &segments)?;
        let look = net.look_up(&segments)?;
        let quantised = step + o.decay > o.steps;
        let loss = net.loss(&segments, &look, &mut carry, quantised)?;
        let grads = loss.backward()?;
        optimizer.step(&mut net, &grads, &look, o.rate * schedule(o, step), step)?;
        sum += f64::from(loss.to_scalar::<f32>()?);
        count += 1;
        if step % 100 == 0 || step == o.steps {
            let rate = (count * o.lanes * o.length) as f64 / clock.elapsed().as_secs_f64() / 1e3;
            let bits = sum / count as f64 / std::f64::consts::LN_2;
            eprintln!("step {step}  {bits:.4} bits/byte  {rate:.1} KB/s");
            (clock, sum, count) = (Instant::now(), 0.0, 0);
        }
        if step % o.every == 0 || step == o.steps {
            validate(&net, &corpus, validation_text.as_deref())?;
            checkpoint::save(&state, &net, &optimizer, step)?;
            fs::write(&o.output, net.to_weights()?.to_bytes())?;
            clock = Instant::now();
        }
    }
    Ok(())
}

/// Warm-up, plateau, linear decay.
fn schedule(o: &TrainOptions, step: usize) -> f64 {
    let left = (o.steps - step) as f64 / o.decay.max(1) as f64;
    (step as f64 / WARM_UP as f64).min(1.0).min(left.max(0.01))
}

fn reset_fresh(carry: &mut Carry, segments: &[Segment<'_>]) -> Result<()> {
    if segments.iter().any(|s| s.fresh) {
        let keep: Vec<f32> = segments.iter().map(|s| if s.fresh { 0.0 } else { 1.0 }).collect();
        let keep = Tensor::from_vec(keep, (segments.len(), 1), &Device::Cpu)?.to_dtype(DType::F32)?;
        for state in carry.iter_mut() {
            *state = state.broadcast_mul(&keep)?;
        }
    }
    Ok(())
}

fn validate(net: &Network, corpus: &Corpus, text: Option<&[u8]>) -> Result<()> {
    if let Some(text) = text {
        eprintln!("validation: {:.4} bits/byte", measure(net, &text.chunks(64 << 10).collect::<Vec<_>>())?);
        return Ok(());
    }
    let prose = corpus.held_out(VALIDATION_BYTES * 4, |name| name.starts_with("pg_"));
    let all = corpus.held_out(VALIDATION_BYTES, |_| true);
    let prose =
        if prose.is_empty() { String::new() } else { format!(", books {:.4}", measure(net, &prose)?) };
    eprintln!("validation: all {:.4}{prose} bits/byte", measure(net, &all)?);
    Ok(())
}

/// Bits per byte of the quantised network over texts that each start with a fresh state.
fn measure(net: &Network, texts: &[&[u8]]) -> Result<f64> {
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
