//! Models: what turns the symbols already seen into probabilities for the next one.

pub mod lm;
pub mod mix;
