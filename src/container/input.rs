//! A reader with a buffer, from which parsers take as many bytes as they need.

use crate::error::{Error, Result};
use crate::format::cursor::{Parse, Parsed};
use std::io::{self, Read, Seek, SeekFrom};

/// The most bytes that are requested at a time while a declared length is not trusted yet.
const STEP: usize = 256 << 10;

/// Skips bytes of a reader that is at `offset`; returns how many were skipped.
type Skip<R> = fn(&mut R, offset: u64, n: u64, end: u64) -> io::Result<u64>;

/// A reader with a buffer in front of it.
pub struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    consumed: u64,
    /// The offset of the input's end where it is known, otherwise `u64::MAX`.
    end: u64,
    skip: Skip<R>,
}

/// An input, whatever it reads from. What takes its bytes through this trait is compiled once for all readers.
pub trait Source {
    /// The offset of the next byte in the input.
    fn position(&self) -> u64;

    /// The bytes that are in the buffer.
    fn bytes(&self) -> &[u8];

    /// Skips `n` bytes of the buffer.
    fn consume(&mut self, n: usize);

    /// Makes `n` bytes available in the buffer; returns false where the input ends too early.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    fn fill(&mut self, n: usize) -> Result<bool>;

    /// Skips `n` bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the input ends too early; those of the reader.
    fn skip(&mut self, n: u64, what: &str) -> Result<()>;

    /// Moves `n` bytes into `out`, which must be empty.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the input ends too early; [`crate::ErrorKind::LimitExceeded`]
    /// where memory is missing; those of the reader.
    fn read(&mut self, n: usize, what: &str, out: &mut Vec<u8>) -> Result<()>;
}

impl dyn Source + '_ {
    /// Parses from the buffer. Reads as many bytes as the parser asks for, but never more than arrive, and
    /// never more than [`max_parsed`] of `memory` bytes.
    ///
    /// # Errors
    ///
    /// Those of the parser and the reader; [`crate::ErrorKind::Truncated`] where the input ends too early,
    /// [`crate::ErrorKind::LimitExceeded`] where the parser asks for too much.
    pub fn parse<T>(&mut self, what: &str, memory: u64, parser: impl Fn(&[u8]) -> Parsed<T>) -> Result<T> {
        let (most, mut ended) = (max_parsed(memory), false);
        loop {
            match parser(self.bytes()) {
                Ok(value) => return Ok(value),
                Err(Parse::Need(n)) if n > most => return Err(too_long(what, n, most)),
                Err(Parse::Need(n)) if ended => {
                    return Err(ends_inside(what, n as u64, self.bytes().len() as u64));
                }
                // What there is may be wrong already: then that is the error.
                Err(Parse::Need(n)) => ended = !self.fill(n)?,
                Err(Parse::Bad(e)) => return Err(e),
            }
        }
    }

    /// Makes `n` bytes available in the buffer.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the input ends too early; those of the reader.
    pub fn need(&mut self, n: usize, what: &str) -> Result<()> {
        if self.fill(n)? {
            return Ok(());
        }
        Err(ends_inside(what, n as u64, self.bytes().len() as u64))
    }
}

impl<R: Read> Input<R> {
    /// An input that skips by reading.
    pub fn new(reader: R) -> Self {
        let skip: Skip<R> = |reader, _, n, _| io::copy(&mut reader.take(n), &mut io::sink());
        Self { reader, buffer: Vec::new(), start: 0, consumed: 0, end: u64::MAX, skip }
    }
}

impl<R: Read + Seek> Input<R> {
    /// An input that starts at an offset and skips by seeking.
    ///
    /// # Errors
    ///
    /// Those of seeking.
    pub fn seekable(mut reader: R, offset: u64) -> Result<Self> {
        let end = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(offset))?;
        let skip: Skip<R> = |reader, offset, n, end| {
            let to = offset.saturating_add(n).min(end.max(offset));
            reader.seek(SeekFrom::Start(to)).map(|to| to - offset)
        };
        Ok(Self { skip, end, consumed: offset, ..Self::new(reader) })
    }
}

impl<R: Read> Input<R> {
    /// The reader, from which more may have been read than was consumed.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader, from which more may have been read than was consumed.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The reader, from which more may have been read than was consumed.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: Read> Source for Input<R> {
    fn position(&self) -> u64 {
        self.consumed
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
        self.consumed += n as u64;
    }

    fn skip(&mut self, n: u64, what: &str) -> Result<()> {
        let ready = n.min(self.bytes().len() as u64);
        self.consume(ready as usize);
        let left = n - ready;
        // The buffer is empty in that case, so the reader is at the input's position.
        let got = if left > 0 { (self.skip)(&mut self.reader, self.consumed, left, self.end)? } else { 0 };
        self.consumed += got;
        if got < left { Err(ends_inside(what, n, ready + got)) } else { Ok(()) }
    }

    fn read(&mut self, n: usize, what: &str, out: &mut Vec<u8>) -> Result<()> {
        let ready = n.min(self.bytes().len());
        out.extend_from_slice(&self.bytes()[..ready]);
        self.consume(ready);
        while out.len() < n {
            // Memory grows with the bytes that arrive, not with the length that is declared.
            let step = (n - out.len()).min(out.len().max(STEP));
            out.try_reserve_exact(step).map_err(|_| Error::limit(format!("not enough memory for {what}")))?;
            let got = (&mut self.reader).take(step as u64).read_to_end(out)?;
            self.consumed += got as u64;
            if got < step {
                return Err(ends_inside(what, n as u64, out.len() as u64));
            }
        }
        Ok(())
    }

    fn fill(&mut self, n: usize) -> Result<bool> {
        while self.bytes().len() < n {
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let len = self.buffer.len();
            self.buffer.resize(len + (n - len).clamp(8 << 10, STEP), 0);
            let got = loop {
                match self.reader.read(&mut self.buffer[len..]) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(len + *got.as_ref().unwrap_or(&0));
            if got? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The most bytes that a header may have where a reader may take `memory` bytes: a parsed header takes about
/// three times as much.
pub fn max_parsed(memory: u64) -> usize {
    usize::try_from(memory / 8).unwrap_or(usize::MAX).max(1 << 16)
}

/// The error for a structure that is longer than [`max_parsed`].
pub fn too_long(what: &str, needed: usize, most: usize) -> Error {
    Error::limit(format!("{what} of {needed} bytes or more; the memory cap allows {most}"))
}

fn ends_inside(what: &str, needed: u64, found: u64) -> Error {
    Error::truncated(format!("the data ends inside {what} ({needed} bytes needed, {found} left)"))
}
