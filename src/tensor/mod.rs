//! Parsers of files that hold tensors: safetensors, GGUF, npy, npz, PyTorch's and ONNX's files, and nzip's own
//! weight files.
//!
//! They read slices or parts of a content (`content`), and know neither files nor codecs. A parser takes the
//! start of a file (as much as its header needs) and the file's length. Its result has been checked: names
//! are unique, byte ranges lie inside the file, and lengths follow from type and shape. No declared count
//! allocates memory before the bytes that it counts are there.

pub(crate) mod bases;
pub(crate) mod bits;
pub(crate) mod content;
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
mod onnx;
mod pickle;
pub(crate) mod recognise;
pub(crate) mod rounding;
pub mod safetensors;
pub(crate) mod stack;
mod torch;
mod zip;

pub use dtype::Dtype;
pub use layout::{FileKind, Layout, TensorInfo, UnknownTensor};
