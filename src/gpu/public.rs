//! What users of the library see.

pub use super::device::{Device, GpuCounters, GpuInfo, TensorBuffer};
#[cfg(feature = "gpu")]
pub use super::wgpu30;
