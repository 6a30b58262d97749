//! Learns nzip's models from data, in floats; the result is exported to the integer weight files that the
//! library reads.
//!
//! [`lm`] learns byte-level language models from text, and [`circuit`] learns probabilistic circuits from
//! records. Both report their progress through a callback and print nothing.
#![deny(unsafe_code)]

pub mod circuit;
mod error;
pub mod lm;
