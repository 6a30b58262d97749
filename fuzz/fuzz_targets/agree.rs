//! All ways to read a file agree: the same bytes, or errors of the same kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nzip_fuzz::agree;

fuzz_target!(|bytes: &[u8]| agree::check(bytes));
