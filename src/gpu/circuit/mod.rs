//! `circuit` windows on a GPU.

mod decode;
mod pack;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use pack::Packed;
