//! Detects, before Rust's runtime starts, whether standard output was closed (`>&-`). The runtime would open
//! `/dev/null` in its place, so that nothing would fail later and nothing be written.

#![cfg_attr(any(target_os = "linux", target_vendor = "apple"), allow(unsafe_code))]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// The system runs the functions in this section before `main`.
// SAFETY: the section holds pointers to functions of this type. This one makes one system call and sets an
// atomic: it needs nothing from the runtime.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        CLOSED.store(rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err(), Ordering::Relaxed);
    }
    look
};

/// Fails if the command was started without a standard output.
///
/// # Errors
///
/// An error of the system's kind for it.
pub fn needs_stdout() -> io::Result<()> {
    if CLOSED.load(Ordering::Relaxed) { Err(io::Error::other("standard output is closed")) } else { Ok(()) }
}
