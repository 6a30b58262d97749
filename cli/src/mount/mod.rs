//! `nzip mount`.
//!
//! `find` makes the `tree` of names and the list of `sources` before anything is mounted; neither changes later. `session`
//! answers the kernel from the tree, and has `files` read: from the `cache`, or through `readers`.

// Lists of ranges of bytes, of which many have one.
#![allow(clippy::single_range_in_vec_init)]

mod cache;
mod daemon;
mod files;
mod find;
mod names;
mod readers;
mod session;
mod sources;
mod tree;

use crate::console::Console;
use crate::resources::Resources;
use anyhow::{Context, bail};
use cache::Cache;
use clap::{Args, ValueHint};
use files::Files;
use fuser::SessionUnmounter;
use readers::Readers;
use rustix::mount::{UnmountFlags, unmount};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// The most files that are decoded side by side; each may use all threads.
const MOST_SHARES: usize = 4;
/// How long open files may take to notice that they are gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Show what .nz files hold as a folder of files, which can only be read
///
/// Programs read the files as if they had been restored; what they read is decoded at that moment, and verified. DIR shows
/// FILE's content under its name without .nz and, if it has tensors, a folder NAME.tensors with a .npy file for each. Of a
/// folder, everything in it is shown, files that are not compressed unchanged. nzip runs until it gets Ctrl-C or SIGTERM, or
/// until "umount DIR" (docs/mount.md).
#[derive(Debug, Args)]
pub struct MountArguments {
    /// .nz file, manifest, URL of one, or a folder of them
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// Empty folder in which the files appear
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// Let other users read the files, too
    #[arg(long)]
    allow_other: bool,
    /// Go on in the background once the files are there
    #[arg(long)]
    daemon: bool,
    #[command(flatten)]
    resources: Resources,
}

/// The event that ends a mount.
enum End {
    /// Somebody unmounted it, or it failed.
    Gone(std::io::Result<()>),
    /// A signal.
    Signal,
}

impl MountArguments {
    /// Mounts, and waits for the end; false where the command in the background has failed.
    pub fn run(self) -> anyhow::Result<bool> {
        if self.daemon {
            return Ok(daemon::start()?);
        }
        let console = Console::new(0, 0);
        let options = self.resources.decode_options()?.device(self.resources.device(console));
        let folder = empty(&self.folder).with_context(|| self.folder.display().to_string())?;
        let found =
            find::find(&self.source, &options, console).with_context(|| self.source.display().to_string())?;
        let threads = rayon::current_num_threads().clamp(2, MOST_SHARES);
        let (most, held) = (options.memory_cap(), found.held());
        let cache = Cache::new(most / 8);
        let readers = Readers::new(options, most - held - cache.most(), threads);
        let files = Files::new(found.tree, found.sources, readers, cache);
        // Whoever ends the command from now on ends the mount as well.
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let mut session = session::mount(files, &folder, threads, self.allow_other, console)
            .with_context(|| format!("{}: cannot be mounted", self.folder.display()))?;
        let unmounter = session.unmount_callable();
        let (ends, end) = channel();
        watch(signals, ends.clone());
        thread::spawn(move || _ = ends.send(End::Gone(session.run())));
        daemon::mounted()?;
        console.summary(&format!("{} is mounted; Ctrl-C ends it", self.folder.display()));
        match end.recv()? {
            End::Gone(result) => result?,
            End::Signal => {
                take_down(unmounter, &folder, console);
                // What is still open gives errors from now on.
                let _ = end.recv_timeout(PATIENCE);
            }
        }
        Ok(true)
    }
}

/// The path of an empty folder.
fn empty(folder: &Path) -> anyhow::Result<PathBuf> {
    if fs::read_dir(folder)?.next().is_some() {
        bail!("is not empty");
    }
    Ok(folder.canonicalize()?)
}

fn watch(mut signals: Signals, ends: Sender<End>) {
    thread::spawn(move || signals.forever().take_while(|_| ends.send(End::Signal).is_ok()).for_each(drop));
}

/// Unmounts, also where files are still open.
fn take_down(mut unmounter: SessionUnmounter, folder: &Path, console: Console) {
    if unmounter.unmount().is_ok() {
        return;
    }
    match unmount(folder, UnmountFlags::DETACH) {
        Ok(()) => console.warning(&format!("{}: files are still open, and fail now", folder.display())),
        Err(e) => console.error(folder.display(), &e.into()),
    }
}
