//! Reading of bytes at an offset.

use crate::codec::buffer::resize;
use crate::container::input::{max_parsed, too_long};
use crate::error::{Error, Result};
use crate::format::cursor::{Parse, Parsed};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// The number of bytes read first where a structure's length is unknown.
const GUESS: u64 = 4096;

/// Tells a reader which ranges of bytes will be read soon, the first one at once. The reader may do nothing.
pub type Fetch<S> = fn(&mut S, &[Range<u64>]) -> io::Result<()>;

/// A seekable reader whose length is known.
pub(super) struct Source<S> {
    inner: S,
    fetch: Option<Fetch<S>>,
    len: u64,
    memory: u64,
}

impl<S: Read + Seek> Source<S> {
    /// `fetch` belongs to readers for which every read is expensive.
    pub(super) fn new(mut inner: S, memory: u64, fetch: Option<Fetch<S>>) -> Result<Self> {
        let len = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner, fetch, len, memory })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    pub(super) fn inner(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Whether every read is expensive.
    pub(super) fn is_remote(&self) -> bool {
        self.fetch.is_some()
    }

    /// Says which ranges will be read soon, the first one at once.
    pub(super) fn expect(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        self.fetch.map_or(Ok(()), |fetch| Ok(fetch(&mut self.inner, ranges)?))
    }

    /// The `len` bytes from `offset` on.
    pub(super) fn read(&mut self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let end = offset.checked_add(len).filter(|&end| end <= self.len);
        if end.is_none() {
            let all = self.len;
            return Err(Error::truncated(format!(
                "{len} bytes expected at offset {offset}, the file ends at {all}"
            )));
        }
        if len > self.memory {
            return Err(Error::limit(format!("{len} bytes to read; the cap is {}", self.memory)));
        }
        let mut bytes = Vec::new();
        resize(&mut bytes, len as usize)?;
        self.inner.seek(SeekFrom::Start(offset))?;
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Parses a structure that starts at `offset` and must end before `end`.
    pub(super) fn parse<T>(
        &mut self,
        offset: u64,
        end: u64,
        what: &str,
        parser: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<T> {
        let room = end.min(self.len).saturating_sub(offset);
        let mut len = room.min(GUESS);
        loop {
            let bytes = self.read(offset, len)?;
            match parser(&bytes) {
                Ok(value) => return Ok(value),
                Err(Parse::Bad(e)) => return Err(e),
                Err(Parse::Need(n)) if n as u64 > room => {
                    return Err(Error::truncated(format!(
                        "{what} at offset {offset}: {n} bytes needed, {room} left"
                    )));
                }
                Err(Parse::Need(n)) if n > max_parsed(self.memory) => {
                    return Err(too_long(what, n, max_parsed(self.memory)));
                }
                Err(Parse::Need(n)) => len = (n as u64).max(2 * len).min(room),
            }
        }
    }
}
