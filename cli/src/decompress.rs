//! `nzip -d`.

use crate::console::{Console, Stopwatch};
use crate::files::{is_dash, label, pump, raw_total};
use crate::input::Input;
use crate::list;
use crate::members;
use crate::place;
use crate::shards;
use crate::target::Target;
use anyhow::bail;
use nzip::{DecodeOptions, Decoder};
use std::io::Read;
use std::path::Path;

/// The first bytes of compressed files.
const MAGIC: &[u8] = b"\x93NZ\r\n\x1a\n";

/// Restores one file. With `-c` and `-f`, a file that is not compressed is passed on unchanged.
pub fn run(
    source: &Path,
    options: &DecodeOptions,
    members: &[String],
    target: &Target,
    console: Console,
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    if let Some(archive) = place::manifest(source, options)? {
        return shards::restore(source, archive, target, console);
    }
    if let Some(archive) = members::open(source, options)? {
        return members::restore(source, archive, options, members, target, console);
    }
    if !members.is_empty() {
        bail!("is no family of files on this machine: --member does not go with it");
    }
    let mut input = Input::open(source, target.follows())?;
    let found = input.source.as_ref();
    let mut output = target.open(source, found, false, || target.raw_name(source))?;
    let mut start = Vec::new();
    if target.stdout && target.force {
        (&mut input.reader).take(MAGIC.len() as u64).read_to_end(&mut start)?;
        if start != MAGIC {
            pump(&mut start.chain(&mut input.reader), &mut output)?;
            return target.finish(output, source, found, console);
        }
    }
    let meter = console.progress(&label(source), raw_total(source, console));
    let mut decoder = Decoder::with_options(start.chain(&mut input.reader), options.clone())?;
    let raw = pump(&mut decoder, &mut output).map_err(nzip::Error::from)?;
    drop(decoder);
    target.finish(output, source, found, console)?;
    drop(meter);
    console.summary(&format!("{}: {raw} bytes restored, {}", label(source), watch.speed(raw)));
    if console.is_talkative() && !is_dash(source) && source.is_file() {
        console.detail(&list::describe(place::open(source)?)?);
    }
    Ok(())
}
