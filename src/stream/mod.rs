//! Streams: writing, reading front to back, reading at random.

mod archive;
mod bases;
mod content;
mod decoder;
mod encoder;
mod oneshot;
mod options;
mod resources;
#[cfg(test)]
mod tests;

pub use archive::{Archive, BlockInfo, StoredTensor, StreamInfo, TensorReader, WindowInfo};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use oneshot::{compress, compress_with, decompress, decompress_with};
pub use options::{CodecChoice, DecodeOptions, Options};
pub use resources::Resources;
