//! Learns nzip's models from data, in floats; the result is exported to the integer weight files that the library reads.
//!
//! [`lm`] learns byte-level language models from text, [`circuit`] learns probabilistic circuits from records. Both
//! report what they do through a callback and print nothing.
#![deny(unsafe_code)]

pub mod circuit;
mod error;
pub mod lm;
