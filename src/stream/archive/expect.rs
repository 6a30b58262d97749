//! Archives whose reads are expensive: what will be read soon is said in advance, so that few requests fetch it.

use super::Archive;
use super::source::{Fetch, Source};
use crate::error::{Error, Result};
use crate::format::header::Header;
#[cfg(feature = "remote")]
use crate::remote::{RemoteFile, RemoteOptions};
use crate::stream::DecodeOptions;
use std::io::{Read, Seek};
use std::ops::Range;

/// The most bytes that are said in advance; a quarter of the memory cap where that is less.
const MOST: u64 = 32 << 20;
/// Blocks of up to this many bytes are fetched whole, even where only a part is wanted.
const SHORT: u64 = 64 << 10;
/// The bytes from a block's start on that nearly always hold its header.
const HEADER: u64 = 4 << 10;
/// The most block headers that are said in advance.
const HEADERS: usize = 1 << 10;

#[cfg(feature = "remote")]
impl Archive<RemoteFile> {
    /// Opens the file behind a URL (`http`, `https`, `s3`, `gs`, `az`). Opening takes one request; a tensor or
    /// range takes one or two more, for exactly the blocks that it touches.
    ///
    /// # Errors
    ///
    /// Those of [`RemoteFile::open`] and [`Archive::new`]. As the headers of streams are read together with the
    /// first block, errors in them may only come to light there.
    pub fn open_url(url: &str) -> Result<Self> {
        Self::open_url_with(url, &RemoteOptions::new(), DecodeOptions::new())
    }

    /// Opens the file behind a URL, with these options.
    ///
    /// # Errors
    ///
    /// See [`Archive::open_url`].
    pub fn open_url_with(url: &str, remote: &RemoteOptions, options: DecodeOptions) -> Result<Self> {
        Self::remote(RemoteFile::open_with(url, remote)?, options)
    }

    /// Reads a remote file that is open already, with these options.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::new`].
    pub fn remote(file: RemoteFile, options: DecodeOptions) -> Result<Self> {
        Self::fetching(file, RemoteFile::expect, options)
    }
}

impl<S: Read + Seek> Archive<S> {
    /// Reads a file for which every read is expensive. `fetch` is told which ranges will be read soon, the first
    /// one at once, so that it can fetch them together; it may do nothing. The headers of streams are read
    /// together with the first block, so errors in them may only come to light there.
    ///
    /// # Errors
    ///
    /// Those of [`Archive::new`].
    pub fn fetching(source: S, fetch: Fetch<S>, options: DecodeOptions) -> Result<Self> {
        let source = Source::new(source, options.resources.memory, Some(fetch))?;
        Self::of(source, options)
    }

    /// Says that ranges of blocks, given by their streams and numbers, will be read in this order.
    pub(super) fn expect(
        &mut self,
        wanted: impl Iterator<Item = ((usize, usize), Range<u64>)>,
    ) -> Result<()> {
        if !self.source.is_remote() {
            return Ok(());
        }
        let most = MOST.min(self.options.resources.memory / 4);
        let (mut ranges, mut sum) = (Vec::new(), 0);
        for ((stream, number), range) in wanted {
            let map = &self.streams[stream];
            let place = map.blocks[number];
            let whole = range.start <= place.raw_start && place.raw_end() <= range.end;
            let all = (whole || place.stored_len <= SHORT) && place.stored_len <= most;
            let len = if all { place.stored_len } else { place.stored_len.min(HEADER) };
            sum += len;
            if sum > most && !ranges.is_empty() {
                break;
            }
            ranges.push(place.offset..place.offset + len);
            ranges.extend(map.unread_header.map(|len| map.offset..map.offset + len));
        }
        self.source.expect(&ranges)
    }

    /// Says that the headers of a block and of those after it will be read.
    pub(super) fn expect_headers(&mut self, stream: usize, number: usize) -> Result<()> {
        if !self.source.is_remote() {
            return Ok(());
        }
        let map = &self.streams[stream];
        let header = map.unread_header.map(|len| map.offset..map.offset + len);
        let blocks = map.blocks[number..].iter().take(HEADERS);
        let blocks = blocks.map(|b| b.offset..b.offset + b.stored_len.min(HEADER));
        let ranges: Vec<_> = blocks.chain(header).collect();
        self.source.expect(&ranges)
    }

    /// Reads the header of a stream, unless it has been read.
    pub(super) fn read_stream_header(&mut self, stream: usize) -> Result<()> {
        let map = &mut self.streams[stream];
        let Some(len) = map.unread_header else { return Ok(()) };
        let place = |e: Error| e.within(format!("stream {stream}, offset 0"));
        let parsed = self.source.parse(map.offset, map.offset + len, "the stream header", Header::parse);
        let found = parsed.map_err(place)?.1 as u64;
        if found != len {
            return Err(place(Error::corrupt(format!("a header of {len} bytes expected, {found} found"))));
        }
        map.unread_header = None;
        Ok(())
    }
}
