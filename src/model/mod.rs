//! Models: what they compute.

pub mod circuit;
pub mod fixed;
pub mod llm;
pub mod lm;
pub mod mix;
