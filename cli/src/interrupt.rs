//! The end of the command by a signal: no temporary file is left behind.

use crate::progress;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The current temporary file. Whoever creates one holds the lock until its name is stored here, so that a
/// signal in between waits.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn temporary() -> MutexGuard<'static, Option<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, signals that end the command leave neither a temporary file nor a line of progress behind.
pub fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(handle);
}

/// Creates a temporary file with `make`. It is removed if a signal ends the command.
///
/// # Errors
///
/// Those of `make`.
pub fn guarded<T, E>(make: impl FnOnce() -> Result<T, E>, path: impl FnOnce(&T) -> &Path) -> Result<T, E> {
    watch();
    let mut current = temporary();
    let made = make()?;
    *current = Some(path(&made).to_path_buf());
    Ok(made)
}

/// Says that the temporary file has its final name, or is gone.
pub fn release() {
    *temporary() = None;
}

/// Removes the temporary file, and prevents another from being created as long as the result lives.
fn remove() -> MutexGuard<'static, Option<PathBuf>> {
    progress::clear();
    let mut current = temporary();
    if let Some(path) = current.take() {
        // If this fails, nothing can be done about it.
        let _ = fs::remove_file(path);
    }
    current
}

/// Removes the temporary file at signals that end the command, which then end it as they would have done
/// anyway. Signals that the command was started to ignore (`nohup`) stay ignored. A write beyond the file
/// size limit is an error, not a signal.
#[cfg(unix)]
fn handle() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    let ignored = ignored();
    let heard =
        [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU].into_iter().filter(|s| ignored >> (s - 1) & 1 == 0);
    // Without handlers, an interrupted run leaves its temporary file behind: not worth failing for.
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    let Ok(mut signals) = Signals::new(heard) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _none_is_made = remove();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// The same on systems that only have Ctrl-C and the like.
#[cfg(not(unix))]
fn handle() {
    // Without a handler, an interrupted run leaves its temporary file behind: not worth failing for.
    let _ = ctrlc::set_handler(|| {
        let _none_is_made = remove();
        std::process::exit(130);
    });
}

/// The signals that are ignored, with signal `n` as bit `n - 1`; none where the system does not list them in
/// `/proc`.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
