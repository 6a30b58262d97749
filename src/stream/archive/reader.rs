//! An archive as a seekable reader.

use super::{Archive, unit_len};
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::read_at::moved;
use crate::stream::buffered::read_buffered;
use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

/// The raw bytes that are decoded at a time where a block need not be decoded from its start.
const PIECE: u64 = 256 << 10;

/// The content of an [`Archive`] as a seekable reader; see [`Archive::reader`].
pub struct ArchiveReader<'a, S> {
    archive: Held<'a, S>,
    position: u64,
    /// The offset of the decoded bytes.
    start: u64,
    decoded: Vec<u8>,
}

/// The archive of a reader.
enum Held<'a, S> {
    Borrowed(&'a mut Archive<S>),
    Owned(Box<Archive<S>>),
}

impl<S> ArchiveReader<'_, S> {
    /// The archive.
    pub fn archive(&self) -> &Archive<S> {
        match &self.archive {
            Held::Borrowed(archive) => archive,
            Held::Owned(archive) => archive,
        }
    }

    /// The archive, to read something else from it. The position stays.
    pub fn archive_mut(&mut self) -> &mut Archive<S> {
        match &mut self.archive {
            Held::Borrowed(archive) => archive,
            Held::Owned(archive) => archive,
        }
    }
}

impl<S: Read + Seek> Archive<S> {
    /// The content as a seekable reader. It keeps the bytes that it decoded last: the windows or tiles around
    /// its position, or a whole block if that must be decoded from its start.
    ///
    /// ```
    /// use std::io::{Cursor, Read, Seek, SeekFrom};
    /// let packed = nzip::compress(b"once upon a time", 1)?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// let mut reader = archive.reader();
    /// let mut text = String::new();
    /// reader.seek(SeekFrom::End(-4))?;
    /// reader.read_to_string(&mut text)?;
    /// assert_eq!(text, "time");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn reader(&mut self) -> ArchiveReader<'_, S> {
        ArchiveReader { archive: Held::Borrowed(self), position: 0, start: 0, decoded: Vec::new() }
    }

    /// The same as [`Archive::reader`], which keeps the archive.
    ///
    /// ```
    /// use std::io::{Cursor, Read, Seek, SeekFrom};
    /// let packed = nzip::compress(b"once upon a time", 1)?;
    /// let mut reader = nzip::Archive::new(Cursor::new(packed))?.into_reader();
    /// reader.seek(SeekFrom::Start(5))?;
    /// let mut word = [0; 4];
    /// reader.read_exact(&mut word)?;
    /// assert_eq!(&word, b"upon");
    /// assert_eq!(reader.archive_mut().read_range(..4)?, b"once");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    pub fn into_reader(self) -> ArchiveReader<'static, S> {
        ArchiveReader { archive: Held::Owned(Box::new(self)), position: 0, start: 0, decoded: Vec::new() }
    }

    /// The range of raw bytes around an offset that is best decoded together, for those who keep what they have
    /// decoded: the windows or tiles from this one on, some 256 KiB; a whole block where it is decoded from its
    /// start, unless it is longer than a quarter of the memory cap. It is empty behind the end.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// let packed = nzip::compress(&[7; 100_000], 1)?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// assert_eq!(archive.around(50_000)?, 0..100_000);
    /// assert!(archive.around(100_000)?.is_empty());
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of reading the header of the block.
    pub fn around(&mut self, at: u64) -> Result<Range<u64>> {
        if at >= self.len() {
            return Ok(at..at);
        }
        let Some(&(stream, number)) = self.blocks_of(&(at..at + 1)).first() else { return Ok(at..at) };
        let place = self.streams[stream].blocks[number];
        let block = self.checked(stream, number)?.0;
        let inside = at - place.raw_start;
        let range = if block.header.units.independent() {
            units_around(&block.header, inside)
        } else if place.raw_len <= self.options.resources.memory / 4 {
            0..place.raw_len
        } else {
            // The block is too large to be kept.
            inside..(inside + PIECE).min(place.raw_len)
        };
        Ok(place.raw_start + range.start..place.raw_start + range.end)
    }
}

/// The raw range of the units of a block from the one that holds offset `inside` on, up to [`PIECE`] raw
/// bytes.
fn units_around(header: &BlockHeader, inside: u64) -> Range<u64> {
    let mut range = 0..0;
    for i in 0..header.units.len() {
        if range.end <= inside {
            range.start = range.end;
        } else if range.end - range.start >= PIECE {
            break;
        }
        range.end += unit_len(header, i);
    }
    range
}

impl<S: Read + Seek> BufRead for ArchiveReader<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.archive().len() {
            return Ok(&[]);
        }
        if !(self.start..self.start + self.decoded.len() as u64).contains(&self.position) {
            let position = self.position;
            let around = self.archive_mut().around(position)?;
            self.decoded = Vec::new();
            self.start = around.start;
            self.decoded = self.archive_mut().read_range(around)?;
        }
        Ok(&self.decoded[(self.position - self.start) as usize..])
    }

    fn consume(&mut self, n: usize) {
        self.position += n as u64;
    }
}

impl<S: Read + Seek> Read for ArchiveReader<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl<S: Read + Seek> Seek for ArchiveReader<'_, S> {
    /// Moves to an offset of the raw bytes. It may lie past their end, where nothing is read.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = moved(self.position, self.archive().len(), to)?;
        Ok(self.position)
    }
}

impl<S> fmt::Debug for ArchiveReader<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader").field("position", &self.position).finish_non_exhaustive()
    }
}
