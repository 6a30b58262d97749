//! Imported language models on a GPU.

mod decode;
mod pack;
mod step;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use pack::Packed;
