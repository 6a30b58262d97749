//! Walks through the sections of streams and checks everything that can be checked without decoding.

use super::Source;
use crate::codec::block::Block;
use crate::codec::newer;
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use crate::format::checksum::{Check, hex, same};
use crate::format::consts::{KIND_BLOCK, KIND_INDEX, KIND_MEMBER, KIND_MODEL, KIND_SKIPPABLE, KIND_TRAILER};
use crate::format::header::Header;
use crate::format::index::{Entry, Index, Record};
use crate::format::member::MemberSection;
use crate::format::section::{self, ModelSection};
use crate::format::trailer::Trailer;
use std::collections::HashMap;
use std::sync::Arc;

/// The bytes of a skipped section that are verified at a time.
const STEP: u64 = 256 << 10;

/// The treatment of payloads by a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// Read them.
    Read,
    /// Skip them: the caller has them, or reads them when it needs them.
    Skip,
}

/// A block as it stands in the stream.
pub struct RawBlock {
    pub block: Block,
    /// The payload; empty where payloads are skipped or shared.
    pub payload: Vec<u8>,
    /// The payload of a block that has copies, shared with the copies.
    shared: Option<Arc<[u8]>>,
    /// The offset of the payload in the input.
    pub payload_at: u64,
    /// The offset of the block in the input, and the number of its bytes there.
    pub offset: u64,
    pub stored_len: u64,
    /// The block's number in its stream, from 0.
    pub number: u64,
    /// The offset of its first raw byte in its stream.
    pub raw_start: u64,
}

impl RawBlock {
    /// Names the block in error messages.
    pub fn place(&self) -> String {
        format!("block {} (raw offset {})", self.number, self.raw_start)
    }

    /// Its raw length.
    pub fn raw_len(&self) -> u64 {
        self.block.header.raw_len.into()
    }

    /// The payload, which is in `input` if payloads are skipped.
    pub fn payload<'a>(&'a self, input: Option<&'a [u8]>) -> &'a [u8] {
        let start = self.payload_at as usize;
        // The walk has checked that it is there when it skipped it.
        let within = |bytes: &'a [u8]| &bytes[start..start + self.block.header.payload_len as usize];
        input.map_or(self.shared.as_deref().unwrap_or(&self.payload), within)
    }

    /// The memory, in bytes, that the block takes while it waits to be decoded, not counting its raw bytes:
    /// its header and, unless other blocks share it, its payload.
    pub fn memory(&self) -> u64 {
        (self.payload.capacity() as u64).saturating_add(self.block.memory())
    }
}

/// The end of a stream.
pub struct StreamEnd {
    /// The offset of the stream in the input.
    pub offset: u64,
    /// The bytes of the stream.
    pub stored_len: u64,
    /// The bytes of the stream that are the index; 0 where there is none.
    pub index_len: u64,
    /// The raw bytes of the stream.
    pub raw_len: u64,
    /// The BLAKE3 of the raw bytes, if the stream has it.
    pub hash: Option<[u8; 32]>,
    /// The records of the index.
    pub records: Vec<Record>,
}

impl StreamEnd {
    /// Compares the hash of the raw bytes with the stored one, if the stream has one.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where they differ.
    pub fn check_hash(&self, found: &[u8; 32]) -> Result<()> {
        match &self.hash {
            Some(expected) if expected != found => {
                let (expected, found) = (hex(expected), hex(found));
                Err(Error::corrupt(format!("stream hash: {expected} expected, {found} found")))
            }
            _ => Ok(()),
        }
    }
}

/// A section that the walk has passed.
pub enum Event {
    /// The header of a stream.
    StreamStart,
    Block(RawBlock),
    Model(ModelSection),
    /// The first section of a stream that holds a file of a family.
    Member(MemberSection),
    /// The index, or a section that readers may ignore. Its check value is right.
    Other,
    /// The trailer of a stream.
    StreamEnd(StreamEnd),
    /// The input ended after a whole stream.
    End,
}

/// Reads sections in order.
pub struct Walk {
    payloads: Payloads,
    memory: u64,
    /// The state of the current stream; `None` between streams.
    stream: Option<Stream>,
    streams: u64,
    spare: Vec<u8>,
}

#[derive(Default)]
struct Stream {
    /// The offset of the stream in the input.
    start: u64,
    /// The number of its bytes so far.
    len: u64,
    blocks: u64,
    raw: u64,
    entries: u64,
    entries_hash: Check,
    /// The length of the index section, the hash that it holds, and its records.
    index: Option<(u64, [u8; 32], Vec<Record>)>,
    /// Blocks that later ones may copy, and the bytes of their payloads.
    kept: HashMap<u64, Kept>,
    kept_bytes: u64,
}

/// A block whose payload later blocks need again.
struct Kept {
    block: Block,
    payload: Arc<[u8]>,
    payload_at: u64,
}

impl Stream {
    /// Records a block that may have copies; gives a copy the payload and the unit table of its source.
    fn keep(&mut self, raw: &mut RawBlock, memory: u64) -> Result<()> {
        if raw.block.has_copies() {
            self.kept_bytes += raw.payload.len() as u64 + raw.block.memory();
            if self.kept_bytes > memory / 4 {
                let found = self.kept_bytes;
                return Err(Error::limit(format!(
                    "{found} bytes that have copies; the cap is a quarter of {memory}"
                )));
            }
            let payload: Arc<[u8]> = std::mem::take(&mut raw.payload).into();
            raw.shared = Some(payload.clone());
            let (block, payload_at) = (raw.block.clone(), raw.payload_at);
            self.kept.insert(raw.number, Kept { block, payload, payload_at });
        } else if let Some(number) = raw.block.copy_of() {
            let source = self.kept.get(&number);
            let source = source.ok_or_else(|| {
                Error::corrupt(format!(
                    "a copy of block {number}, which was not announced as a source of copies"
                ))
            })?;
            raw.block = raw.block.resolve(&source.block)?;
            raw.shared = Some(source.payload.clone());
            raw.payload_at = source.payload_at;
        }
        Ok(())
    }

    fn note(&mut self, entry: Entry) {
        let mut bytes = Vec::new();
        entry.put(&mut bytes);
        self.entries_hash.update(&bytes);
        self.entries += 1;
        self.len += entry.stored_len;
        if entry.raw_len > 0 {
            self.blocks += 1;
            self.raw += entry.raw_len;
        }
    }
}

impl Walk {
    /// Starts at the beginning of a stream. `memory` limits the payloads and sections that are read, in
    /// bytes.
    pub fn new(payloads: Payloads, memory: u64) -> Self {
        Self { payloads, memory, stream: None, streams: 0, spare: Vec::new() }
    }

    /// Starts at `position`, behind the header of a stream, which has `len` bytes and has not been read.
    pub fn behind_header(position: u64, len: u64, payloads: Payloads, memory: u64) -> Self {
        let stream = Stream { start: position - len, len, ..Stream::default() };
        Self { stream: Some(stream), ..Self::new(payloads, memory) }
    }

    /// The next event other than [`Event::Other`].
    ///
    /// # Errors
    ///
    /// Those of [`Walk::section`].
    pub fn next(&mut self, input: &mut dyn Source) -> Result<Event> {
        loop {
            match self.section(input)? {
                Event::Other => {}
                event => return Ok(event),
            }
        }
    }

    /// Moves past the next section and returns it.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] and [`crate::ErrorKind::Corrupt`] for damage;
    /// [`crate::ErrorKind::NewerVersion`] for whatever this release does not know;
    /// [`crate::ErrorKind::LimitExceeded`] for sections that exceed the memory; those of the reader.
    pub fn section(&mut self, input: &mut dyn Source) -> Result<Event> {
        let result = self.advance(input);
        result.map_err(|e| self.within(e))
    }

    /// Skips a block that the index describes, without reading its header.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the input ends before the block does.
    pub fn pass(&mut self, entry: Entry, input: &mut dyn Source) -> Result<()> {
        let result = input.skip(entry.stored_len, "a block");
        result.and_then(|()| self.stream()).map(|s| s.note(entry)).map_err(|e| self.within(e))
    }

    /// The memory, in bytes, that blocks with copies take so far.
    pub fn held(&self) -> u64 {
        self.stream.as_ref().map_or(0, |s| s.kept_bytes)
    }

    fn within(&self, e: Error) -> Error {
        match &self.stream {
            Some(s) => e.within(format!("stream {}, offset {}", self.streams, s.len)),
            None if e.kind() == ErrorKind::NotNz => e,
            None => e.within(format!("stream {}", self.streams)),
        }
    }

    fn advance(&mut self, input: &mut dyn Source) -> Result<Event> {
        if self.stream.is_none() {
            if self.streams > 0 && !input.fill(1)? {
                return Ok(Event::End);
            }
            let start = input.position();
            let header = input.parse("the stream header", self.memory, Header::parse);
            let len = header.map_err(|e| self.behind_a_stream(e))?.1;
            input.consume(len);
            self.stream = Some(Stream { start, len: len as u64, ..Stream::default() });
            return Ok(Event::StreamStart);
        }
        input.need(1, "the stream: its trailer is missing")?;
        let stream = self.stream()?;
        let (after_index, first) = (stream.index.is_some(), stream.entries == 0);
        match input.bytes()[0] {
            KIND_TRAILER => self.trailer(input).map(Event::StreamEnd),
            _ if after_index => Err(Error::corrupt("a section after the index")),
            KIND_BLOCK => self.block(input).map(Event::Block),
            KIND_MODEL => self.model(input),
            KIND_INDEX => self.index(input),
            KIND_MEMBER if first => self.member(input),
            kind if kind >= KIND_SKIPPABLE => self.skippable(input),
            0 => Err(Error::corrupt("section kind: 1 or more expected, 0 found")),
            kind => Err(newer(&format!("section kind {kind}"))),
        }
    }

    /// Bytes that are no stream are another kind of file where no stream comes before them, and damage where
    /// one does.
    fn behind_a_stream(&self, e: Error) -> Error {
        if e.kind() == ErrorKind::NotNz && self.streams > 0 {
            return Error::corrupt(format!("bytes after the last stream that are not a stream: {e}"));
        }
        e
    }

    fn stream(&mut self) -> Result<&mut Stream> {
        self.stream.as_mut().ok_or_else(|| Error::corrupt("a section outside of a stream"))
    }

    fn block(&mut self, input: &mut dyn Source) -> Result<RawBlock> {
        let offset = input.position();
        let (header, len) = input.parse("a block header", self.memory, BlockHeader::parse)?;
        let number = self.stream()?.blocks;
        let place = |e: Error| e.within(format!("block {number}"));
        let block = Block::check(header).map_err(place)?;
        let payload_len = block.header.payload_len;
        if u64::from(payload_len) > self.memory {
            let cap = self.memory;
            return Err(place(Error::limit(format!("{payload_len} payload bytes; the cap is {cap}"))));
        }
        input.consume(len);
        let payload_at = input.position();
        let what = format!("the payload of block {number}");
        let mut payload = std::mem::take(&mut self.spare);
        payload.clear();
        match self.payloads {
            Payloads::Read => input.read(payload_len as usize, &what, &mut payload)?,
            Payloads::Skip => input.skip(payload_len.into(), &what)?,
        }
        let (memory, stored_len) = (self.memory, len as u64 + u64::from(payload_len));
        let stream = self.stream()?;
        let raw_start = stream.raw;
        let mut raw =
            RawBlock { block, payload, shared: None, payload_at, offset, stored_len, number, raw_start };
        stream.keep(&mut raw, memory).map_err(place)?;
        stream.note(Entry { stored_len, raw_len: raw.raw_len() });
        Ok(raw)
    }

    /// Takes back the memory of a payload, to reuse it.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        if payload.capacity() > self.spare.capacity() {
            self.spare = payload;
        }
    }

    fn model(&mut self, input: &mut dyn Source) -> Result<Event> {
        let (bytes, total) = self.body("a model section", input)?;
        let model = ModelSection::parse(bytes)?;
        self.stream()?.note(Entry { stored_len: total, raw_len: 0 });
        Ok(Event::Model(model))
    }

    fn member(&mut self, input: &mut dyn Source) -> Result<Event> {
        let (bytes, total) = self.body("a member section", input)?;
        let member = MemberSection::parse(&bytes)?;
        self.stream()?.note(Entry { stored_len: total, raw_len: 0 });
        Ok(Event::Member(member))
    }

    fn index(&mut self, input: &mut dyn Source) -> Result<Event> {
        let (bytes, total) = self.body("the index", input)?;
        let (mut check, mut found, mut bytes_of_entry) = (Check::default(), 0, Vec::new());
        let (hash, records) = Index::parse_with(&bytes, |e| {
            bytes_of_entry.clear();
            e.put(&mut bytes_of_entry);
            check.update(&bytes_of_entry);
            found += 1;
        })?;
        let stream = self.stream()?;
        let expected = stream.entries;
        if expected != found || check.value() != stream.entries_hash.value() {
            return Err(Error::corrupt(format!(
                "the index ({found} entries) does not describe the {expected} sections before it"
            )));
        }
        stream.index = Some((total, hash, records));
        stream.len += total;
        Ok(Event::Other)
    }

    fn trailer(&mut self, input: &mut dyn Source) -> Result<StreamEnd> {
        let (trailer, len) = input.parse("the trailer", self.memory, Trailer::parse)?;
        let stream = self.stream()?;
        let index_len = stream.index.as_ref().map_or(0, |i| i.0);
        let found = Trailer { body_len: stream.len, index_len };
        if trailer != found {
            return Err(Error::corrupt(format!("trailer: {found:?} expected, {trailer:?} found")));
        }
        if index_len == 0 && stream.blocks > 1 {
            return Err(Error::corrupt("a stream of several blocks without an index"));
        }
        let (hash, records) = stream.index.take().map(|(_, hash, records)| (hash, records)).unzip();
        let end = StreamEnd {
            offset: stream.start,
            stored_len: stream.len + len as u64,
            index_len,
            raw_len: stream.raw,
            hash,
            records: records.unwrap_or_default(),
        };
        input.consume(len);
        self.stream = None;
        self.streams += 1;
        Ok(end)
    }

    /// Reads a whole section; returns its body and the section's length.
    fn body(&mut self, what: &str, input: &mut dyn Source) -> Result<(Vec<u8>, u64)> {
        let start = input.parse(what, self.memory, section::Start::parse)?;
        // Memory for the body, and for what is parsed from it.
        if start.body_len > self.memory / 2 {
            let (found, cap) = (start.body_len, self.memory);
            return Err(Error::limit(format!("{what} of {found} bytes; the cap is {cap}")));
        }
        let mut bytes = Vec::new();
        input.read(start.total() as usize, what, &mut bytes)?;
        section::body(&bytes).map_err(|e| e.at_end(what))?;
        bytes.truncate(start.len + start.body_len as usize);
        bytes.drain(..start.len);
        Ok((bytes, start.total()))
    }

    fn skippable(&mut self, input: &mut dyn Source) -> Result<Event> {
        let start = input.parse("a section", self.memory, section::Start::parse)?;
        let mut left = start.total() - 4;
        let mut hash = Check::default();
        while left > 0 {
            let n = left.min(STEP) as usize;
            input.need(n, "a section")?;
            hash.update(&input.bytes()[..n]);
            input.consume(n);
            left -= n as u64;
        }
        input.need(4, "a section")?;
        let stored = u32::from_le_bytes([0, 1, 2, 3].map(|i| input.bytes()[i]));
        same("section", stored, hash.value())?;
        input.consume(4);
        self.stream()?.note(Entry { stored_len: start.total(), raw_len: 0 });
        Ok(Event::Other)
    }
}
