//! Compression and decompression of slices in one call.

use super::{DecodeOptions, Decompressor, Encoder, Options};
use crate::error::Result;
use crate::format::consts::MAGIC;

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

/// The most bytes that compressing `raw_len` bytes gives, where codecs are chosen automatically, blocks have
/// their default size, and no model is embedded. Ordinary contents stay far below.
///
/// ```
/// let raw = [7; 1000];
/// assert!(nzip::compress(&raw, 1)?.len() as u64 <= nzip::compress_bound(1000));
/// # Ok::<(), nzip::Error>(())
/// ```
pub fn compress_bound(raw_len: u64) -> u64 {
    // A block takes some 40 bytes, and only a file of very many small tensors has many blocks.
    raw_len.saturating_add(raw_len / 8).saturating_add(128)
}

/// Whether these are the first bytes of a `.nz` stream; at least 7 of them are needed.
///
/// ```
/// assert!(nzip::is_nz(&nzip::compress(b"a", 1)?));
/// assert!(!nzip::is_nz(b"no stream"));
/// # Ok::<(), nzip::Error>(())
/// ```
pub fn is_nz(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}
