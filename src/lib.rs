//! nzip: lossless compression with learned models.
//!
//! [`compress`] and [`decompress`] work on slices, [`Encoder`] and [`Decoder`] on streams, and
//! [`Archive`] reads any part of a compressed file without decoding the rest. The format is specified in
//! `formats/nzip.md`.
//!
//! | wanted | type |
//! |---|---|
//! | write raw bytes, get a stream written | [`Encoder`], which is [`write::Encoder`] |
//! | read raw bytes from a stream | [`Decoder`], which is [`read::Decoder`] |
//! | read raw bytes, get a stream to read | [`read::Encoder`], [`bufread::Encoder`] |
//! | write a stream, get raw bytes written | [`write::Decoder`] |
//! | code between buffers of one's own, step by step | [`buffers::Encoder`], [`buffers::Decoder`] |
//! | a stream that is finished when its encoder is dropped | [`Encoder::auto_finish`], [`Encoder::on_finish`] |
//! | any range, or a reader that seeks | [`Archive::read_range`], [`Archive::reader`] |
//! | to read from something that has bytes at offsets | [`ReadAt`], [`Seekable`] |
//! | one tensor, some rows of it | [`Archive::tensor`] |
//! | a content that is spread over several files | [`manifest::ManifestArchive`] |
//! | many small contents | [`Compressor`], [`Decompressor`] |
//! | threads, memory, models, a GPU | [`Resources`], in [`Options`] and [`DecodeOptions`] |
//! | to see how far coding has come | [`Progress`] |
//!
//! The same input, options and release give the same bytes, on every machine and with any number of threads,
//! provided that the same models are available. A build without the feature `built-in-models` lacks the
//! models that ship (4.1 MB): its encoders only use codecs that need none (`zstd` for text), and its decoders
//! name the model that a file needs.
#![deny(unsafe_code)]

#[cfg(feature = "candle")]
pub mod candle;
mod codec;
mod coder;
mod container;
mod error;
pub mod family;
mod format;
mod gpu;
#[doc(hidden)]
pub mod internal;
mod kernel;
pub mod llm;
pub mod manifest;
mod model;
mod models;
mod progress;
mod random;
mod read_at;
#[cfg(feature = "remote")]
pub mod remote;
mod stream;
pub mod tensor;
pub mod tokens;

pub use codec::Codec;
pub use error::{Error, ErrorKind, Result};
pub use gpu::public::*;
pub use model::circuit::Likelihood;
pub use models::{Models, registry::ModelInfo};
pub use progress::Progress;
pub use read_at::{ReadAt, Seekable};
pub use stream::{
    Archive, ArchiveReader, BlockInfo, CodecChoice, Compressor, DecodeOptions, Decoder, Decompressor,
    Encoder, Fetch, Member, Options, Resources, StoredTensor, StreamInfo, TensorReader, WindowInfo, buffers,
    bufread, compress, compress_bound, compress_with, decompress, decompress_with, is_nz, most_threads, read,
    write,
};
pub use tensor::bases::Bases;

/// The instruction sets for which nzip has inner loops and which this machine can run; the last one is in
/// use. Results do not depend on them.
pub fn instruction_sets() -> Vec<&'static str> {
    kernel::Kernel::supported().map(kernel::Kernel::name).collect()
}
