//! `nzip FILE`.

use super::arguments::Target;
use super::console::{Console, Stopwatch};
use super::files::PIECE;
use super::files::{Input, label, pump};
use super::output::Output;
use super::quantity::{bits_per_byte, ratio};
use super::usage;
use anyhow::{Context, bail};
use nzip::tensor::Layout;
use nzip::{DecodeOptions, Decoder, Encoder, ErrorKind, Options};
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Write};
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
        if self.verify.is_some() && (input.metadata.is_none() || target.is_stdout(source)) {
            return Err(usage("--verify reads again what it has read and written: both must be files"));
        }
        let output = target.open(source, true, || Ok(packed_name(source)))?;
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
    let decoder = Decoder::with_options(output.reopen()?, options.clone().verify_hash(true))?;
    match first_difference(decoder, File::open(source)?).map_err(nzip::Error::from)? {
        None => Ok(()),
        Some(at) => bail!("the result differs from its source at byte {at}, or the source has changed"),
    }
}

/// Where two streams differ first; a stream also differs where only it has ended.
fn first_difference(a: impl Read, b: impl Read) -> io::Result<Option<u64>> {
    let (mut a, mut b) = (BufReader::with_capacity(PIECE, a), BufReader::with_capacity(PIECE, b));
    let mut at = 0;
    loop {
        let (x, y) = (a.fill_buf()?, b.fill_buf()?);
        let some = x.len().min(y.len());
        if let Some(i) = x.iter().zip(y).position(|(x, y)| x != y) {
            return Ok(Some(at + i as u64));
        }
        if some == 0 {
            return Ok((x.len() != y.len()).then_some(at));
        }
        at += some as u64;
        a.consume(some);
        b.consume(some);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_wherever_they_are() {
        let long = vec![7; PIECE + 100];
        let mut other = long.clone();
        other[PIECE + 3] = 8;
        let find = |a: &[u8], b: &[u8]| first_difference(a, b.chain(io::empty())).unwrap();
        assert_eq!(find(b"", b""), None);
        assert_eq!(find(&long, &long), None);
        assert_eq!(find(&long, &other), Some(PIECE as u64 + 3));
        assert_eq!(find(&long[..PIECE], &long), Some(PIECE as u64));
        assert_eq!(find(b"abc", b"ab"), Some(2));
        assert_eq!(find(b"", b"a"), Some(0));
    }
}
