//! Floats of tensors as `f32`, and back.

use half::{bf16, f16};
use nzip::tensor::Dtype;

/// Whether tensors of a type are quantised.
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16)
}

/// The bytes of a value of a type for which [`is_float`] holds.
pub fn size(dtype: Dtype) -> usize {
    if dtype == Dtype::F32 { 4 } else { 2 }
}

/// The values of little-endian floats, exactly.
pub fn read(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let short = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_bits(short(b)).to_f32()).collect(),
        _ => bytes.chunks_exact(2).map(|b| bf16::from_bits(short(b)).to_f32()).collect(),
    }
}

/// The values of a tensor, or none where its type is not one of floats.
pub fn read_if_float(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    if is_float(dtype) { read(dtype, bytes) } else { Vec::new() }
}

/// The nearest value of the type, ties to even, as its little-endian bytes in the first [`size`] places.
pub fn bytes_of(dtype: Dtype, value: f32) -> [u8; 4] {
    match dtype {
        Dtype::F32 => value.to_le_bytes(),
        Dtype::F16 => u32::from(f16::from_f32(value).to_bits()).to_le_bytes(),
        _ => u32::from(bf16::from_f32(value).to_bits()).to_le_bytes(),
    }
}

/// The nearest value of the type, as `f32`.
pub fn rounded(dtype: Dtype, value: f32) -> f32 {
    match dtype {
        Dtype::F32 => value,
        Dtype::F16 => f16::from_f32(value).to_f32(),
        _ => bf16::from_f32(value).to_f32(),
    }
}
