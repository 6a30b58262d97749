//! `nzip manifest`.

use crate::output::{Making, Output};
use crate::place::MANIFEST;
use anyhow::{Context, bail};
use clap::{Args, ValueHint};
use nzip::DecodeOptions;
use nzip::manifest::{Manifest, Shard};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// List .nz files that make up one content in a manifest
///
/// The content is that of the files, one directly after the other. -l, -t, -d, --range, tensors and grep take a manifest in
/// place of a file. The files must lie in the manifest's folder or below it.
#[derive(Debug, Args)]
pub struct ManifestArguments {
    /// Manifest to write
    #[arg(value_name = "MANIFEST", value_hint = ValueHint::FilePath)]
    manifest: PathBuf,
    /// .nz files, in the order of their contents
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Add the files behind those that the manifest lists
    #[arg(short, long)]
    append: bool,
    /// Overwrite the manifest
    #[arg(short, long, conflicts_with = "append")]
    force: bool,
}

impl ManifestArguments {
    /// Writes the manifest.
    pub fn run(self) -> anyhow::Result<()> {
        if self.manifest.extension().is_none_or(|e| e != MANIFEST.trim_start_matches('.')) {
            bail!("{}: a name that ends in {MANIFEST} is expected", self.manifest.display());
        }
        let options = DecodeOptions::new();
        let mut manifest = match self.append {
            true => {
                let bytes = fs::read(&self.manifest).with_context(|| self.manifest.display().to_string())?;
                Manifest::parse(&bytes, options.memory_cap())?
            }
            false => Manifest::new(),
        };
        for file in &self.files {
            let mut add = || -> anyhow::Result<()> {
                let name = name_below(&self.manifest, file)?;
                Ok(manifest.push(Shard::describe(&name, File::open(file)?, &options)?)?)
            };
            add().with_context(|| file.display().to_string())?;
        }
        let making = Making { force: self.force || self.append, ..Making::default() };
        let mut out = Output::made(&self.manifest, &making)?;
        out.write_all(&manifest.to_bytes())?;
        out.finish(None, false)
    }
}

/// The name of a file relative to the folder of the manifest.
fn name_below(manifest: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = match manifest.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (folder, file) = (folder.canonicalize()?, file.canonicalize()?);
    let below = file.strip_prefix(&folder);
    let below = below.map_err(|_| anyhow::anyhow!("does not lie in the manifest's folder or below it"))?;
    let parts = below.iter().map(|part| part.to_str().context("a name that is not UTF-8"));
    Ok(parts.collect::<anyhow::Result<Vec<_>>>()?.join("/"))
}
