//! The WebAssembly module `nzip.wasm`: functions that `js/nzip.js` calls. They pass numbers and places in the
//! module's memory; what is easier said in JavaScript stands there.
//!
//! A function returns 0 or more where it has done its work, and a negative status otherwise (`reply`).
#![allow(unsafe_code)] // places in memory that JavaScript names

mod archive;
mod coding;
mod memory;
mod model;
mod reply;
mod source;
