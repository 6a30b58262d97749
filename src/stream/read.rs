//! An encoder and a decoder that read from a [`Read`].

use super::{Options, bufread};
use crate::error::Result;
use std::io::{self, BufReader, Read};

pub use super::decoder::Decoder;

/// The number of bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// Compresses what it reads from `R`: reading from it yields one stream.
///
/// ```
/// use std::io::Read;
/// let mut packed = Vec::new();
/// nzip::read::Encoder::new(&b"to be compressed"[..]).read_to_end(&mut packed)?;
/// let mut raw = Vec::new();
/// nzip::read::Decoder::new(&packed[..]).read_to_end(&mut raw)?;
/// assert_eq!(raw, b"to be compressed");
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder<R>(bufread::Encoder<BufReader<R>>);

impl<R: Read> Encoder<R> {
    /// An encoder with the default options.
    pub fn new(reader: R) -> Self {
        Self(bufread::Encoder::new(BufReader::with_capacity(PIECE, reader)))
    }

    /// An encoder with these options.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Encoder::with_options`].
    pub fn with_options(reader: R, options: Options) -> Result<Self> {
        bufread::Encoder::with_options(BufReader::with_capacity(PIECE, reader), options).map(Self)
    }
}

impl<R> Encoder<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        self.0.get_ref().get_ref()
    }

    /// The reader. Bytes that are read from it here are not compressed.
    pub fn get_mut(&mut self) -> &mut R {
        self.0.get_mut().get_mut()
    }

    /// The reader. Bytes that were read from it but not compressed yet are lost.
    pub fn into_inner(self) -> R {
        self.0.into_inner().into_inner()
    }
}

impl<R: Read> Read for Encoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}
