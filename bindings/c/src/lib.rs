//! The C library: `include/nzip.h` is made from this crate.
//!
//! Nothing here knows how to compress: functions check what C gives them, and call the Rust library. No panic
//! leaves a function (`guard`), and every object refuses to be used twice at a time (`object`).
#![allow(non_camel_case_types, non_snake_case)] // names of C
#![allow(unsafe_code)] // pointers of C

mod archive;
mod compress;
mod decompress;
mod error;
mod memory;
mod object;
#[cfg(test)]
mod panics;
mod source;
mod tensor;
mod version;
