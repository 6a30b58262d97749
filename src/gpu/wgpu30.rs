//! Sharing a GPU with nzip through wgpu 30.
//!
//! [`crate::TensorReader::read_to_gpu`] leaves a tensor in the memory of the GPU that nzip was given. The
//! functions of this module give access to that memory and to the GPU. Their types are those of wgpu: the
//! module is named after wgpu's version, and a later release of nzip may have another module instead.

use super::device::{Device, TensorBuffer};

pub use wgpu;

/// The GPU's handles, for work with a [`TensorBuffer`] on the same GPU; `None` for the CPU.
pub fn handles(device: &Device) -> Option<(&wgpu::Device, &wgpu::Queue)> {
    device.opened().map(|opened| opened.gpu().handles())
}

/// The memory of a tensor: its raw bytes, followed by up to three zeros. It can be used as storage and as the
/// source of copies.
pub fn buffer(tensor: &TensorBuffer) -> &wgpu::Buffer {
    &tensor.buffer
}

/// Returns the memory of a tensor; see [`buffer`].
pub fn into_buffer(tensor: TensorBuffer) -> wgpu::Buffer {
    tensor.buffer
}
