//! `nzip --range A..B`.

use crate::console::Console;
use crate::files::{is_dash, label};
use crate::identity::Identity;
use crate::output::{Making, Output};
use crate::place;
use crate::quantity::Span;
use crate::target::Target;
use anyhow::bail;
use nzip::DecodeOptions;
use std::io::Write;
use std::path::Path;

/// The raw bytes that are decoded together: whole blocks of the usual sizes.
const PIECE: u64 = 64 << 20;

/// Decodes a part of one file.
pub fn run(
    source: &Path,
    span: Span,
    options: &DecodeOptions,
    target: &Target,
    console: Console,
) -> anyhow::Result<()> {
    let mut archive = place::archive(source, options.clone())?;
    let mut read = target.read.clone();
    read.extend(archive.get_ref().file().and_then(|file| Identity::of_open(source, file)));
    let range = span.within(archive.len());
    if range.start > range.end || range.end > archive.len() {
        bail!("bytes {}..{} of {}", range.start, range.end, archive.len());
    }
    let mut output = match &target.output {
        Some(path) if !is_dash(path) => {
            Output::made(path, &Making { force: target.force, read: &read, ..Making::default() })?
        }
        _ => Output::stdout(false)?,
    };
    let mut at = range.start;
    // The pieces must not fill the memory that decoding them needs.
    let piece = PIECE.min((options.memory_cap() / 8).max(1));
    while at < range.end {
        let end = ((at / piece + 1) * piece).min(range.end);
        output.write_all(&archive.read_range(at..end)?)?;
        at = end;
    }
    output.finish(None, false)?;
    let decoded = archive.decoded_bytes();
    console.summary(&format!("{}: {} bytes, {decoded} decoded", label(source), range.end - range.start));
    Ok(())
}
