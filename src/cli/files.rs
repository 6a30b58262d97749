//! `nzip [FILE]...`: what is done with each file.

use super::arguments::{FileArguments, Target};
use super::compress::{self, Compressor};
use super::console::{Console, Counted};
use super::output::Output;
use super::{decompress, device, is_broken_pipe, list, print, range, usage};
use anyhow::{Context, bail};
use nzip::Device;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are read or written at a time.
pub const PIECE: usize = 256 << 10;

/// Runs the operation on all files; false where some failed.
pub fn run(arguments: &FileArguments) -> anyhow::Result<bool> {
    let console = Console::new(arguments.quiet, arguments.verbose);
    if arguments.resources.device.as_deref() == Some("list") {
        return print(&device::list()).map(|()| true);
    }
    let files = inputs(arguments)?;
    let device = arguments.resources.device(console);
    let good = all(arguments, &files, &device, console);
    device::report(&device, console);
    good
}

fn all(
    arguments: &FileArguments,
    files: &[PathBuf],
    device: &Device,
    console: Console,
) -> anyhow::Result<bool> {
    let operation = &arguments.operation;
    if operation.list {
        return list::run(files, arguments, console);
    }
    if operation.decompress || operation.test || operation.range.is_some() {
        let options = arguments.resources.decode_options()?.device(device.clone());
        return each(files, console, |file| {
            if let Some(span) = operation.range {
                range::run(file, span, &options, &arguments.target, console)
            } else if operation.test {
                decompress::test(file, &options, console)
            } else {
                decompress::run(file, &options, &arguments.target, console)
            }
        });
    }
    let loaded = arguments.resources.load()?;
    let options = arguments.encode_options(loaded.clone())?.device(device.clone());
    compress::check(&options)?;
    let compressor = Compressor {
        options,
        // On the CPU, whatever has encoded.
        verify: arguments.compression.verify.then(|| arguments.resources.decode_with(loaded)),
        described: arguments.compression.dtype.is_some(),
        target: &arguments.target,
        console,
    };
    each(files, console, |file| compressor.run(file))
}

/// The files that are named, or standard input; refuses what would lose data.
fn inputs(arguments: &FileArguments) -> anyhow::Result<Vec<PathBuf>> {
    if arguments.files.is_empty() {
        if io::stdin().is_terminal() {
            return Err(usage("no file is named and standard input is a terminal; nzip -h helps"));
        }
        return Ok(vec!["-".into()]);
    }
    if arguments.target.output.is_some() && arguments.files.len() > 1 {
        return Err(usage("-o takes one file; -c joins many"));
    }
    Ok(arguments.files.clone())
}

/// Goes on after errors, which it reports.
pub fn each(
    files: &[PathBuf],
    console: Console,
    mut work: impl FnMut(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut good = true;
    for file in files {
        match work(file) {
            Err(e) if is_broken_pipe(&e) => return Err(e),
            Err(e) => {
                console.error(label(file), &e);
                good = false;
            }
            Ok(()) => {}
        }
    }
    Ok(good)
}

/// Whether a file is standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The name in messages.
pub fn label(path: &Path) -> String {
    if is_dash(path) { "standard input".into() } else { path.display().to_string() }
}

/// Something to read from.
pub struct Input {
    /// The bytes.
    pub reader: Counted<Box<dyn Read>>,
    /// Of a file.
    pub metadata: Option<Metadata>,
}

impl Input {
    /// Opens a file, or standard input for `-`. Links are followed with `force` or where nothing is made
    /// beside them.
    pub fn open(path: &Path, follow: bool, console: Console) -> anyhow::Result<Self> {
        if is_dash(path) {
            let reader: Box<dyn Read> = Box::new(io::stdin().lock());
            let bar = console.progress("standard input", None);
            return Ok(Self { reader: Counted { inner: reader, bytes: 0, bar }, metadata: None });
        }
        let file = open_file(path, follow)?;
        let metadata = file.metadata()?;
        let len = metadata.is_file().then_some(metadata.len());
        let bar = console.progress(&label(path), len);
        let reader = Counted { inner: Box::new(file) as Box<dyn Read>, bytes: 0, bar };
        Ok(Self { reader, metadata: Some(metadata).filter(Metadata::is_file) })
    }
}

/// Opens a file that is no folder, nor a link unless `follow`.
pub fn open_file(path: &Path, follow: bool) -> anyhow::Result<File> {
    if !follow && fs::symlink_metadata(path)?.is_symlink() {
        bail!("is a link (-f follows it)");
    }
    if fs::metadata(path)?.is_dir() {
        bail!("is a folder");
    }
    Ok(File::open(path)?)
}

impl Target {
    /// Whether the result of `source` goes to standard output.
    pub fn is_stdout(&self, source: &Path) -> bool {
        self.stdout || self.output.as_deref().map_or(is_dash(source), is_dash)
    }

    /// Opens the result of `source`; `name` says what it is called where nobody chose.
    pub fn open(
        &self,
        source: &Path,
        binary: bool,
        name: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Output> {
        if self.is_stdout(source) {
            return Output::stdout(binary && !self.force);
        }
        let path = self.output.clone().map_or_else(name, Ok)?;
        Output::file(&path, self.force, !is_dash(source))
    }

    /// Whether a link as source is read.
    pub fn follows(&self) -> bool {
        self.force || self.stdout || self.output.is_some()
    }

    /// Ends a result and removes its source, if that is wanted.
    pub fn finish(&self, output: Output, source: &Path, like: Option<&Metadata>) -> anyhow::Result<()> {
        let remove = self.rm && matches!(output, Output::Renamed(_)) && like.is_some();
        output.finish(like, remove)?;
        if remove {
            fs::remove_file(source).context("cannot be removed")?;
        }
        Ok(())
    }
}

/// Copies everything and returns the number of bytes.
pub fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let (mut piece, mut total) = (vec![0; PIECE], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(total),
            Ok(n) => {
                to.write_all(&piece[..n])?;
                total += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Where two streams differ first; a stream also differs where only it has ended.
pub fn first_difference(a: impl Read, b: impl Read) -> io::Result<Option<u64>> {
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
