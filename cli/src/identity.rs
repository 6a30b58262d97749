//! Identity of files: the file that a name stands for, and whether a file has changed since it was opened.

use anyhow::bail;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The identity of a file, which no other file has at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Id);

/// The numbers of device and inode.
#[cfg(unix)]
type Id = (u64, u64);
/// The path without links. Two hard links to one file are not recognised as the same file.
#[cfg(not(unix))]
type Id = PathBuf;

impl Identity {
    /// The identity of the file for which `path` stands, following links, if it is a regular file that
    /// exists.
    pub fn of(path: &Path) -> Option<Self> {
        Self::found(path, &fs::metadata(path).ok()?)
    }

    /// The identity of an open file that was opened as `path`, if it is a regular file.
    pub fn of_open(path: &Path, file: &File) -> Option<Self> {
        Self::found(path, &file.metadata().ok()?)
    }

    #[cfg(unix)]
    fn found(_path: &Path, metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        metadata.is_file().then(|| Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn found(path: &Path, metadata: &Metadata) -> Option<Self> {
        if !metadata.is_file() {
            return None;
        }
        Some(Self(fs::canonicalize(path).ok()?))
    }

    /// The identity of the file to which standard output is written, if it is a regular file.
    #[cfg(unix)]
    pub fn of_stdout() -> Option<Self> {
        use std::os::fd::AsFd;
        let file = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
        Self::of_open(Path::new(""), &file)
    }

    /// The identity of the file to which standard output is written: unknown on this system.
    #[cfg(not(unix))]
    pub fn of_stdout() -> Option<Self> {
        None
    }
}

/// A regular file that is being read, with its state when it was opened.
pub struct Source {
    path: PathBuf,
    file: File,
    identity: Identity,
    metadata: Metadata,
}

impl Source {
    /// Records the state of a file that has just been opened as `path`; `None` if it is not a regular file.
    ///
    /// # Errors
    ///
    /// Those of asking the system.
    pub fn new(path: &Path, file: File) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        let identity = Identity::found(path, &metadata);
        Ok(identity.map(|identity| Self { path: path.to_path_buf(), file, identity, metadata }))
    }

    /// The file. It shares its position with the reader.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its mode, times and length when it was opened.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// How the content has changed since the file was opened, if it has.
    ///
    /// # Errors
    ///
    /// Those of asking the system.
    pub fn change(&self) -> io::Result<Option<&'static str>> {
        let now = self.file.metadata()?;
        let (before, after) = (self.metadata.len(), now.len());
        Ok(match modified(&self.metadata) == modified(&now) {
            _ if after > before => Some("has grown while it was read"),
            _ if after < before => Some("has become shorter while it was read"),
            false => Some("has changed while it was read"),
            true => None,
        })
    }

    /// Whether the name no longer stands for this file.
    pub fn is_moved(&self) -> bool {
        Identity::of(&self.path).as_ref() != Some(&self.identity)
    }

    /// The number of names that the file has in its file system.
    pub fn names(&self) -> u64 {
        names(&self.metadata)
    }
}

fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(unix)]
fn names(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn names(_metadata: &Metadata) -> u64 {
    1
}

/// Fails if a result named `result` would replace a file that is `read` to make it.
///
/// # Errors
///
/// A message that names the result.
pub fn refuse_over(result: &Path, read: &[Identity]) -> anyhow::Result<()> {
    if Identity::of(result).is_some_and(|found| read.contains(&found)) {
        bail!("{} is a file that is read for this result", result.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn changes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"one").unwrap();
        let source = Source::new(&path, File::open(&path).unwrap()).unwrap().unwrap();
        assert!(source.change().unwrap().is_none() && !source.is_moved() && source.names() == 1);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"two").unwrap();
        assert!(source.change().unwrap().unwrap().contains("grown"));
        file.set_len(1).unwrap();
        assert!(source.change().unwrap().unwrap().contains("shorter"));
        file.set_len(3).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(source.change().unwrap().unwrap().contains("changed"));
        fs::rename(&path, folder.path().join("b")).unwrap();
        assert!(source.is_moved());
        fs::write(&path, b"one").unwrap();
        assert!(source.is_moved());
    }

    #[test]
    fn results_never_replace_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), b"one").unwrap();
        fs::write(path("b"), b"one").unwrap();
        let read = [Identity::of(&path("a")).unwrap()];
        assert!(refuse_over(&path("a"), &read).is_err());
        assert!(refuse_over(&path("b"), &read).is_ok() && refuse_over(&path("c"), &read).is_ok());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a", path("link")).unwrap();
            fs::hard_link(path("a"), path("hard")).unwrap();
            assert!(refuse_over(&path("link"), &read).is_err() && refuse_over(&path("hard"), &read).is_err());
        }
    }
}
