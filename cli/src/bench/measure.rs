//! Runs a program and measures its time and memory.

use super::figures::{Cost, Run};
use super::tools::{Command, Tool};
use crate::files::first_difference;
use crate::names;
use anyhow::{Context, bail};
use nzip::{Archive, Models};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;
use wait4::Wait4;

/// Compresses and restores `raw` in `folder`. This process must stay small, because the system counts the
/// memory of the parent from which a child starts as the child's.
pub fn run(tool: &Tool, folder: &Path, file: &str, repeat: u32) -> anyhow::Result<Run> {
    let raw = folder.join("raw");
    let there = |names: &[&str]| names.iter().map(|n| folder.join(n)).find(|p| p.is_file());
    let packed = || there(&["packed", "packed.zpaq", "packed.7z", "packed.jxl"]);
    let out = || there(&["out", "out.ppm"]);
    let mut encode = Cost { seconds: f64::INFINITY, memory: None };
    let mut decode = encode;
    for _ in 0..repeat {
        while let Some(path) = packed() {
            fs::remove_file(path)?;
        }
        encode = encode.best(time(&tool.encode, folder)?);
    }
    let packed = packed().context("it wrote no file")?;
    for _ in 0..repeat {
        if let Some(out) = out() {
            fs::remove_file(out)?;
        }
        decode = decode.best(time(&tool.decode, folder)?);
    }
    let (models, start) = if tool.own { brought_along(&packed)? } else { (Vec::new(), 0) };
    Ok(Run {
        file: file.into(),
        tool: tool.name.clone(),
        own: tool.own,
        raw: fs::metadata(&raw)?.len(),
        stored: fs::metadata(&packed)?.len(),
        models,
        start,
        encode,
        decode,
        good: out().map_or(Ok(false), |out| same(&raw, &out))?,
    })
}

fn time(command: &Command, folder: &Path) -> anyhow::Result<Cost> {
    let mut process = std::process::Command::new(&command.program);
    // The user's own settings are not what is compared.
    process.env_remove("NZIP_LEVEL").env_remove("NZIP_THREADS");
    process.args(&command.arguments).current_dir(folder).stdin(Stdio::null());
    let to_file = |name: &str| File::create(folder.join(name)).map(Stdio::from);
    process.stdout(command.stdout.map_or_else(|| Ok(Stdio::null()), to_file)?);
    process.stderr(to_file("messages")?);
    let start = Instant::now();
    let mut child = process.spawn().with_context(|| command.program.display().to_string())?;
    let ended = child.wait4()?;
    let seconds = start.elapsed().as_secs_f64();
    if !ended.status.success() {
        let said = fs::read(folder.join("messages")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        bail!("{}: {}", ended.status, said.lines().last().unwrap_or("no message"));
    }
    Ok(Cost { seconds, memory: Some(ended.rusage.maxrss) })
}

/// A model by its hash, and its stored size in bytes.
type SizedModel = ([u8; 32], u64);

/// The models that a file needs and does not contain, and the bytes from which its codecs start.
fn brought_along(packed: &Path) -> anyhow::Result<(Vec<SizedModel>, u64)> {
    let list = Models::new().list();
    let mut archive = Archive::new(File::open(packed)?)?;
    let embedded: u64 = archive.streams().iter().map(|s| s.embedded_len).sum();
    let (mut models, mut start, mut number) = (Vec::new(), 0, 0);
    while let Some(block) = archive.block(number)? {
        number += 1;
        start = start.max(names::start_of(block.codec.as_slice()));
        let bytes = |hash| names::place(&hash, 0, &list).1.map(|n| (hash, n));
        let model = block.model.filter(|_| embedded == 0).and_then(bytes);
        models.extend(model.filter(|m| !models.contains(m)));
    }
    Ok((models, start))
}

fn same(a: &Path, b: &Path) -> anyhow::Result<bool> {
    let (Ok(a), Ok(b)) = (File::open(a), File::open(b)) else { return Ok(false) };
    Ok(first_difference(a, b)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_to_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let (a, b) = (file("a", &[1; 600_000]), file("b", &[1; 600_000]));
        let (short, other) = (file("short", &[1; 599_999]), file("other", &[2; 600_000]));
        assert!(same(&a, &b).unwrap());
        assert!(!same(&a, &short).unwrap() && !same(&short, &a).unwrap() && !same(&a, &other).unwrap());
        assert!(!same(&a, &folder.path().join("missing")).unwrap());
    }
}
