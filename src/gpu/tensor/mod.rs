//! `tensor` tiles on a GPU: floats and bytes in planes. The result is copied to the host or stays on the GPU.

mod decode;
mod pack;
#[cfg(test)]
mod tests;

pub use decode::{resident, tiles, upload};
pub use pack::fits;
