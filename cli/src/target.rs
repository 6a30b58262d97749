//! Arguments that several verbs share: where results go.

use crate::console::Console;
use crate::files::{is_dash, label};
use crate::identity::{Identity, Source};
use crate::naming;
use crate::output::{Making, Output};
use anyhow::{Context, bail};
use clap::{Args, ValueHint};
use std::fs;
use std::path::{Path, PathBuf};

/// The options of the target.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct Target {
    /// Write to standard output
    #[arg(short = 'c', long, alias = "to-stdout", conflicts_with_all = ["output", "rm"])]
    pub stdout: bool,
    /// Write to this file, or into this folder
    ///
    /// A folder is one that exists, or a name that ends in /. With -r, the folders inside are created there
    /// too.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Suffix of compressed files [default: .nz]
    #[arg(short = 'S', long, value_name = "SUFFIX", value_parser = naming::suffix, value_hint = ValueHint::Other)]
    #[arg(hide_short_help = true)]
    pub suffix: Option<String>,
    /// The folders that are searched: results in another folder keep their places relative to these.
    #[arg(skip)]
    pub roots: Vec<PathBuf>,
    /// Overwrite files, follow links, write to terminals
    #[arg(short, long)]
    pub force: bool,
    /// Keep the sources (default)
    #[arg(short, long, overrides_with = "rm", hide_short_help = true)]
    pub keep: bool,
    /// Remove each source once its result is safely on disk
    #[arg(long, overrides_with = "keep")]
    pub rm: bool,
    /// Write zeros as they are (otherwise restored files get holes where whole pages are zeros)
    #[arg(long, hide_short_help = true)]
    pub no_sparse: bool,
    /// Files that are read in addition to each source; no result may replace them.
    #[arg(skip)]
    pub read: Vec<Identity>,
}

impl Target {
    /// Whether the result of `source` goes to standard output.
    pub fn is_stdout(&self, source: &Path) -> bool {
        self.stdout || self.output.as_deref().map_or(is_dash(source), is_dash)
    }

    /// The folder to which results go, if one was chosen.
    pub fn folder(&self) -> Option<&Path> {
        let output = self.output.as_deref().filter(|o| !is_dash(o))?;
        let named = output.as_os_str().as_encoded_bytes().ends_with(b"/");
        (named || output.is_dir()).then_some(output)
    }

    /// The name of the result of compressing `source`, unless the user chose one.
    pub fn packed_name(&self, source: &Path) -> anyhow::Result<PathBuf> {
        naming::packed(source, self.suffix.as_deref(), self.force)
    }

    /// The name of the result of restoring `source`, unless the user chose one.
    pub fn raw_name(&self, source: &Path) -> anyhow::Result<PathBuf> {
        naming::raw(source, self.suffix.as_deref())
    }

    /// The path in the folder of `-o` for a result that would otherwise be at `beside`.
    fn inside(&self, folder: &Path, beside: &Path) -> anyhow::Result<PathBuf> {
        let below = |root: &PathBuf| {
            // A folder keeps its own name there, unless it has none, such as `.`.
            let above = root.file_name().and_then(|_| root.parent()).unwrap_or(root);
            beside.strip_prefix(root).ok().and_then(|_| beside.strip_prefix(above).ok())
        };
        let name = self.roots.iter().find_map(below).or(beside.file_name().map(Path::new));
        let path = folder.join(name.context("a file without a name: -o takes a file here")?);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        Ok(path)
    }

    /// Opens the result of `source`, which is the regular file `found` if it is one; `name` returns the
    /// result's name unless the user chose one. A `binary` result must not go to a terminal, and has no
    /// holes.
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
            bail!("has {} names: --rm would remove only one of them (-f does so)", found.names());
        }
        let path = match (self.folder(), &self.output) {
            (Some(folder), _) => self.inside(folder, &name()?)?,
            (None, Some(file)) => file.clone(),
            (None, None) => name()?,
        };
        let sparse = !binary && !self.no_sparse;
        Output::made(&path, &Making { force: self.force, private: found.is_some(), sparse, read: &read })
    }

    /// Whether a link is read as a source.
    pub fn follows(&self) -> bool {
        self.force || self.stdout || self.output.is_some()
    }

    /// Completes a result, and removes its source if that is wanted and the source is still the file that was
    /// read.
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
            bail!("the name no longer stands for the file that was read; nothing is removed");
        }
        fs::remove_file(source).context("cannot be removed")
    }
}
