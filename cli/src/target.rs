//! Arguments that several verbs share: where results go.

use crate::console::Console;
use crate::files::{is_dash, label};
use crate::identity::{Identity, Source};
use crate::output::{Making, Output};
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// The options of the target.
#[derive(Debug, Clone, Args)]
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
    /// Write zeros as they are (without it, restored files get holes where whole pages are zeros)
    #[arg(long, hide_short_help = true)]
    pub no_sparse: bool,
    /// Files that are read beside each source: no result may take their place.
    #[arg(skip)]
    pub read: Vec<Identity>,
}

impl Target {
    /// Whether the result of `source` goes to standard output.
    pub fn is_stdout(&self, source: &Path) -> bool {
        self.stdout || self.output.as_deref().map_or(is_dash(source), is_dash)
    }

    /// Opens the result of `source`, which was found to be the regular file `found` if it is one; `name` says what the result
    /// is called where nobody chose. `binary` is what no terminal should get, and has no holes.
    pub fn open(
        &self,
        source: &Path,
        found: Option<&Source>,
        binary: bool,
        name: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Output> {
        let mut read = self.read.clone();
        read.extend(found.map(|s| s.identity().clone()));
        if self.is_stdout(source) {
            if Identity::of_stdout().is_some_and(|out| read.contains(&out)) {
                bail!("standard output is a file that is read for it");
            }
            return Output::stdout(binary && !self.force);
        }
        if let Some(found) = found.filter(|f| self.rm && !self.force && f.names() > 1) {
            bail!("has {} names: --rm would remove only one of them (-f does it)", found.names());
        }
        let path = self.output.clone().map_or_else(name, Ok)?;
        let sparse = !binary && !self.no_sparse;
        Output::made(&path, &Making { force: self.force, private: found.is_some(), sparse, read: &read })
    }

    /// Whether a link as source is read.
    pub fn follows(&self) -> bool {
        self.force || self.stdout || self.output.is_some()
    }

    /// Ends a result and removes its source, if that is wanted and the source is still the file that was read.
    pub fn finish(
        &self,
        output: Output,
        source: &Path,
        found: Option<&Source>,
        console: Console,
    ) -> anyhow::Result<()> {
        let removed = found.filter(|_| self.rm && matches!(output, Output::Renamed(_)));
        output.finish(found.map(Source::metadata), removed.is_some())?;
        let change = found.map(Source::change).transpose()?.flatten();
        let Some(found) = removed else {
            if let Some(change) = change {
                console.warning(&format!("{}: {change}", label(source)));
            }
            return Ok(());
        };
        if let Some(change) = change {
            bail!("{change}; it is kept");
        }
        if found.is_moved() {
            bail!(
                "the name stands for another file than the one that was read, or for none; nothing is removed"
            );
        }
        fs::remove_file(source).context("cannot be removed")
    }
}
