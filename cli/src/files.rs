//! Files to read from.

use crate::console::Console;
use crate::escape::escaped;
use crate::failure::is_broken_pipe;
use anyhow::bail;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The number of bytes that are read or written at a time.
const PIECE: usize = 256 << 10;

/// Runs `work` on each file; reports errors and goes on after them.
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
    if is_dash(path) { "standard input".into() } else { escaped(&path.display().to_string()) }
}

/// The raw bytes of a compressed file, to show progress; `None` where they cannot be known without decoding.
pub fn raw_total(path: &Path, console: Console) -> Option<u64> {
    let wanted = console.is_watched() && !is_dash(path) && path.is_file();
    wanted.then(|| nzip::Archive::open(path).ok()).flatten().map(|archive| archive.len())
}

/// The first bytes of a file, at most `len` of them, which tell what it is.
///
/// # Errors
///
/// Those of opening and reading it.
pub fn first_bytes(path: &Path, len: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(len).read_to_end(&mut start)?;
    Ok(start)
}

/// Decodes a range of raw bytes in pieces of `piece`, each from a multiple of that on, and writes them.
///
/// # Errors
///
/// Those of decoding and of writing.
pub fn copy_range(
    mut read_range: impl FnMut(Range<u64>) -> nzip::Result<Vec<u8>>,
    range: Range<u64>,
    piece: u64,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let end = ((at / piece + 1) * piece).min(range.end);
        output.write_all(&read_range(at..end)?)?;
        at = end;
    }
    Ok(())
}

/// Opens a file that is not a folder; unless `follow`, links and anything that is not a regular file are
/// refused too.
pub fn open_file(path: &Path, follow: bool) -> anyhow::Result<File> {
    if !follow && fs::symlink_metadata(path)?.is_symlink() {
        bail!("is a link (-f follows it)");
    }
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        bail!("is a folder (-r takes what is in it)");
    }
    if !follow && !metadata.is_file() {
        bail!("is not a regular file and was left out (-f reads it)");
    }
    Ok(File::open(path)?)
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

/// Finds the first offset at which two streams differ. Streams of different lengths differ where the shorter
/// one ends.
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
