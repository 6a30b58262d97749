//! An encoder and a decoder that read from a [`BufRead`] and use its buffer.

use super::{Encoder as Writing, Options};
use crate::error::{Error, Result};
use std::fmt;
use std::io::{self, BufRead, Read};

/// Decompresses the streams that it reads from `R`. This is the same type as [`crate::read::Decoder`], which
/// reads large pieces into a buffer of its own for any `R`.
pub type Decoder<R> = super::Decoder<R>;

/// Compresses what it reads from `R`: reading from it yields one stream.
///
/// ```
/// use std::io::Read;
/// let mut packed = Vec::new();
/// nzip::bufread::Encoder::new(&b"to be compressed"[..]).read_to_end(&mut packed)?;
/// assert_eq!(nzip::decompress(&packed)?, b"to be compressed");
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Encoder<R> {
    reader: R,
    /// Present until the stream is finished.
    encoder: Option<Writing<Vec<u8>>>,
    /// A part of the stream, of which `read` bytes have been read.
    out: Vec<u8>,
    read: usize,
    /// The error that ended the stream, if there was one.
    error: Option<Error>,
}

impl<R: BufRead> Encoder<R> {
    /// An encoder with the default options.
    pub fn new(reader: R) -> Self {
        Self::with_options(reader, Options::new()).expect("the default options are in range")
    }

    /// An encoder with these options.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Encoder::with_options`].
    pub fn with_options(reader: R, options: Options) -> Result<Self> {
        let encoder = Some(Writing::with_options(Vec::new(), options)?);
        Ok(Self { reader, encoder, out: Vec::new(), read: 0, error: None })
    }

    /// Produces more of the stream; returns false at its end.
    fn advance(&mut self) -> Result<bool> {
        while self.read == self.out.len() {
            if let Some(e) = &self.error {
                return Err(e.again());
            }
            let Some(encoder) = &mut self.encoder else { return Ok(false) };
            self.out.clear();
            self.read = 0;
            std::mem::swap(&mut self.out, encoder.get_mut());
            if !self.out.is_empty() {
                continue;
            }
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                let finished = self.encoder.take().map_or(Ok(Vec::new()), Writing::finish);
                self.out = finished.inspect_err(|e| self.error = Some(e.again()))?;
            } else {
                let n = io::Write::write(encoder, bytes)?;
                self.reader.consume(n);
            }
        }
        Ok(true)
    }
}

impl<R> Encoder<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader. Bytes that are read from it here are not compressed.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The reader. Bytes that were read from it but not compressed yet are lost.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: BufRead> Read for Encoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || !self.advance()? {
            return Ok(0);
        }
        let bytes = &self.out[self.read..];
        let n = out.len().min(bytes.len());
        out[..n].copy_from_slice(&bytes[..n]);
        self.read += n;
        Ok(n)
    }
}

impl<R> fmt::Debug for Encoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}
