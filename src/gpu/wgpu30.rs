//! Sharing a GPU with nzip through wgpu 30.
//!
//! [`crate::TensorReader::read_to_gpu`] leaves a tensor in the memory of the GPU that nzip was given. The functions of this
//! module give access to that memory and to the GPU. Their types are those of wgpu: the module's name follows its
//! version, and a later release of nzip may offer another one in its place.

use super::device::{Device, TensorBuffer};

pub use wgpu;

/// The GPU's handles, for work with a [`TensorBuffer`] on the same GPU; `None` for the CPU.
pub fn handles(device: &Device) -> Option<(&wgpu::Device, &wgpu::Queue)> {
    device.opened().map(|opened| opened.gpu().handles())
}

/// The memory of a tensor: its raw bytes, then up to three zeros. It is usable as storage and as source of copies.
pub fn buffer(tensor: &TensorBuffer) -> &wgpu::Buffer {
    &tensor.buffer
}

/// Gives the memory of a tensor away, see [`buffer`].
pub fn into_buffer(tensor: TensorBuffer) -> wgpu::Buffer {
    tensor.buffer
}
