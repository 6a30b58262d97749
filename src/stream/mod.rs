//! Streams: writing, reading front to back, and random access.

mod archive;
mod arriving;
mod auto_finish;
mod bases;
mod buffered;
pub mod buffers;
pub mod bufread;
mod content;
mod decoder;
mod encoder;
mod inner;
mod kept;
mod messages;
mod oneshot;
mod options;
pub mod read;
mod resources;
#[cfg(test)]
mod tests;
pub mod write;

pub use archive::{
    Archive, ArchiveReader, BlockInfo, Fetch, Member, StoredTensor, StreamInfo, TensorReader, WindowInfo,
};
pub(crate) use content::FileContent;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use messages::{Compressor, Decompressor};
pub use oneshot::{compress, compress_bound, compress_with, decompress, decompress_with, is_nz};
pub use options::{CodecChoice, DecodeOptions, Options, most_threads};
pub use resources::Resources;
