//! Items of the GPU floor that the library exports.

pub use super::device::{Device, GpuCounters, GpuInfo, TensorBuffer};
#[cfg(feature = "gpu")]
pub use super::wgpu30;
