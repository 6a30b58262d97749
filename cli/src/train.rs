//! `nzip train`: learns a model from data.

use crate::allocator::keep_large_buffers;
use clap::{Args, ValueEnum};
use nzip_train::circuit::{self, CircuitJob, CircuitOptions, Pseudo};
use nzip_train::lm::{self, LmOptions, Size};
use std::io::{self, Write};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizeArgument {
    Micro,
    Tiny,
    Base,
}

/// Learn a language model from a folder of text, or a circuit from a file of records.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// Folder of text files, plain or .zst; with --circuit a file of records (IDX, .npy of integers, or raw),
    /// or with --patch a PGM or PPM picture or a folder of them
    data: PathBuf,
    /// Weight file to write; the checkpoint (.ckpt) is written beside it
    #[arg(short, long)]
    output: PathBuf,
    /// Shape of the network
    #[arg(long, value_enum, default_value = "base")]
    size: SizeArgument,
    /// File of lines "PREFIX FACTOR": sample files with this prefix FACTOR times as often
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Start from an exported weight file instead of random weights
    #[arg(long, conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Continue from the checkpoint beside the output
    #[arg(long)]
    resume: bool,
    #[command(flatten, next_help_heading = "Circuit")]
    circuit: CircuitArguments,
    /// Total number of steps
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Number of last steps over which the learning rate falls to zero, with quantised weights
    #[arg(long, default_value_t = 3_000)]
    decay: usize,
    /// Streams read side by side
    #[arg(long, default_value_t = 48)]
    lanes: usize,
    /// Bytes of each stream per step
    #[arg(long, default_value_t = 112)]
    length: usize,
    /// Factor on all learning rates
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seed of the initial weights and the sampling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps between validation, checkpoint and export
    #[arg(long, default_value_t = 500)]
    every: usize,
    /// Text to validate on instead of the held-out tails
    #[arg(long)]
    validate: Option<PathBuf>,
}

/// Options for circuits only.
#[derive(Debug, Args)]
struct CircuitArguments {
    /// Learn a probabilistic circuit
    #[arg(long)]
    circuit: bool,
    /// Bytes of a raw record; IDX and .npy files state it themselves
    #[arg(long, value_name = "N")]
    record: Option<usize>,
    /// Bytes before the first raw record
    #[arg(long, value_name = "N", default_value_t = 0, requires = "record")]
    skip: usize,
    /// Width and height in pixels of the patches into which pictures are cut
    #[arg(long, value_name = "WxH", value_parser = patch, conflicts_with_all = ["record", "skip"])]
    patch: Option<(u8, u8)>,
    /// Most states of a hidden variable, 2 to 256
    #[arg(long, value_name = "K", default_value_t = 32)]
    latents: usize,
    /// Most classes into which symbols are grouped
    #[arg(long, value_name = "N", default_value_t = 32)]
    classes: usize,
    /// Total number of passes over the records in random batches
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: usize,
    /// Number of passes after those that learn from all records at once
    #[arg(long, value_name = "N", default_value_t = 0)]
    full: usize,
    /// Records of a batch
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch: usize,
    /// Step size at the start
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    first_step: f32,
    /// Step size at the end
    #[arg(long, value_name = "X", default_value_t = 0.004)]
    last_step: f32,
    /// Pseudocounts of a state over its edges, in proportion to how often each edge is taken overall
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    edge_pseudocount: f32,
    /// Pseudocounts of a state over its edges, in proportion to the edges of similar states
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    edge_borrow: f32,
    /// Pseudocounts of a state over its classes, in proportion to how often each class occurs overall
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    leaf_pseudocount: f32,
    /// Pseudocounts of a state over its classes, in proportion to how often neighbouring classes occur
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    leaf_smooth: f32,
    /// Hold every N-th record out for validation; 0 learns from all
    #[arg(long, value_name = "N", default_value_t = 12)]
    hold_out: usize,
    /// Before continuing, remove states with less than this fraction of an equal share
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    prune: f32,
    /// Before continuing, remove edges along which fewer records than this are expected
    #[arg(long, value_name = "RECORDS", default_value_t = 0.0)]
    prune_edges: f32,
    /// Before continuing, split states, up to --latents
    #[arg(long)]
    grow: bool,
    /// Precision of the stored parameters: 2^N steps per factor of 2
    #[arg(long, value_name = "N", default_value_t = 2)]
    log2_steps: u8,
}

fn patch(text: &str) -> Result<(u8, u8), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.filter(|&(w, h)| w > 0 && h > 0).ok_or_else(|| "two numbers of 1 to 255 expected, as in 8x8".into())
}

impl TrainArguments {
    /// Trains until the last step, with lines of progress on standard error.
    pub fn run(self) -> anyhow::Result<()> {
        keep_large_buffers();
        if self.circuit.circuit {
            let job = self.circuit_job();
            circuit::train(&job, &mut |event| say(circuit_line(event, &job)))?;
        } else {
            lm::train(&self.lm_options(), &mut |event| say(lm_line(event)))?;
        }
        Ok(())
    }

    fn circuit_job(self) -> CircuitJob {
        let (c, state) = (self.circuit, self.output.with_extension("ckpt"));
        let options = CircuitOptions {
            latents: c.latents,
            classes: c.classes,
            epochs: c.epochs,
            full: c.full,
            batch: c.batch,
            step: (c.first_step, c.last_step),
            pseudo: Pseudo {
                edge: c.edge_pseudocount,
                borrow: c.edge_borrow,
                leaf: c.leaf_pseudocount,
                smooth: c.leaf_smooth,
            },
            hold_out: c.hold_out,
            resume: self.resume,
            prune: c.prune,
            prune_edges: c.prune_edges,
            grow: c.grow,
            seed: self.seed,
            state,
        };
        let (record, skip, patch, log2_steps) = (c.record, c.skip, c.patch, c.log2_steps);
        CircuitJob { data: self.data, record, skip, patch, output: self.output, log2_steps, options }
    }

    fn lm_options(self) -> LmOptions {
        let size = match self.size {
            SizeArgument::Micro => Size::Micro,
            SizeArgument::Tiny => Size::Tiny,
            SizeArgument::Base => Size::Base,
        };
        LmOptions {
            data: self.data,
            weights: self.weights,
            size,
            output: self.output,
            from: self.from,
            resume: self.resume,
            steps: self.steps,
            decay: self.decay,
            lanes: self.lanes,
            length: self.length,
            rate: self.rate,
            seed: self.seed,
            every: self.every,
            validate: self.validate,
        }
    }
}

fn say(line: Option<String>) {
    if let Some(line) = line {
        // If standard error is gone, there is no way to report that.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// The line that reports an event while a language model is learned.
fn lm_line(event: lm::Event) -> Option<String> {
    Some(match event {
        lm::Event::Start { bytes, done, steps } => {
            format!("training on {:.1} MB from step {done} to {steps}", bytes as f64 / 1e6)
        }
        lm::Event::Steps { step, bits_per_byte, bytes_per_second } => {
            format!("step {step}  {bits_per_byte:.4} bits/byte  {:.1} KB/s", bytes_per_second / 1e3)
        }
        lm::Event::Validation { bits_per_byte, books } => {
            let books = books.map_or(String::new(), |b| format!(", books {b:.4}"));
            format!("validation: all {bits_per_byte:.4}{books} bits/byte")
        }
        _ => return None,
    })
}

/// The line that reports an event while a circuit is learned.
fn circuit_line(event: circuit::Event, job: &CircuitJob) -> Option<String> {
    Some(match event {
        circuit::Event::Start { records, variables, parameters, seconds } => format!(
            "{records} records of {variables} variables, {parameters} parameters, {seconds:.1} s for the tree and the start"
        ),
        circuit::Event::Pruned { before, parameters } => {
            format!("pruned from {before} to {parameters} parameters")
        }
        circuit::Event::PrunedEdges { parameters } => format!("{parameters} parameters are left"),
        circuit::Event::Grown { parameters } => format!("grown to {parameters} parameters"),
        circuit::Event::Pass { full, number, bits_per_dimension, held_out, seconds } => {
            let kind = if full { "whole pass" } else { "epoch" };
            let held_out = held_out.map_or(String::new(), |b| format!(", held out {b:.4}"));
            format!("{kind} {number}: {bits_per_dimension:.4} bits per dimension{held_out}, {seconds:.1} s")
        }
        circuit::Event::End { file_len } => format!("{}: {file_len} bytes", job.output.display()),
        _ => return None,
    })
}
