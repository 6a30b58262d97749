//! Models: what they compute and where their weights are found.

pub mod circuit;
pub mod fixed;
pub mod llm;
pub mod lm;
pub mod mix;
pub mod names;
pub mod registry;
