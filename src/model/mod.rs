//! Models: what they compute and where their weights are found.

mod lm;
pub mod registry;
