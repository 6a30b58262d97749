//! The raw bytes of a compressed file or of all shards of a manifest, of which any part can be read.

use crate::place::{self, Place};
use nzip::manifest::ManifestArchive;
use nzip::{Archive, DecodeOptions};
use std::ops::Range;
use std::path::Path;

/// A source of ranges of raw bytes.
pub enum Content {
    /// A compressed file.
    One(Box<Archive<Place>>),
    /// The shards of a manifest.
    Many(Box<ManifestArchive<Place>>),
}

impl Content {
    /// Opens a file or URL, and tells which of the two it is.
    ///
    /// # Errors
    ///
    /// Those of [`place::manifest`] and [`place::archive`].
    pub fn open(path: &Path, options: &DecodeOptions) -> anyhow::Result<Self> {
        Ok(match place::manifest(path, options)? {
            Some(shards) => Self::Many(Box::new(shards)),
            None => Self::One(Box::new(place::archive(path, options.clone())?)),
        })
    }

    /// The number of raw bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::One(archive) => archive.len(),
            Self::Many(shards) => shards.len(),
        }
    }

    /// The raw bytes of a range.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::read_range`].
    pub fn read_range(&mut self, range: Range<u64>) -> nzip::Result<Vec<u8>> {
        match self {
            Self::One(archive) => archive.read_range(range),
            Self::Many(shards) => shards.read_range(range),
        }
    }

    /// The range of raw bytes around an offset that is best decoded together.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::around`].
    #[cfg(all(feature = "mount", target_os = "linux"))]
    pub fn around(&mut self, at: u64) -> nzip::Result<Range<u64>> {
        match self {
            Self::One(archive) => archive.around(at),
            Self::Many(shards) => shards.around(at),
        }
    }

    /// The ranges of blocks that may hold a word.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::ranges_with`].
    #[cfg(feature = "grep")]
    pub fn ranges_with(&mut self, word: &str) -> nzip::Result<Vec<Range<u64>>> {
        match self {
            Self::One(archive) => archive.ranges_with(word),
            Self::Many(shards) => shards.ranges_with(word),
        }
    }
}
