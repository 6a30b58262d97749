//! `nzip pack`: files that resemble each other, in one archive.

use crate::console::{Console, Stopwatch};
use crate::failure::usage;
use crate::files::{label, open_file};
use crate::gather::{Gathered, gather};
use crate::identity::Identity;
use crate::interrupt;
use crate::level::Level;
use crate::output::{Making, Output};
use crate::quantity::ratio;
use crate::resources::Resources;
use anyhow::{Context, bail};
use clap::{ArgAction, Args, ValueHint};
use nzip::Options;
use nzip::family::{FamilyWriter, MemberReport, check_shards};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Store files that resemble each other, such as checkpoints of a model, in one archive
///
/// Equal tensors are stored once, and near ones as differences, each against the nearest earlier tensor of its name and shape.
/// Each tensor still loads alone: "nzip tensors cat FAMILY.nz FILE:TENSOR". "nzip -d FAMILY.nz -o FOLDER" restores the
/// files, -l lists them. Of a checkpoint in several files (NAME-00001-of-00003.safetensors) all must be given.
#[derive(Debug, Args)]
pub struct PackArguments {
    /// Files, or folders of files; what others are coded against comes first
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Archive to write
    #[arg(short, long, value_name = "ARCHIVE", value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// The files are a chain, such as checkpoints of a training run: code each against the one before
    #[arg(long)]
    chain: bool,
    /// Most files that are read for a tensor, its own included; of a chain, every Nth is coded alone
    #[arg(long, value_name = "N", default_value_t = FamilyWriter::<File>::ANCHOR, value_hint = ValueHint::Other)]
    anchor: u64,
    #[command(flatten)]
    level: Level,
    /// Overwrite the archive
    #[arg(short, long)]
    force: bool,
    /// Say less (-qq: not even errors)
    #[arg(short, long, action = ArgAction::Count)]
    quiet: u8,
    /// Say more: also which file each was coded against
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    resources: Resources,
}

impl PackArguments {
    /// Writes the archive.
    pub fn run(self) -> anyhow::Result<()> {
        if !self.resources.base.is_empty() || !self.resources.base_from.is_empty() {
            return Err(usage("pack finds bases among its files; --base does not go with it"));
        }
        let console = Console::new(self.quiet, self.verbose);
        let output = Identity::of(&self.output);
        let files = gather(&self.files, |path| output.is_some() && Identity::of(path) == output)?;
        if files.is_empty() {
            bail!("no files were found");
        }
        for (name, count) in shards(&files)? {
            console.detail(&format!("{name}: all {count} files of the checkpoint are there"));
        }
        let read: Vec<_> = files.iter().filter_map(|f| Identity::of(&f.path)).collect();
        let mut options = Options::new().resources(self.resources.shared(self.resources.load()?));
        if let Some(level) = self.level.chosen()? {
            options = options.level(level);
        }
        interrupt::watch();
        let out =
            Output::made(&self.output, &Making { force: self.force, read: &read, ..Making::default() })?;
        let watch = Stopwatch::start();
        let mut family = FamilyWriter::new(out, options)?.chained(self.chain);
        family = family.anchor(self.anchor).map_err(|e| usage(e.to_string()))?;
        let (mut raw, mut stored) = (0, 0);
        for found in &files {
            let mut add = || -> anyhow::Result<MemberReport> {
                let file = open_file(&found.path, true)?;
                let _meter = console.progress(&label(&found.path), Some(file.metadata()?.len()));
                Ok(family.add_file(&found.name, &file)?)
            };
            let report = add().with_context(|| found.path.display().to_string())?;
            (raw, stored) = (raw + report.raw_len, stored + report.stored_len);
            console.detail(&line(&report, &files));
        }
        family.finish()?.finish(None, false)?;
        let name = label(&self.output);
        let (ratio, speed, count) = (ratio(raw, stored), watch.speed(raw), files.len());
        console
            .summary(&format!("{name}: {count} files, {raw} -> {stored} bytes, ratio {ratio:.3}, {speed}"));
        Ok(())
    }
}

/// The checkpoints that are spread over several files, after a check that these belong together.
fn shards(files: &[Gathered]) -> anyhow::Result<Vec<(String, u64)>> {
    let candidates: Vec<_> =
        files.iter().filter(|f| f.name.contains("-of-") || f.name.ends_with(".index.json")).collect();
    let opened = candidates.iter().map(|f| open_file(&f.path, true).with_context(|| label(&f.path)));
    let opened = opened.collect::<anyhow::Result<Vec<File>>>()?;
    let named: Vec<(&str, &File)> = candidates.iter().map(|f| f.name.as_str()).zip(&opened).collect();
    Ok(check_shards(&named)?)
}

/// The outcome for a file, in one line.
fn line(report: &MemberReport, files: &[Gathered]) -> String {
    let MemberReport { name, raw_len, stored_len, .. } = report;
    let mut text = format!(
        "{}: {raw_len} -> {stored_len} bytes, ratio {:.3}",
        label(Path::new(name)),
        ratio(*raw_len, *stored_len)
    );
    if report.tensors > 0 {
        text += &format!(", {} tensors, {} equal, {} near", report.tensors, report.equal, report.near);
    }
    for base in &report.bases {
        let name = label(Path::new(&files[base.member].name));
        text += &format!("; against {name}: {} tensors, {:.1} bits", base.tensors, base.bits);
    }
    text
}
