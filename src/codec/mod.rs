//! Codecs: each joins a model to a coder.

mod filter;
pub mod mix;
mod mix_kind;
