//! `nzip -t`.

use crate::console::{Console, Stopwatch};
use crate::files::{is_dash, label, pump, raw_total};
use crate::input::Input;
use crate::list;
use crate::members;
use crate::place;
use crate::shards;
use nzip::{DecodeOptions, Decoder};
use std::io;
use std::path::Path;

/// Decodes one file without writing it anywhere, and verifies check values and stream hashes.
pub fn run(source: &Path, options: &DecodeOptions, console: Console) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    if let Some(archive) = place::manifest(source, options)? {
        return shards::test(source, archive, console);
    }
    if let Some(archive) = members::open(source, options)? {
        return members::test(source, archive, console);
    }
    let mut input = Input::open(source, true)?;
    let meter = console.progress(&label(source), raw_total(source, console));
    let mut decoder = Decoder::with_options(&mut input.reader, options.clone().verify_hash(true))?;
    let raw = pump(&mut decoder, &mut io::sink()).map_err(nzip::Error::from)?;
    drop(meter);
    console.summary(&format!("{}: ok, {raw} bytes, {}", label(source), watch.speed(raw)));
    if console.is_talkative() && !is_dash(source) && source.is_file() {
        console.detail(&list::describe(place::open(source)?)?);
    }
    Ok(())
}
