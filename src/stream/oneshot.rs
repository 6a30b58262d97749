//! Compression and decompression of slices in one call.

use super::{DecodeOptions, Decompressor, Encoder, Options};
use crate::error::Result;

/// Compresses `raw` with the default options and this level (1..=9).
///
/// ```
/// let packed = nzip::compress(b"to be or not to be", 6)?;
/// assert_eq!(nzip::decompress(&packed)?, b"to be or not to be");
/// # Ok::<(), nzip::Error>(())
/// ```
///
/// # Errors
///
/// [`crate::ErrorKind::BadArgument`] for a level out of range.
pub fn compress(raw: &[u8], level: u8) -> Result<Vec<u8>> {
    compress_with(raw, Options::new().level(level))
}

/// Compresses `raw`.
///
/// # Errors
///
/// [`crate::ErrorKind::BadArgument`] for options out of range, and those of finding the model.
pub fn compress_with(raw: &[u8], options: Options) -> Result<Vec<u8>> {
    Encoder::with_options(Vec::new(), options)?.finish_all(raw)
}

/// Decompresses all streams in `packed`.
///
/// # Errors
///
/// See [`crate::ErrorKind`]. The whole result is held in memory: use [`crate::Decoder`] for input that is not
/// trusted.
pub fn decompress(packed: &[u8]) -> Result<Vec<u8>> {
    decompress_with(packed, DecodeOptions::new())
}

/// Decompresses all streams in `packed`.
///
/// # Errors
///
/// See [`decompress`].
pub fn decompress_with(packed: &[u8], options: DecodeOptions) -> Result<Vec<u8>> {
    Decompressor::new(options).decompress(packed)
}
