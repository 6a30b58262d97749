//! Families of files: restoring, verifying and listing their members.

use crate::console::{Console, Stopwatch};
use crate::files::{copy_range, first_bytes, is_dash, label};
use crate::identity::Identity;
use crate::names::hex;
use crate::output::{Making, Output};
use crate::place::{self, Place};
use crate::quantity::ratio;
use crate::table::{Align, Table};
use crate::target::Target;
use anyhow::{Context, bail};
use nzip::{Archive, DecodeOptions, Member};
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The bytes that tell what a file is.
const START: u64 = 32;
/// The raw bytes that are decoded together.
const PIECE: u64 = 16 << 20;

/// The family that a file on this machine is, if it is one.
///
/// # Errors
///
/// Those of opening and reading it.
pub fn open(path: &Path, options: &DecodeOptions) -> anyhow::Result<Option<Archive<Place>>> {
    if is_dash(path) || place::url(path).is_some() || !path.is_file() {
        return Ok(None);
    }
    if !nzip::family::is_family(&first_bytes(path, START)?) {
        return Ok(None);
    }
    place::archive(path, options.clone()).map(Some)
}

/// Restores the files of a family into a folder; with `-c` their contents, one after the other.
pub fn restore(
    source: &Path,
    mut archive: Archive<Place>,
    options: &DecodeOptions,
    names: &[String],
    target: &Target,
    console: Console,
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    if target.rm {
        bail!("--rm does not go with a family of files");
    }
    let meter = console.progress(&label(source), Some(archive.len()));
    let (all, piece) = (archive.len(), PIECE.min((options.memory_cap() / 16).max(1)));
    let members = archive.members();
    let wanted = wanted(&members, names)?;
    if target.is_stdout(source) {
        let mut output = Output::stdout(false)?;
        // Without names also what belongs to no member.
        let some = wanted.iter().map(|number| range(&members[*number]));
        let mut ranges: Box<dyn Iterator<Item = _>> = match names {
            [] => Box::new(std::iter::once(0..all)),
            _ => Box::new(some),
        };
        ranges
            .try_for_each(|range| copy_range(|range| archive.read_range(range), range, piece, &mut output))?;
        return output.finish(None, false);
    }
    if names.is_empty() && members.iter().map(|m| m.raw_len).sum::<u64>() != all {
        bail!("holds streams besides those of files (-c restores their bytes)");
    }
    let folder = target.output.clone().map_or_else(|| target.raw_name(source), Ok)?;
    let mut read = target.read.clone();
    read.extend(archive.get_ref().file().and_then(|file| Identity::of_open(source, file)));
    let mut raw = 0;
    for number in &wanted {
        let member = &members[*number];
        let is_base = members[*number..].iter().any(|m| m.bases.contains(number));
        let path = place_of(&folder, member)?;
        let making = Making { force: target.force, private: false, sparse: !target.no_sparse, read: &read };
        let mut output = Output::made(&path, &making)?;
        copy_range(|range| archive.read_range(range), range(member), piece, &mut output)
            .with_context(|| label(&path))?;
        output.flush()?;
        if let Some(file) = output.reopen().filter(|_| is_base) {
            archive.restored(*number, file?)?;
        }
        output.finish(None, false)?;
        raw += member.raw_len;
        console.detail(&format!("{}: {} bytes restored", label(&path), member.raw_len));
    }
    drop(meter);
    let count = wanted.len();
    console.summary(&format!("{}: {count} files, {raw} bytes restored, {}", label(source), watch.speed(raw)));
    Ok(())
}

/// The numbers of the members that names stand for, each a file or a folder; without names, of all.
fn wanted(members: &[Member], names: &[String]) -> anyhow::Result<Vec<usize>> {
    let is_in = |m: &Member, name: &str| {
        m.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let trimmed: Vec<&str> = names.iter().map(|name| name.trim_end_matches('/')).collect();
    if let Some(missing) = trimmed.iter().find(|name| !members.iter().any(|m| is_in(m, name))) {
        bail!("holds no file {missing:?} (-l lists them)");
    }
    let some =
        (0..members.len()).filter(|i| names.is_empty() || trimmed.iter().any(|n| is_in(&members[*i], n)));
    Ok(some.collect())
}

/// Where a member is restored, after making the folders above.
fn place_of(folder: &Path, member: &Member) -> anyhow::Result<PathBuf> {
    // The library gives out no names that lead upwards.
    let path = member.name.split('/').fold(folder.to_path_buf(), |path, part| path.join(part));
    let above = path.parent().unwrap_or(folder);
    fs::create_dir_all(above).with_context(|| label(above))?;
    Ok(path)
}

fn range(member: &Member) -> Range<u64> {
    member.raw_start..member.raw_start + member.raw_len
}

/// Verifies all files of a family.
pub fn test(source: &Path, mut archive: Archive<Place>, console: Console) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let meter = console.progress(&label(source), Some(archive.len()));
    let raw = archive.verify()?;
    drop(meter);
    let count = archive.members().len();
    console.summary(&format!("{}: ok, {count} files, {raw} bytes, {}", label(source), watch.speed(raw)));
    Ok(())
}

/// The members as a table; empty without members.
pub fn table(members: &[Member]) -> String {
    if members.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("stored", Align::Right),
        ("raw", Align::Right),
        ("ratio", Align::Right),
        ("depth", Align::Right),
        ("member", Align::Left),
        ("coded against", Align::Left),
    ]);
    for m in members {
        let names: Vec<&str> = m.bases.iter().map(|b| members[*b].name.as_str()).collect();
        table.row([
            m.stored_len.to_string(),
            m.raw_len.to_string(),
            format!("{:.3}", ratio(m.raw_len, m.stored_len)),
            m.depth.to_string(),
            m.name.clone(),
            if names.is_empty() { "-".into() } else { names.join(", ") },
        ]);
    }
    table.render()
}

/// A member in JSON.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    raw_offset: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    hash: Option<String>,
    depth: u64,
    bases: Vec<String>,
}

/// The members in JSON.
pub fn rows(members: &[Member]) -> Vec<Row> {
    let row = |m: &Member| Row {
        name: m.name.clone(),
        raw_offset: m.raw_start,
        raw_bytes: m.raw_len,
        stored_bytes: m.stored_len,
        hash: m.hash.map(|h| hex(&h)),
        depth: m.depth,
        bases: m.bases.iter().map(|b| members[*b].name.clone()).collect(),
    };
    members.iter().map(row).collect()
}
