//! The version of the library.

use std::ffi::{CStr, c_char};

/// The version of this header.
pub const NZIP_VERSION_MAJOR: u32 = 0;
pub const NZIP_VERSION_MINOR: u32 = 1;
pub const NZIP_VERSION_PATCH: u32 = 0;

const TEXT: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("a version holds no zero"),
};

/// The version of the library: 10000 * major + 100 * minor + patch.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_versionNumber() -> u32 {
    10_000 * NZIP_VERSION_MAJOR + 100 * NZIP_VERSION_MINOR + NZIP_VERSION_PATCH
}

/// The version of the library in words.
#[unsafe(no_mangle)]
pub extern "C" fn nzip_versionString() -> *const c_char {
    TEXT.as_ptr()
}
