//! Writing of a stream.

mod coder;
mod embedding;
mod output;
mod plan;
mod short;
mod tensors;
mod words;

use super::options::{Options, Pool};
use crate::codec::plan::Plan;
use crate::error::Result;
use crate::stream::content::FileContent;
use crate::tensor::content::Content;
use coder::{Coder, Finished};
pub(super) use plan::plan;
use std::fmt;
use std::io::{self, Write};

/// Compresses what is written to it and writes one stream to `W`, never seeking.
///
/// `flush` ends a block, so that everything written so far can be read. [`Encoder::finish`] must be called at
/// the end: a stream whose encoder was dropped reads as truncated.
///
/// ```
/// use std::io::Write;
/// let mut encoder = nzip::Encoder::new(Vec::new());
/// encoder.write_all(b"a line\n")?;
/// let packed = encoder.finish()?;
/// assert_eq!(nzip::decompress(&packed)?, b"a line\n");
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Encoder<W: Write> {
    writer: W,
    coder: Coder,
}

impl<W: Write> Encoder<W> {
    /// An encoder with the default options.
    pub fn new(writer: W) -> Self {
        Self::with_options(writer, Options::new()).expect("the default options are in range")
    }

    /// An encoder with these options.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for options out of range, and those of finding the model.
    pub fn with_options(writer: W, options: Options) -> Result<Self> {
        Ok(Self { writer, coder: Coder::new(options)? })
    }

    /// An encoder with options that have been checked, the plan that belongs to them, and a pool for their
    /// threads.
    pub(super) fn build(writer: W, options: Options, plan: Plan, pool: Pool) -> Self {
        Self { writer, coder: Coder::build(options, plan, pool) }
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer. Writing to it damages the stream.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The writer, without finishing the stream, which then reads as truncated. [`Encoder::finish`] is the
    /// usual way.
    pub fn into_inner(self) -> W {
        self.writer
    }

    /// Writes the remaining bytes, the index and the trailer, and returns the writer.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn finish(mut self) -> Result<W> {
        self.coder.finish(&mut self.writer)?;
        Ok(self.writer)
    }

    /// Writes the whole content at once, and finishes. Files of tensors are recognised, whatever their size.
    ///
    /// # Errors
    ///
    /// Those of the writer; [`crate::ErrorKind::BadArgument`] where something has been written before, or
    /// where `raw` is too short for the tensor that the options describe.
    pub fn finish_all(self, raw: &[u8]) -> Result<W> {
        Ok(self.finish_content(&raw)?.0)
    }

    /// Writes a whole content, and finishes; see [`Encoder::finish_all`].
    ///
    /// # Errors
    ///
    /// Those of [`Encoder::finish_all`] and of reading the content.
    pub(crate) fn finish_content(mut self, raw: &dyn Content) -> Result<(W, Finished)> {
        let finished = self.coder.finish_content(raw, &mut self.writer)?;
        Ok((self.writer, finished))
    }

    /// Writes all of a file and finishes; see [`Encoder::finish_all`]. The file is read in parts, and each
    /// part is coded, checked and hashed from the same bytes.
    ///
    /// # Errors
    ///
    /// See [`Encoder::finish_all`]; those of reading the file, and [`crate::ErrorKind::Io`] where the file
    /// changes in the meantime.
    pub fn finish_file(self, file: &std::fs::File) -> Result<W> {
        let content = FileContent::new(file)?;
        let (writer, _) = self.finish_content(&content)?;
        content.check()?;
        Ok(writer)
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (options, written) = (&self.coder.options, &self.coder.out.written);
        f.debug_struct("Encoder").field("options", options).field("written", written).finish_non_exhaustive()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.coder.take(bytes, &mut self.writer)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.coder.flush(&mut self.writer)?;
        self.writer.flush()
    }
}
