//! Codecs: each joins a model to a coder.

pub mod mix;
