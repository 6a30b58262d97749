//! Windows, records and tiles on a GPU: the same bits as on the CPU, or none.
//!
//! Kernels are written in WGSL and run through wgpu (Vulkan, Metal, DX12). Whatever goes wrong on a GPU is a
//! [`fault::Fault`], upon which the CPU does the work.

pub mod adapter;
pub mod circuit;
mod coder;
pub mod context;
pub mod fault;
pub mod llm;
pub mod lm;
mod shared;
pub mod tensor;
#[cfg(test)]
mod tests;
mod words;

pub use coder::Kernels;
pub use shared::Shared;

/// Loop iterations of a thread in one dispatch. A software driver (llvmpipe) silently ends loops after 65,535 in
/// all, and drivers of hardware end dispatches that take seconds.
const MAX_ITERATIONS: usize = 60_000;
/// Most windows that are coded together.
pub const MAX_LANES: usize = 4096;
/// Raw bytes of windows that are coded before they are read back.
const MAX_RAW: usize = 64 << 20;
