//! `nzip --range A..B`.

use crate::console::Console;
use crate::files::{copy_range, is_dash, label};
use crate::identity::Identity;
use crate::output::{Making, Output};
use crate::place;
use crate::quantity::Span;
use crate::target::Target;
use anyhow::bail;
use nzip::DecodeOptions;
use std::ops::Range;
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
    if let Some(mut shards) = place::manifest(source, options)? {
        let (len, identity) = (shards.len(), Identity::of(source));
        copy(&mut |range| shards.read_range(range), len, identity, span, options, target)?;
        return Ok(());
    }
    let mut archive = place::archive(source, options.clone())?;
    let (len, identity) =
        (archive.len(), archive.get_ref().file().and_then(|file| Identity::of_open(source, file)));
    let bytes = copy(&mut |range| archive.read_range(range), len, identity, span, options, target)?;
    let decoded = archive.decoded_bytes();
    console.summary(&format!("{}: {bytes} bytes, {decoded} decoded", label(source)));
    Ok(())
}

/// Writes a part of a content of `len` bytes, and gives its length.
fn copy(
    read_range: &mut dyn FnMut(Range<u64>) -> nzip::Result<Vec<u8>>,
    len: u64,
    identity: Option<Identity>,
    span: Span,
    options: &DecodeOptions,
    target: &Target,
) -> anyhow::Result<u64> {
    let mut read = target.read.clone();
    read.extend(identity);
    let range = span.within(len);
    if range.start > range.end || range.end > len {
        bail!("bytes {}..{} of {len}", range.start, range.end);
    }
    let mut output = match &target.output {
        Some(path) if !is_dash(path) => {
            Output::made(path, &Making { force: target.force, read: &read, ..Making::default() })?
        }
        _ => Output::stdout(false)?,
    };
    // The pieces must not fill the memory that decoding them needs.
    let piece = PIECE.min((options.memory_cap() / 8).max(1));
    let len = range.end - range.start;
    copy_range(read_range, range, piece, &mut output)?;
    output.finish(None, false)?;
    Ok(len)
}
