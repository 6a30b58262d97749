//! Entropy-coded data of scans: reading coefficients, and writing the same bits again.

mod order;
mod read;
mod write;

pub use read::read;
pub use write::{Manner, write};

/// The longest run of blocks that end, in progressive scans.
pub const LONGEST_RUN: u32 = 0x7FFF;
