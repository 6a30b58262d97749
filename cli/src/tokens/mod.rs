//! `nzip tokens`: text as tokens of equal information, and back (`formats/tokens.md`).

mod decode;
mod encode;
mod file;
mod inspect;
mod side;

use clap::{Args, Subcommand};

/// Text as tokens of equal information, to train language models on
///
/// A model compresses text into windows of a few bits each; their values are the tokens. docs/tokens.md says
/// how to choose.
#[derive(Debug, Args)]
pub struct TokensArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write files, or their lines, as tokens
    Encode(encode::EncodeArguments),
    /// Write the text of tokens
    Decode(decode::DecodeArguments),
    /// Show what a file of tokens holds
    Inspect(inspect::InspectArguments),
}

impl TokensArguments {
    /// Runs the action.
    pub fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Encode(a) => a.run(),
            Action::Decode(a) => a.run(),
            Action::Inspect(a) => a.run(),
        }
    }
}
