//! Entropy coders. They know no model: a caller hands them integer probabilities.

pub mod binary;
