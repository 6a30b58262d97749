//! Compressed files: on this machine, or behind URLs.

use crate::files::{is_dash, open_file};
use anyhow::bail;
#[cfg(feature = "remote")]
use nzip::remote::RemoteFile;
use nzip::{Archive, DecodeOptions};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
#[cfg(feature = "remote")]
use std::ops::Range;
use std::path::Path;

/// Where a compressed file is.
pub enum Place {
    /// On this machine.
    Here(File),
    /// Behind a URL.
    #[cfg(feature = "remote")]
    There(Box<RemoteFile>),
}

/// The URL for which a name stands, if it is one.
pub fn url(path: &Path) -> Option<&str> {
    path.to_str().filter(|name| name.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)))
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Opens a file or URL to read any part of it.
///
/// # Errors
///
/// Those of opening and of [`Archive::new`].
pub fn archive(path: &Path, options: DecodeOptions) -> anyhow::Result<Archive<Place>> {
    if is_dash(path) {
        bail!("a file is needed here: standard input cannot be read at random");
    }
    Ok(match open(path)? {
        Place::Here(file) => Archive::with_options(Place::Here(file), options)?,
        #[cfg(feature = "remote")]
        there => Archive::fetching(there, Place::expect, options)?,
    })
}

/// Opens a file or URL.
///
/// # Errors
///
/// Those of opening.
pub fn open(path: &Path) -> anyhow::Result<Place> {
    match url(path) {
        None => Ok(Place::Here(open_file(path, true)?)),
        #[cfg(feature = "remote")]
        Some(url) => Ok(Place::There(Box::new(RemoteFile::open(url)?))),
        #[cfg(not(feature = "remote"))]
        Some(_) => bail!("this build does not read URLs (it lacks the feature `remote`)"),
    }
}

impl Place {
    /// The file, if it is on this machine.
    pub fn file(&self) -> Option<&File> {
        match self {
            Self::Here(file) => Some(file),
            #[cfg(feature = "remote")]
            Self::There(_) => None,
        }
    }

    #[cfg(feature = "remote")]
    fn expect(&mut self, ranges: &[Range<u64>]) -> io::Result<()> {
        match self {
            Self::Here(_) => Ok(()),
            Self::There(file) => file.expect(ranges),
        }
    }
}

impl Read for Place {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(file) => file.read(out),
            #[cfg(feature = "remote")]
            Self::There(file) => file.read(out),
        }
    }
}

impl Seek for Place {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Here(file) => file.seek(to),
            #[cfg(feature = "remote")]
            Self::There(file) => file.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_scheme_are_urls() {
        for name in ["http://host/a.nz", "s3://bucket/a.nz", "ftp://x"] {
            assert_eq!(url(Path::new(name)), Some(name));
        }
        for name in ["a.nz", "./a://b", "://a", "c:/a", "C://a"] {
            assert_eq!(url(Path::new(name)), None, "{name}");
        }
    }
}
