//! Sources of a mount: compressed files, manifests, and files that are shown unchanged.

use crate::content::Content;
use crate::files::label;
use anyhow::{Context, bail};
use nzip::DecodeOptions;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Something that files of a mount are read from.
pub struct Source {
    path: PathBuf,
    kind: Kind,
    /// Whether a share of the memory was too little for it.
    greedy: AtomicBool,
    /// The offset behind what was decoded last, and how much was decoded together then.
    last: (AtomicU64, AtomicU64),
}

/// How a source is read.
enum Kind {
    /// By decoding; with what must stay the same as long as it is mounted.
    Packed(Identity),
    /// As it is.
    Plain,
    /// Not at all: it could not be opened.
    Broken,
}

/// Properties that tell a content from another one without decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    len: u64,
    stored: u64,
    hashes: Vec<Option<[u8; 32]>>,
}

impl Identity {
    /// Of an opened content.
    pub fn of(content: &Content) -> Self {
        let (stored, hashes) = match content {
            Content::One(archive) => {
                (archive.stored_len(), archive.streams().iter().map(|s| s.hash).collect())
            }
            Content::Many(shards) => {
                let manifest = shards.manifest();
                (manifest.stored_len(), manifest.shards().iter().map(|s| Some(s.stored_hash)).collect())
            }
        };
        Self { len: content.len(), stored, hashes }
    }

    /// The memory that it takes, in bytes.
    pub fn held(&self) -> u64 {
        (size_of::<Source>() + size_of::<Option<[u8; 32]>>() * self.hashes.len()) as u64
    }
}

impl Source {
    fn new(path: &Path, kind: Kind) -> Self {
        Self { path: path.to_path_buf(), kind, greedy: AtomicBool::default(), last: Default::default() }
    }

    /// A compressed file or manifest.
    pub fn packed(path: &Path, identity: Identity) -> Self {
        Self::new(path, Kind::Packed(identity))
    }

    /// A file that is shown unchanged.
    pub fn plain(path: &Path) -> Self {
        Self::new(path, Kind::Plain)
    }

    /// A compressed file that could not be opened.
    pub fn broken(path: &Path) -> Self {
        Self::new(path, Kind::Broken)
    }

    /// The name in messages.
    pub fn label(&self) -> String {
        label(&self.path)
    }

    /// Whether it could not be opened.
    pub fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Broken)
    }

    /// Opens a compressed source.
    ///
    /// # Errors
    ///
    /// Those of opening; also where it is no longer the file that was mounted.
    pub fn open(&self, options: &DecodeOptions) -> anyhow::Result<Content> {
        let Kind::Packed(identity) = &self.kind else { bail!("is not a compressed file") };
        let content = Content::open(&self.path, options)?;
        if Identity::of(&content) != *identity {
            bail!("has changed since it was mounted");
        }
        Ok(content)
    }

    /// The bytes of a range of a file that is shown unchanged; `None` for a compressed one.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn read_plain(&self, range: &Range<u64>) -> anyhow::Result<Option<Vec<u8>>> {
        match self.kind {
            Kind::Packed(_) => Ok(None),
            Kind::Broken => bail!("could not be opened"),
            Kind::Plain => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                let read = File::open(&self.path).and_then(|f| f.read_exact_at(&mut bytes, range.start));
                read.context("has it changed since it was mounted?")?;
                Ok(Some(bytes))
            }
        }
    }

    /// Whether it needs all of the memory.
    pub fn is_greedy(&self) -> bool {
        self.greedy.load(Ordering::Relaxed)
    }

    /// From now on, it gets all of the memory.
    pub fn make_greedy(&self) {
        self.greedy.store(true, Ordering::Relaxed);
    }

    /// How many bytes behind a piece are best decoded together with it, of at most `most`: more and more where pieces
    /// are read one after the other.
    pub fn ahead(&self, piece: &Range<u64>, most: u64) -> u64 {
        let (end, len) = (self.last.0.load(Ordering::Relaxed), self.last.1.load(Ordering::Relaxed));
        if end == piece.start && end > 0 { len.min(most) } else { 0 }
    }

    /// Says what was decoded.
    pub fn decoded(&self, range: &Range<u64>) {
        self.last.0.store(range.end, Ordering::Relaxed);
        self.last.1.store(range.end - range.start, Ordering::Relaxed);
    }
}
