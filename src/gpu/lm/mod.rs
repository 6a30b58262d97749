//! `lm` windows on a GPU.

mod coder;
mod decode;
mod encode;
mod pack;
mod run;
#[cfg(test)]
mod tests;

pub use coder::Coder;
pub use run::MAX_LANES;
