//! An encoder and a decoder that write to a [`Write`].

use super::DecodeOptions;
use super::arriving::Arriving;
use crate::error::Result;
use std::fmt;
use std::io::{self, Write};

pub use super::auto_finish::AutoFinish;
pub use super::encoder::Encoder;

/// Decompresses what is written to it, and writes the raw bytes to `W` as soon as the section that holds them
/// has arrived.
///
/// [`Decoder::finish`] must be called at the end: only then is it certain that nothing is missing.
///
/// A writer may take some of the raw bytes and then answer [`io::ErrorKind::WouldBlock`]. Decoding stops
/// there: [`Write::write`] takes no more bytes and answers the same until the writer takes what is left, and
/// [`Write::flush`] tells whether it has. A long block is decoded no further than the writer has got, so that
/// few bytes which stand for many take little memory.
///
/// ```
/// use std::io::Write;
/// let packed = nzip::compress(b"in pieces", 1)?;
/// let mut decoder = nzip::write::Decoder::new(Vec::new());
/// for piece in packed.chunks(7) {
///     decoder.write_all(piece)?;
/// }
/// assert_eq!(decoder.finish()?, b"in pieces");
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Decoder<W: Write> {
    writer: W,
    arriving: Arriving,
}

impl<W: Write> Decoder<W> {
    /// A decoder with the default options.
    pub fn new(writer: W) -> Self {
        Self::with_options(writer, DecodeOptions::new()).expect("the default options are in range")
    }

    /// A decoder with these options.
    ///
    /// # Errors
    ///
    /// Those of [`crate::Decoder::with_options`].
    pub fn with_options(writer: W, options: DecodeOptions) -> Result<Self> {
        Ok(Self { writer, arriving: Arriving::new(options) })
    }

    /// Takes one stream only: behind it [`Write::write`] takes no more bytes.
    ///
    /// ```
    /// use nzip::{DecodeOptions, write::Decoder};
    /// use std::io::Write;
    /// let mut bytes = nzip::compress(b"one stream", 1)?;
    /// bytes.extend(b"and what follows");
    /// let mut decoder = Decoder::with_options(Vec::new(), DecodeOptions::new())?.one_stream();
    /// let taken = decoder.write(&bytes)?;
    /// assert!(decoder.has_ended());
    /// assert_eq!(&bytes[taken..], b"and what follows");
    /// assert_eq!(decoder.write(&bytes[taken..])?, 0);
    /// assert_eq!(decoder.finish()?, b"one stream");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn one_stream(mut self) -> Self {
        self.arriving = self.arriving.one_stream();
        self
    }

    /// Whether the one stream that is taken has arrived as a whole; false without [`Decoder::one_stream`].
    pub fn has_ended(&self) -> bool {
        self.arriving.has_ended()
    }

    /// Decodes what is left, and returns the writer.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the end is missing; those of decoding and of the writer. A writer
    /// that may take nothing should be flushed before, as an error here loses what is left.
    pub fn finish(mut self) -> Result<W> {
        self.arriving.finish()?;
        self.decode()?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The writer, without the bytes that have arrived but are not written yet, and without checking whether
    /// anything is missing.
    pub fn into_inner(self) -> W {
        self.writer
    }

    /// Writes all raw bytes that can be decoded. What the writer has not taken stays for the next call.
    fn decode(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.arriving.decoded()?.filter(|bytes| !bytes.is_empty()) {
            match self.writer.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.arriving.consume(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The same after bytes have been taken: a writer that takes nothing at present is no error then.
    fn decode_some(&mut self) -> io::Result<()> {
        match self.decode() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}

impl<W: Write> Write for Decoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error of the writer may have left bytes of an earlier call.
        self.decode()?;
        let taken = self.arriving.take(bytes)?;
        self.decode_some()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.decode()?;
        self.writer.flush()
    }
}

impl<W: Write> fmt::Debug for Decoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Decoder");
        fields.field("arriving", &self.arriving).finish_non_exhaustive()
    }
}
