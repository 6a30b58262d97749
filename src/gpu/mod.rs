//! Windows, records and tiles on a GPU: the same bits as on the CPU, or none.
//!
//! Kernels are written in WGSL and run through wgpu (Vulkan, Metal, DX12). Whatever goes wrong on a GPU is a
//! [`fault::Fault`], upon which the CPU does the work.

pub mod adapter;
pub mod circuit;
pub mod context;
pub mod fault;
pub mod llm;
pub mod lm;
pub mod tensor;
#[cfg(test)]
mod tests;
