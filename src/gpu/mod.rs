//! The device that runs models, and its kernels: windows, records and tiles on a GPU, bit for bit as on the
//! CPU.
//!
//! Kernels are written in WGSL and run through wgpu (Vulkan, Metal, DX12). Whatever goes wrong on a GPU is a
//! `Fault`, and the CPU then does the work. This file depends on the feature `gpu`: without it the CPU is the
//! only device, and `absent` stands in for the GPU.

mod device;
pub mod public;

#[cfg(not(feature = "gpu"))]
mod absent;
#[cfg(not(feature = "gpu"))]
use absent as backend;

#[cfg(feature = "gpu")]
mod accelerator;
#[cfg(feature = "gpu")]
mod adapter;
#[cfg(feature = "gpu")]
mod circuit;
#[cfg(feature = "gpu")]
mod coder;
#[cfg(feature = "gpu")]
mod context;
#[cfg(feature = "gpu")]
mod fault;
#[cfg(feature = "gpu")]
mod lanes;
#[cfg(feature = "gpu")]
mod llm;
#[cfg(feature = "gpu")]
mod lm;
#[cfg(feature = "gpu")]
mod tensor;
#[cfg(all(test, feature = "gpu"))]
mod tests;
#[cfg(feature = "gpu")]
pub mod wgpu30;
#[cfg(feature = "gpu")]
mod words;
#[cfg(feature = "gpu")]
use accelerator as backend;

pub use device::{Device, TensorBuffer};
