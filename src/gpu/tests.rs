//! What the tests of all kernels share.

use super::adapter::Wanted;
use super::context::Gpu;

/// A GPU of its own for a test. Where there is none the test says so and does nothing, unless
/// `NZIP_TEST_GPU=required`.
pub fn gpu() -> Option<Gpu> {
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
