//! `tensor` tiles on a GPU: floats and bytes in planes, the result on the host or left on the GPU.

mod decode;
mod layout;
#[cfg(test)]
mod tests;

pub use decode::{resident, tiles, upload};
pub use layout::fits;
