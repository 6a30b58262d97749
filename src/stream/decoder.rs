//! Reading of streams front to back.

mod blocks;

use super::buffered::read_buffered;
use super::options::{DecodeOptions, Pool};
use crate::container::{Input, Payloads, Source};
use crate::error::Result;
use blocks::Blocks;
use std::fmt;
use std::io::{self, BufRead, Read};

/// Decompresses the streams that it reads from `R`, front to back, in bounded memory.
///
/// Bytes are only returned once the check value of their unit has been verified. If something is wrong later
/// on, everything before it is returned before the error. The error is an [`io::Error`] that carries an
/// [`struct@crate::Error`]; `Error::from` takes it out.
///
/// ```
/// use std::io::Read;
/// let packed = nzip::compress(b"streamed", 1)?;
/// let mut text = String::new();
/// nzip::Decoder::new(&packed[..]).read_to_string(&mut text)?;
/// assert_eq!(text, "streamed");
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Decoder<R: Read> {
    input: Input<R>,
    blocks: Blocks,
}

impl<R: Read> Decoder<R> {
    /// A decoder with the default options.
    pub fn new(reader: R) -> Self {
        Self::with_options(reader, DecodeOptions::new()).expect("the default options are in range")
    }

    /// A decoder with these options.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where the threads cannot be started.
    pub fn with_options(reader: R, options: DecodeOptions) -> Result<Self> {
        let pool = Pool::new(options.resources.threads);
        Ok(Self::with_pool(reader, options, pool))
    }

    /// A decoder with a pool for the threads that the options ask for.
    pub(super) fn with_pool(reader: R, options: DecodeOptions, pool: Pool) -> Self {
        Self { input: Input::new(reader), blocks: Blocks::new(options, Payloads::Read, pool) }
    }

    /// The reader, from which more may have been read than has been decoded.
    pub fn get_ref(&self) -> &R {
        self.input.get_ref()
    }

    /// The reader, from which more may have been read than has been decoded.
    pub fn get_mut(&mut self) -> &mut R {
        self.input.get_mut()
    }

    /// The reader, from which more may have been read than has been decoded.
    pub fn into_inner(self) -> R {
        self.input.into_inner()
    }
}

/// Decodes all streams of `input` and appends them to `out`.
///
/// # Errors
///
/// Those of decoding; [`crate::ErrorKind::LimitExceeded`] where the result is larger than the memory cap.
pub(super) fn collect(input: &[u8], options: DecodeOptions, pool: Pool, out: &mut Vec<u8>) -> Result<()> {
    Blocks::new(options, Payloads::Skip, pool).collect(input, out)
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl<R: Read> BufRead for Decoder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.blocks.fill(&mut self.input)?;
        Ok(self.blocks.available())
    }

    fn consume(&mut self, n: usize) {
        if n > 0 {
            self.blocks.take(n);
        }
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Decoder");
        fields
            .field("progress", &self.blocks.progress)
            .field("position", &self.input.position())
            .finish_non_exhaustive()
    }
}
