//! Streams: writing, reading front to back, reading at random.

mod archive;
mod bases;
mod decoder;
mod encoder;
mod models;
mod oneshot;
mod options;
mod sections;
#[cfg(test)]
mod tests;

pub use crate::model::registry::ModelInfo;
pub use archive::{Archive, BlockInfo, StoredTensor, StreamInfo, TensorReader, WindowInfo};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use models::Models;
pub use oneshot::{compress, compress_with, decompress, decompress_with};
pub use options::{CodecChoice, DecodeOptions, Options};
