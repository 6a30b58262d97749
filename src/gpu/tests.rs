//! The GPU that the tests of all kernels share.

use super::context::Gpu;
use super::device::Wanted;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// One GPU for all tests, since compiling kernels takes most of their time. Tests take turns, so that each
/// has the counters to itself.
static GPU: LazyLock<Option<Mutex<Gpu>>> = LazyLock::new(|| open().map(Mutex::new));

/// The shared GPU. Where there is none, the test says so and does nothing, unless `NZIP_TEST_GPU=required`.
pub fn gpu() -> Option<MutexGuard<'static, Gpu>> {
    GPU.as_ref().map(|gpu| gpu.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A GPU of its own, for a test that breaks it.
pub fn open() -> Option<Gpu> {
    let wanted = std::env::var("NZIP_DEVICE").ok().filter(|name| !name.is_empty());
    match Gpu::open(wanted.as_deref().map_or(Wanted::Any, Wanted::Named)) {
        Ok(gpu) => Some(gpu),
        Err(why) => {
            let required = std::env::var_os("NZIP_TEST_GPU").is_some_and(|v| v == "required");
            assert!(!required, "{why}");
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}
