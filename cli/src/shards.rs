//! `-d` and `-t` of manifests.

use crate::console::{Console, Stopwatch};
use crate::files::{label, pump};
use crate::place::Place;
use crate::target::Target;
use anyhow::bail;
use nzip::manifest::ManifestArchive;
use std::path::Path;

/// Restores the content that a manifest describes, shard by shard.
pub fn restore(
    source: &Path,
    mut archive: ManifestArchive<Place>,
    target: &Target,
    console: Console,
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    if target.rm {
        bail!("--rm would remove the manifest and leave its shards");
    }
    let mut output = target.open(source, None, false, || target.raw_name(source))?;
    let meter = console.progress(&label(source), Some(archive.len()));
    let mut raw = 0;
    for number in 0..archive.manifest().shards().len() {
        let shard = &archive.manifest().shards()[number];
        let place = format!("shard {number} ({:?})", shard.name);
        let expected = shard.raw_len;
        let restored = pump(&mut archive.decoder(number)?, &mut output);
        let len = restored.map_err(|e| nzip::Error::from(e).within(&place))?;
        if len != expected {
            bail!("{place}: {expected} raw bytes expected, {len} found");
        }
        raw += len;
    }
    target.finish(output, source, None, console)?;
    drop(meter);
    console.summary(&format!("{}: {raw} bytes restored, {}", label(source), watch.speed(raw)));
    Ok(())
}

/// Verifies all shards. Reports each one that is damaged.
pub fn test(source: &Path, mut archive: ManifestArchive<Place>, console: Console) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let meter = console.progress(&label(source), Some(archive.len()));
    let count = archive.manifest().shards().len();
    let mut bad = 0;
    for number in 0..count {
        if let Err(e) = archive.verify(number) {
            console.error(label(source), &e.into());
            bad += 1;
        }
    }
    drop(meter);
    if bad > 0 {
        bail!("{bad} of {count} shards are damaged");
    }
    let raw = archive.len();
    console.summary(&format!("{}: ok, {count} shards, {raw} bytes, {}", label(source), watch.speed(raw)));
    Ok(())
}
