//! `lm` windows on a GPU.

mod coder;
mod decode;
mod pack;
#[cfg(test)]
mod tests;

pub use coder::Coder;
pub use decode::{MAX_LANES, decode};
pub use pack::Packed;
