//! Compressed files: on this machine, or behind URLs.

use crate::files::{is_dash, open_file};
use anyhow::bail;
use nzip::manifest::{Manifest, ManifestArchive};
#[cfg(feature = "remote")]
use nzip::remote::RemoteFile;
use nzip::{Archive, DecodeOptions};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
#[cfg(feature = "remote")]
use std::ops::Range;
use std::path::Path;

/// The bytes that are read to recognise manifests.
const START: u64 = 32;
/// The suffix of manifests.
pub const MANIFEST: &str = ".nzm";

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
    Ok(read(open(path)?, options)?)
}

fn read(place: Place, options: DecodeOptions) -> nzip::Result<Archive<Place>> {
    match place {
        Place::Here(file) => Archive::with_options(Place::Here(file), options),
        #[cfg(feature = "remote")]
        there => Archive::fetching(there, Place::expect, options),
    }
}

/// The content that a manifest describes, if a file is one. Behind a URL, only names with the suffix of manifests are.
///
/// # Errors
///
/// Those of opening and of [`Manifest::parse`].
pub fn manifest(path: &Path, options: &DecodeOptions) -> anyhow::Result<Option<ManifestArchive<Place>>> {
    let named = |url: &str| url.split(['?', '#']).next().is_some_and(|path| path.ends_with(MANIFEST));
    if is_dash(path) || url(path).is_some_and(|url| !named(url)) || url(path).is_none() && !path.is_file() {
        return Ok(None);
    }
    let (mut place, mut bytes) = (open(path)?, Vec::new());
    place.by_ref().take(START).read_to_end(&mut bytes)?;
    if !Manifest::is_manifest(&bytes) {
        return Ok(None);
    }
    let most = Manifest::most_bytes(options.memory_cap());
    #[cfg(feature = "remote")]
    if let Place::There(file) = &mut place {
        let all = 0..file.len().min(most);
        file.expect(std::slice::from_ref(&all))?;
    }
    place.take(most + 1).read_to_end(&mut bytes)?;
    let manifest = Manifest::parse(&bytes, options.memory_cap())?;
    let near = path.to_path_buf();
    let shard = move |name: &str, options| read(beside(&near, name)?, options);
    Ok(Some(ManifestArchive::new(manifest, options.clone(), Box::new(shard))))
}

/// Opens a shard of a manifest.
fn beside(manifest: &Path, name: &str) -> nzip::Result<Place> {
    match url(manifest) {
        #[cfg(feature = "remote")]
        Some(url) => Ok(Place::There(Box::new(RemoteFile::open(&nzip::remote::beside(url, name))?))),
        _ => Ok(Place::Here(File::open(manifest.with_file_name("").join(name))?)),
    }
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

    /// When it was changed last, if that is known.
    #[cfg(all(feature = "mount", target_os = "linux"))]
    pub fn modified(&self) -> Option<std::time::SystemTime> {
        match self {
            Self::Here(file) => file.metadata().and_then(|m| m.modified()).ok(),
            #[cfg(feature = "remote")]
            Self::There(file) => Some(file.modified()),
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
