//! `nzip -d`.

use crate::console::{Console, Stopwatch};
use crate::files::{Input, label, pump};
use crate::target::Target;
use anyhow::Context;
use nzip::{DecodeOptions, Decoder};
use std::path::{Path, PathBuf};

/// Restores one file.
pub fn run(source: &Path, options: &DecodeOptions, target: &Target, console: Console) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut input = Input::open(source, target.follows(), console)?;
    let found = input.source.as_ref();
    let mut output = target.open(source, found, false, || raw_name(source))?;
    let mut decoder = Decoder::with_options(&mut input.reader, options.clone())?;
    let raw = pump(&mut decoder, &mut output).map_err(nzip::Error::from)?;
    drop(decoder);
    target.finish(output, source, found, console)?;
    drop(input);
    console.summary(&format!("{}: {raw} bytes restored, {}", label(source), watch.speed(raw)));
    Ok(())
}

fn raw_name(source: &Path) -> anyhow::Result<PathBuf> {
    let is_packed = source.extension().is_some_and(|e| e == "nz");
    is_packed.then(|| source.with_extension("")).context("the name does not end in .nz (-o or -c chooses)")
}
