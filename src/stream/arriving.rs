//! Decoding of bytes that arrive piece by piece, for decoders that are not given a reader.

use super::decoder::Decoder;
use super::options::{DecodeOptions, Pool};
use crate::container::Whole;
use crate::error::{Error, Result};
use std::fmt;
use std::io::{self, BufRead, Read};

/// The most bytes that are taken at a time.
const STEP: usize = 256 << 10;

/// A decoder of what has arrived. A section is decoded once all of it is there.
pub struct Arriving {
    decoder: Decoder<Queue>,
    sections: Whole,
    /// A section that has not arrived completely.
    pending: Vec<u8>,
}

/// Complete sections, which are read as they arrive.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    read: usize,
    /// Whether no more will arrive.
    ended: bool,
}

impl Queue {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.drain(..self.read);
        self.read = 0;
        let room = self.bytes.try_reserve(bytes.len());
        room.map_err(|_| Error::limit(format!("no memory for a section of {} bytes", bytes.len())))?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Read for Queue {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.read..];
        if rest.is_empty() && !self.ended && !out.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = out.len().min(rest.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        Ok(n)
    }
}

impl Arriving {
    pub fn new(options: DecodeOptions) -> Self {
        let pool = Pool::new(options.resources.threads);
        Self::build(options, pool)
    }

    /// The same, with a pool for the threads that the options ask for.
    pub fn build(options: DecodeOptions, pool: Pool) -> Self {
        let sections = Whole::new(options.resources.memory);
        let decoder = Decoder::with_pool(Queue::default(), options, pool);
        Self { decoder, sections, pending: Vec::new() }
    }

    /// The same, which takes one stream only.
    pub fn one_stream(self) -> Self {
        Self { sections: self.sections.one_stream(), ..self }
    }

    /// Whether the one stream that is taken has arrived as a whole.
    pub fn has_ended(&self) -> bool {
        self.sections.ended()
    }

    /// Takes bytes, and returns how many: none behind the one stream that is taken. Everything that is decoded
    /// already must have been consumed, or more and more memory would be held.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.has_ended() {
            return Ok(0);
        }
        let bytes = &bytes[..bytes.len().min(STEP)];
        let room = self.pending.try_reserve(bytes.len());
        room.map_err(|_| Error::limit("no memory for a section"))?;
        self.pending.extend_from_slice(bytes);
        let whole = self.sections.take(&self.pending);
        if whole == 0 {
            return Ok(bytes.len());
        }
        self.decoder.get_mut().push(&self.pending[..whole])?;
        self.pending.drain(..whole);
        if !self.has_ended() {
            return Ok(bytes.len());
        }
        // What is left behind the end of the one stream is not taken; its last byte has come just now.
        self.decoder.get_mut().ended = true;
        Ok(bytes.len() - std::mem::take(&mut self.pending).len())
    }

    /// Says that no more will arrive.
    pub fn finish(&mut self) -> Result<()> {
        let queue = self.decoder.get_mut();
        queue.push(&self.pending)?;
        queue.ended = true;
        self.pending.clear();
        Ok(())
    }

    /// Raw bytes that have been decoded: none at the end, and `None` where more must arrive.
    ///
    /// # Errors
    ///
    /// Those of decoding, again at each call.
    pub fn decoded(&mut self) -> Result<Option<&[u8]>> {
        match self.decoder.fill_buf() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Drops raw bytes that have been read.
    pub fn consume(&mut self, n: usize) {
        self.decoder.consume(n);
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving")
            .field("decoder", &self.decoder)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
