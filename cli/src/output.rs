//! Where results go. A file appears under its name once it is whole, or not at all.

use crate::console::may_overwrite;
use crate::progress;
use anyhow::{Context, bail};
use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use tempfile::NamedTempFile;

/// A place to write a result to.
pub enum Output {
    /// Standard output.
    Stdout(io::Stdout),
    /// Something that cannot be renamed, such as a device or a pipe.
    Direct(File),
    /// A file that gets its name at the end.
    Renamed(Pending),
}

/// A file under a temporary name, which is removed with this value.
pub struct Pending {
    file: NamedTempFile,
    target: PathBuf,
    force: bool,
}

impl Output {
    /// Standard output; `binary` content is refused where it is a terminal.
    pub fn stdout(binary: bool) -> anyhow::Result<Self> {
        if binary && io::stdout().is_terminal() {
            bail!("compressed data is not written to a terminal (-f does it)");
        }
        Ok(Self::Stdout(io::stdout()))
    }

    /// A file of this name. A result made from a file gets that file's mode at the end, and is readable by
    /// nobody else before.
    pub fn file(path: &Path, mut force: bool, private: bool) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => bail!("{} is a folder", path.display()),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(path);
                return Ok(Self::Direct(file.with_context(|| path.display().to_string())?));
            }
            Ok(_) if !force && !may_overwrite(path) => {
                bail!("{} exists already (-f overwrites it)", path.display())
            }
            Ok(_) => force = true,
            _ => {}
        }
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        watch_interrupts();
        let file = builder(private).tempfile_in(folder).with_context(|| path.display().to_string())?;
        *PENDING.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.path().to_path_buf());
        Ok(Self::Renamed(Pending { file, target, force }))
    }

    /// What has been written, to be read once more; `None` where that is gone.
    pub fn reopen(&self) -> Option<io::Result<File>> {
        match self {
            Self::Renamed(pending) => Some(pending.file.reopen()),
            Self::Stdout(_) | Self::Direct(_) => None,
        }
    }

    /// Ends the result, which takes over mode and time of modification; `sync` waits for the disk.
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
        let Self { file, target, force } = self;
        let name = || target.display().to_string();
        if let Some(like) = like {
            let mut times = FileTimes::new();
            if let Ok(time) = like.modified() {
                times = times.set_modified(time);
            }
            file.as_file().set_times(times).with_context(name)?;
            file.as_file().set_permissions(like.permissions()).with_context(name)?;
        }
        if sync {
            file.as_file().sync_all().with_context(name)?;
        }
        let renamed = if force { file.persist(&target) } else { file.persist_noclobber(&target) };
        renamed.map_err(|e| e.error).with_context(name)?;
        Ok(())
    }
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

/// The temporary file of the moment.
static PENDING: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Ctrl-C and friends leave nothing behind: no temporary file, and no line of progress.
pub fn watch_interrupts() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // Without a handler an interrupted run leaves its temporary file: not worth failing for.
        let _ = ctrlc::set_handler(|| {
            progress::clear();
            if let Some(path) = PENDING.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = fs::remove_file(path);
            }
            std::process::exit(130);
        });
    });
}
