//! `nzip train`: learn a model from data.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nzip::train::{Size, TrainOptions, train_lm};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizeArgument {
    Micro,
    Tiny,
    Base,
}

/// Learn a language model from a folder of text.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// Folder of text files, plain or .zst
    data: PathBuf,
    /// Weight file to write; the checkpoint (.ckpt) lies beside it
    #[arg(short, long)]
    output: PathBuf,
    /// Shape of the network
    #[arg(long, value_enum, default_value = "base")]
    size: SizeArgument,
    /// Lines "PREFIX FACTOR": sample files whose names start so FACTOR times as often
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Start from an exported weight file instead of chance
    #[arg(long, conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Go on from the checkpoint beside the output
    #[arg(long)]
    resume: bool,
    /// Total number of steps
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Let the learning rate fall to zero, with quantised weights, over this many last steps
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

impl TrainArguments {
    /// Trains until the last step.
    pub fn run(self) -> anyhow::Result<()> {
        let size = match self.size {
            SizeArgument::Micro => Size::Micro,
            SizeArgument::Tiny => Size::Tiny,
            SizeArgument::Base => Size::Base,
        };
        train_lm(&TrainOptions {
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
        })
    }
}
