//! `nzip FILE`.

use super::arguments::Target;
use super::console::{Console, Stopwatch};
use super::files::{Input, label, pump};
use super::quantity::{bits_per_byte, ratio};
use super::usage;
use nzip::tensor::Layout;
use nzip::{Encoder, ErrorKind, Options};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Finds out before any file is touched whether the options make sense.
pub fn check(options: &Options) -> anyhow::Result<()> {
    match Encoder::with_options(io::sink(), options.clone()) {
        Err(e) if e.kind() == ErrorKind::BadArgument => Err(usage(e.to_string())),
        other => Ok(other.map(drop)?),
    }
}

/// Compresses one file.
pub fn run(
    source: &Path,
    options: &Options,
    described: bool,
    target: &Target,
    console: Console,
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut input = Input::open(source, target.follows(), console)?;
    let output = target.open(source, true, || Ok(packed_name(source)))?;
    let mut encoder = Encoder::with_options(Tally { inner: output, bytes: 0 }, options.clone())?;
    let (raw, tally) = match whole(source, input.metadata.as_ref(), described)? {
        Some(file) => (file.metadata()?.len(), encoder.finish_file(&file)?),
        None => (pump(&mut input.reader, &mut encoder).map_err(nzip::Error::from)?, encoder.finish()?),
    };
    let Tally { inner: output, bytes: stored } = tally;
    target.finish(output, source, input.metadata.as_ref())?;
    drop(input);
    console.summary(&format!(
        "{}: {raw} -> {stored} bytes, ratio {:.3}, {:.3} bits per byte, {}",
        label(source),
        ratio(raw, stored),
        bits_per_byte(raw, stored),
        watch.speed(raw)
    ));
    Ok(())
}

/// The file, where it has to be seen as a whole: one that may hold tensors, or whose content is described.
fn whole(source: &Path, metadata: Option<&Metadata>, described: bool) -> anyhow::Result<Option<File>> {
    if metadata.is_none_or(|m| m.len() == 0) {
        return Ok(None);
    }
    let mut start = Vec::new();
    File::open(source)?.take(16).read_to_end(&mut start)?;
    let wanted = described || Layout::is_likely(&start);
    Ok(wanted.then(|| File::open(source)).transpose()?)
}

fn packed_name(source: &Path) -> PathBuf {
    let mut name = source.as_os_str().to_os_string();
    name.push(".nz");
    name.into()
}

/// Counts what is written.
struct Tally<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
