//! Models: what they compute.

pub mod circuit;
pub mod llm;
pub mod lm;
pub mod mix;
