//! Where results are written. A file appears under its name once it is complete, or not at all.

use crate::console::may_overwrite;
use crate::holes::Holes;
use crate::identity::{Identity, refuse_over};
use crate::{interrupt, startup};
use anyhow::{Context, bail};
use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A place to which a result is written.
pub enum Output {
    /// Standard output.
    Stdout(io::Stdout),
    /// Something that cannot be renamed, such as a device or a pipe.
    Direct(File),
    /// A file that gets its name at the end.
    Renamed(Pending),
}

/// A file with a temporary name, which is removed when this value is dropped.
pub struct Pending {
    file: NamedTempFile,
    target: PathBuf,
    force: bool,
    /// Tracks the zeros that are left out, if any are.
    holes: Option<Holes>,
}

/// The conditions under which a result is made.
#[derive(Debug, Default)]
pub struct Making<'a> {
    /// Whether it may replace a file of this name.
    pub force: bool,
    /// Whether nobody else may read it before it gets its final mode.
    pub private: bool,
    /// Whether it has holes where whole pages are zeros.
    pub sparse: bool,
    /// The files that are read to make it, none of which it may replace.
    pub read: &'a [Identity],
}

impl Output {
    /// Standard output; `binary` content is refused if it is a terminal.
    pub fn stdout(binary: bool) -> anyhow::Result<Self> {
        startup::needs_stdout()?;
        if binary && io::stdout().is_terminal() {
            bail!("compressed data is not written to a terminal (-f does so)");
        }
        Ok(Self::Stdout(io::stdout()))
    }

    /// A file of this name that is made from memory only.
    pub fn file(path: &Path, force: bool) -> anyhow::Result<Self> {
        Self::made(path, &Making { force, ..Making::default() })
    }

    /// A file of this name.
    pub fn made(path: &Path, making: &Making<'_>) -> anyhow::Result<Self> {
        let mut force = making.force;
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => bail!("{} is a folder", path.display()),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(path);
                return Ok(Self::Direct(file.with_context(|| path.display().to_string())?));
            }
            Ok(_) => {
                refuse_over(path, making.read)?;
                if !force && !may_overwrite(path) {
                    bail!("{} exists already (-f overwrites it)", path.display());
                }
                force = true;
            }
            Err(_) => {}
        }
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let make = || builder(making.private).tempfile_in(folder(&target));
        let file =
            interrupt::guarded(make, |file| file.path()).with_context(|| path.display().to_string())?;
        let holes = making.sparse.then(Holes::default);
        Ok(Self::Renamed(Pending { file, target, force, holes }))
    }

    /// Opens the written bytes for reading; `None` if they are gone.
    pub fn reopen(&self) -> Option<io::Result<File>> {
        match self {
            Self::Renamed(pending) => Some(pending.file.reopen()),
            Self::Stdout(_) | Self::Direct(_) => None,
        }
    }

    /// Completes the result. It takes over owner, mode and modification time of `like` as far as permitted;
    /// with `sync`, waits until content and name are on disk.
    pub fn finish(self, like: Option<&Metadata>, sync: bool) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::Direct(mut file) => Ok(file.flush()?),
            Self::Renamed(pending) => pending.finish(like, sync),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Direct(file) => file.write(bytes),
            Self::Renamed(Pending { file, holes: Some(holes), .. }) => {
                holes.write_all(file.as_file_mut(), bytes)?;
                Ok(bytes.len())
            }
            Self::Renamed(pending) => pending.file.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Direct(file) => file.flush(),
            Self::Renamed(pending) => pending.file.as_file_mut().flush(),
        }
    }
}

impl Pending {
    fn finish(self, like: Option<&Metadata>, sync: bool) -> anyhow::Result<()> {
        let Self { file, target, force, holes } = self;
        let name = || target.display().to_string();
        if let Some(holes) = holes {
            holes.finish(file.as_file()).with_context(name)?;
        }
        if let Some(like) = like {
            let mut times = FileTimes::new();
            if let Ok(time) = like.modified() {
                times = times.set_modified(time);
            }
            file.as_file().set_times(times).with_context(name)?;
            take_over(file.as_file(), like).with_context(name)?;
        }
        if sync {
            file.as_file().sync_all().with_context(name)?;
        }
        let renamed = if force { file.persist(&target) } else { file.persist_noclobber(&target) };
        interrupt::release();
        let file = renamed.map_err(|e| e.error).with_context(name)?;
        if sync {
            sync_folder(folder(&target)).with_context(name)?;
            if Identity::of(&target) != Identity::of_open(&target, &file) {
                bail!("{} has been replaced by another file meanwhile", target.display());
            }
        }
        Ok(())
    }
}

/// The folder that contains a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in a folder are on disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems do not support this.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Gives a file the owner and group of another one, as far as permitted, and those bits of its mode that this
/// justifies: none that act with the owner's rights, and none for a group that the file could not get.
#[cfg(unix)]
fn take_over(file: &File, like: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    // Only root may give files away, and others may only use their own groups.
    if fchown(file, Some(like.uid()), Some(like.gid())).is_err() {
        let _ = fchown(file, None, Some(like.gid()));
    }
    let mode = like.mode() & 0o777;
    let mode = if file.metadata()?.gid() == like.gid() {
        mode
    } else {
        // The old group's members are now among the others, and some of the old others are in the new group.
        let both = mode >> 3 & mode & 0o7;
        mode & 0o700 | both << 3 | both
    };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Makes a file read-only where another one is.
#[cfg(not(unix))]
fn take_over(file: &File, like: &Metadata) -> io::Result<()> {
    file.set_permissions(like.permissions())
}

#[cfg(unix)]
fn builder(private: bool) -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".nzip-");
    if !private {
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(not(unix))]
fn builder(_private: bool) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".nzip-");
    builder
}
