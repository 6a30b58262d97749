//! Models: what they compute and where their weights are found.

pub mod llm;
pub mod lm;
pub mod mix;
pub mod names;
pub mod registry;
