//! Files that hold tensors: safetensors, GGUF, npy and npz.
//!
//! Everything here reads slices and knows neither files nor codecs. A parser takes the start of a file (as
//! much as its header needs) and the file's length; what it returns has been checked: names are unique,
//! byte ranges lie inside the file, lengths are those of dtype and shape. Nothing is allocated by a declared
//! count before the bytes that it stands for are there.

pub(crate) mod bases;
pub(crate) mod bits;
pub(crate) mod decimal;
pub mod dtype;
pub(crate) mod form;
pub mod ggml;
pub mod gguf;
pub(crate) mod json;
mod layout;
pub mod npy;
pub mod npz;
mod nzll;
mod nzlm;
pub(crate) mod recognise;
pub mod safetensors;

pub use dtype::Dtype;
pub use layout::{FileKind, Layout, TensorInfo};
