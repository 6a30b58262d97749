//! The `nzip` command.

use clap::{Parser, Subcommand};

mod cli;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Learn a language model from text.
    #[cfg(feature = "train")]
    Train(cli::train::TrainArguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        #[cfg(feature = "train")]
        Command::Train(a) => a.run(),
    }
}
