//! `nzip train` in a command that was built without it.

use crate::failure::usage;
use clap::Args;

/// Learn a language model from a folder of text, or a circuit from records.
#[derive(Debug, Args)]
#[command(after_help = "\
This nzip was built without training. A build with it lists the options of this verb:
  cargo build --release -p nzip-cli --features train")]
pub struct TrainArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _ignored: Vec<String>,
}

impl TrainArguments {
    /// Says that this build cannot train.
    pub fn run(self) -> anyhow::Result<()> {
        Err(usage(
            "this nzip was built without training; build it with `cargo build --release -p nzip-cli --features train`",
        ))
    }
}
