//! Entropy coders: from symbols with integer frequencies to payload bits and back. They know no model.

pub mod binary;
pub mod log2;
pub mod points;
pub mod range;
pub mod rans;
mod wide;

pub use wide::Wide;
