//! The end of the command by a signal: no temporary file stays.

use crate::progress;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The temporary file of the moment. Whoever makes one holds the lock until its name stands here, so that a signal in
/// between waits.
static TEMPORARY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn temporary() -> MutexGuard<'static, Option<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, signals that end the command leave neither a temporary file nor a line of progress.
pub fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(handle);
}

/// Makes a temporary file with `make`, which is removed if a signal ends the command.
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

/// Says that the temporary file has its name now, or is gone.
pub fn release() {
    *temporary() = None;
}

/// Removes the temporary file, and lets no other be made as long as the result lives.
fn remove() -> MutexGuard<'static, Option<PathBuf>> {
    progress::clear();
    let mut current = temporary();
    if let Some(path) = current.take() {
        // Nothing can be done where it stays.
        let _ = fs::remove_file(path);
    }
    current
}

/// Removes the temporary file at signals that end the command, which then end it as they would without this. Those that
/// the command was started to ignore (`nohup`) stay ignored. A write beyond the largest size of files is an error, no signal.
#[cfg(unix)]
fn handle() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    let ignored = ignored();
    let heard =
        [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU].into_iter().filter(|s| ignored >> (s - 1) & 1 == 0);
    // Without handlers an interrupted run leaves its temporary file: not worth failing for.
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
    let Ok(mut signals) = Signals::new(heard) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _none_is_made = remove();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// The same where there is only Ctrl-C and its like.
#[cfg(not(unix))]
fn handle() {
    // Without a handler an interrupted run leaves its temporary file: not worth failing for.
    let _ = ctrlc::set_handler(|| {
        let _none_is_made = remove();
        std::process::exit(130);
    });
}

/// The signals that are ignored, signal `n` as bit `n - 1`; none where the system does not say so in `/proc`.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
