//! Arguments that several verbs share: where results go.

use crate::files::is_dash;
use crate::output::Output;
use anyhow::Context;
use clap::Args;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// The options of the target.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Target {
    /// Write to standard output
    #[arg(short = 'c', long, conflicts_with_all = ["output", "rm"])]
    pub stdout: bool,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite files, follow links, write to terminals
    #[arg(short, long)]
    pub force: bool,
    /// Keep the sources (default)
    #[arg(short, long, overrides_with = "rm")]
    pub keep: bool,
    /// Remove each source once its result is safely on disk
    #[arg(long, overrides_with = "keep")]
    pub rm: bool,
}

impl Target {
    /// Whether the result of `source` goes to standard output.
    pub fn is_stdout(&self, source: &Path) -> bool {
        self.stdout || self.output.as_deref().map_or(is_dash(source), is_dash)
    }

    /// Opens the result of `source`; `name` says what it is called where nobody chose.
    pub fn open(
        &self,
        source: &Path,
        binary: bool,
        name: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Output> {
        if self.is_stdout(source) {
            return Output::stdout(binary && !self.force);
        }
        let path = self.output.clone().map_or_else(name, Ok)?;
        Output::file(&path, self.force, !is_dash(source))
    }

    /// Whether a link as source is read.
    pub fn follows(&self) -> bool {
        self.force || self.stdout || self.output.is_some()
    }

    /// Ends a result and removes its source, if that is wanted.
    pub fn finish(&self, output: Output, source: &Path, like: Option<&Metadata>) -> anyhow::Result<()> {
        let remove = self.rm && matches!(output, Output::Renamed(_)) && like.is_some();
        output.finish(like, remove)?;
        if remove {
            fs::remove_file(source).context("cannot be removed")?;
        }
        Ok(())
    }
}
