//! `nzip FILE`.

use super::arguments::Target;
use super::console::{Console, Stopwatch};
use super::files::{Input, first_difference, label, pump};
use super::output::Output;
use super::quantity::{bits_per_byte, ratio};
use super::usage;
use anyhow::{Context, bail};
use nzip::tensor::Layout;
use nzip::{DecodeOptions, Decoder, Encoder, ErrorKind, Options};
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

/// How files are compressed.
pub struct Compressor<'a> {
    /// What the library needs to know.
    pub options: Options,
    /// What results are decoded with before they get their names, where they are to be verified.
    pub verify: Option<DecodeOptions>,
    /// Whether the options say what the content is.
    pub described: bool,
    /// Where results go.
    pub target: &'a Target,
    /// Where reports go.
    pub console: Console,
}

impl Compressor<'_> {
    /// Compresses one file.
    pub fn run(&self, source: &Path) -> anyhow::Result<()> {
        let Self { target, console, .. } = *self;
        let watch = Stopwatch::start();
        let mut input = Input::open(source, target.follows(), console)?;
        let output = target.open(source, true, || Ok(packed_name(source)))?;
        if self.verify.is_some() && (input.metadata.is_none() || output.reopen().is_none()) {
            bail!("--verify reads again what it has read and written: both must be files");
        }
        let mut encoder = Encoder::with_options(Tally { inner: output, bytes: 0 }, self.options.clone())?;
        let (raw, tally) = match whole(source, input.metadata.as_ref(), self.described)? {
            Some(file) => (file.metadata()?.len(), encoder.finish_file(&file)?),
            None => (pump(&mut input.reader, &mut encoder).map_err(nzip::Error::from)?, encoder.finish()?),
        };
        let Tally { inner: mut output, bytes: stored } = tally;
        drop(input.reader);
        if let Some(options) = &self.verify {
            verify(&mut output, source, options).context("nothing was written: --verify")?;
        }
        target.finish(output, source, input.metadata.as_ref())?;
        console.summary(&format!(
            "{}: {raw} -> {stored} bytes, ratio {:.3}, {:.3} bits per byte, {}",
            label(source),
            ratio(raw, stored),
            bits_per_byte(raw, stored),
            watch.speed(raw)
        ));
        Ok(())
    }
}

/// Decodes a result that has no name yet, and compares it with its source.
fn verify(output: &mut Output, source: &Path, options: &DecodeOptions) -> anyhow::Result<()> {
    output.flush()?;
    let result = output.reopen().context("it cannot be read again")??;
    let decoder = Decoder::with_options(result, options.clone().verify_hash(true))?;
    match first_difference(decoder, File::open(source)?).map_err(nzip::Error::from)? {
        None => Ok(()),
        Some(at) => bail!("the result differs from its source at byte {at}, or the source has changed"),
    }
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
