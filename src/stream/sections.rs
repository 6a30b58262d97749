//! Reading a stream front to back, section by section.

use super::models::StreamModels;
use crate::codec::Codec;
use crate::codec::decode::{copied, kept, resolve, validate};
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use crate::format::checksum::{Check, same};
use crate::format::consts::{KIND_BLOCK, KIND_INDEX, KIND_MODEL, KIND_SKIPPABLE, KIND_TRAILER};
use crate::format::cursor::{Parse, Parsed};
use crate::format::header::Header;
use crate::format::index::{Entry, Index};
use crate::format::section::{self, ModelSection};
use crate::format::trailer::Trailer;
use std::collections::HashMap;
use std::io::{self, Read};

/// Bytes asked for at a time while a length is not yet believed.
const STEP: usize = 256 << 10;

/// A block as it stands in the stream.
pub(super) struct RawBlock {
    pub header: BlockHeader,
    pub codec: Codec,
    /// The payload; empty where payloads are skipped.
    pub payload: Vec<u8>,
    /// Offset of the payload in the input.
    pub payload_at: u64,
    /// Number in its stream, from 0.
    pub number: u64,
    /// Offset of its first raw byte in its stream.
    pub raw_start: u64,
}

impl RawBlock {
    /// Where something in this block happened.
    pub(super) fn place(&self) -> String {
        format!("block {} (raw offset {})", self.number, self.raw_start)
    }

    /// The payload, which is in `input` where payloads are skipped.
    pub(super) fn payload<'a>(&'a self, input: Option<&'a [u8]>) -> &'a [u8] {
        let start = self.payload_at as usize;
        // Skipping has made sure that it is there.
        input.map_or(&self.payload, |bytes| &bytes[start..start + self.header.payload_len as usize])
    }
}

/// What comes next.
pub(super) enum Event {
    Block(RawBlock),
    /// A stream ended; its hash, where it has one.
    StreamEnd(Option<[u8; 32]>),
    /// The input ended after a whole stream.
    End,
}

/// Reads sections and checks everything that can be checked without decoding.
pub(super) struct Sections<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of the input that have been worked on.
    consumed: u64,
    skip_payloads: bool,
    spare: Vec<u8>,
    state: State,
    streams: u64,
    pub(super) models: StreamModels,
    fresh: StreamModels,
    memory: u64,
}

/// What is known about the stream that is being read; `None` between streams.
type State = Option<Stream>;

#[derive(Default)]
struct Stream {
    offset: u64,
    blocks: u64,
    raw: u64,
    entries: u64,
    entries_hash: Check,
    index: Option<(u64, [u8; 32])>,
    /// Blocks that later ones may be copies of, and their payload bytes.
    kept: HashMap<u64, Kept>,
    kept_bytes: u64,
}

/// A block whose payload is needed again.
struct Kept {
    header: BlockHeader,
    payload: Vec<u8>,
    payload_at: u64,
}

impl Stream {
    /// Takes note of a block that may have copies; gives a copy what it repeats.
    fn keep(&mut self, block: &mut RawBlock, memory: u64) -> Result<()> {
        if kept(&block.header) {
            self.kept_bytes += block.payload.len() as u64;
            if self.kept_bytes > memory {
                let found = self.kept_bytes;
                return Err(Error::limit(format!("{found} bytes that have copies; the cap is {memory}")));
            }
            let (header, payload, payload_at) =
                (block.header.clone(), block.payload.clone(), block.payload_at);
            self.kept.insert(block.number, Kept { header, payload, payload_at });
        } else if let Some(number) = copied(&block.header) {
            let source = self.kept.get(&number);
            let source =
                source.ok_or_else(|| Error::corrupt(format!("a copy of block {number}, which has none")))?;
            block.header = resolve(&block.header, &source.header)?;
            block.payload.clear();
            block.payload.extend_from_slice(&source.payload);
            block.payload_at = source.payload_at;
        }
        Ok(())
    }

    fn note(&mut self, entry: Entry) {
        let mut bytes = Vec::new();
        entry.put(&mut bytes);
        self.entries_hash.update(&bytes);
        self.entries += 1;
        self.offset += entry.stored_len;
    }
}

impl<R: Read> Sections<R> {
    /// Payloads may be skipped where the caller has the input in memory.
    pub(super) fn new(reader: R, models: super::Models, memory: u64, skip_payloads: bool) -> Self {
        let fresh = StreamModels::new(models);
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            consumed: 0,
            skip_payloads,
            spare: Vec::new(),
            state: None,
            streams: 0,
            models: fresh.clone(),
            fresh,
            memory,
        }
    }

    /// The next block or the end of a stream or of the input.
    pub(super) fn next(&mut self) -> Result<Event> {
        let result = self.advance();
        result.map_err(|e| match &self.state {
            Some(s) => e.within(format!("stream {}, offset {}", self.streams, s.offset)),
            None => e.within(format!("stream {}", self.streams)),
        })
    }

    fn advance(&mut self) -> Result<Event> {
        if self.state.is_none() {
            if self.streams > 0 && !self.fill(1)? {
                return Ok(Event::End);
            }
            let len = self.parse("the stream header", Header::parse)?.1;
            self.consume(len);
            self.models = self.fresh.clone();
            self.state = Some(Stream { offset: len as u64, ..Stream::default() });
        }
        loop {
            self.need(1, "the stream: its trailer is missing")?;
            let after_index = self.stream()?.index.is_some();
            match self.bytes()[0] {
                KIND_TRAILER => return self.trailer().map(Event::StreamEnd),
                _ if after_index => return Err(Error::corrupt("a section after the index")),
                KIND_BLOCK => return self.block().map(Event::Block),
                KIND_MODEL => self.model()?,
                KIND_INDEX => self.index()?,
                kind if kind >= KIND_SKIPPABLE => self.skip()?,
                0 => return Err(Error::corrupt("section kind: 1 or more expected, 0 found")),
                kind => {
                    let message = format!("needs a newer nzip (section kind {kind})");
                    return Err(Error::new(ErrorKind::NewerVersion, message));
                }
            }
        }
    }

    fn stream(&mut self) -> Result<&mut Stream> {
        self.state.as_mut().ok_or_else(|| Error::corrupt("a section outside of a stream"))
    }

    fn block(&mut self) -> Result<RawBlock> {
        let (header, len) = self.parse("a block header", BlockHeader::parse)?;
        let number = self.stream()?.blocks;
        let codec = validate(&header).map_err(|e| e.within(format!("block {number}")))?;
        if u64::from(header.payload_len) > self.memory {
            let (found, cap) = (header.payload_len, self.memory);
            return Err(Error::limit(format!("block {number}: {found} payload bytes; the cap is {cap}")));
        }
        self.consume(len);
        let (payload_at, payload_len) = (self.consumed, header.payload_len as usize);
        let what = format!("the payload of block {number}");
        let mut payload = std::mem::take(&mut self.spare);
        payload.clear();
        if self.skip_payloads {
            self.skip_bytes(payload_len, &what)?;
        } else {
            self.read_vec(payload_len, &what, &mut payload)?;
        }
        let memory = self.memory;
        let stream = self.stream()?;
        let mut block = RawBlock { header, codec, payload, payload_at, number, raw_start: stream.raw };
        stream.keep(&mut block, memory).map_err(|e| e.within(format!("block {number}")))?;
        let raw_len = u64::from(block.header.raw_len);
        stream.note(Entry { stored_len: (len + payload_len) as u64, raw_len });
        stream.blocks += 1;
        stream.raw += raw_len;
        Ok(block)
    }

    /// Takes back memory that a payload was in.
    pub(super) fn recycle(&mut self, payload: Vec<u8>) {
        if payload.capacity() > self.spare.capacity() {
            self.spare = payload;
        }
    }

    fn model(&mut self) -> Result<()> {
        let (bytes, total) = self.section("a model section")?;
        self.models.add(ModelSection::parse(&bytes)?, self.memory)?;
        self.stream()?.note(Entry { stored_len: total, raw_len: 0 });
        Ok(())
    }

    fn index(&mut self) -> Result<()> {
        let (bytes, total) = self.section("the index")?;
        let index = Index::parse(&bytes)?;
        let mut hash = Check::default();
        let mut entry = Vec::new();
        for e in &index.entries {
            entry.clear();
            e.put(&mut entry);
            hash.update(&entry);
        }
        let stream = self.stream()?;
        let (expected, found) = (stream.entries, index.entries.len() as u64);
        if expected != found || hash.value() != stream.entries_hash.value() {
            return Err(Error::corrupt(format!(
                "the index ({found} entries) does not describe the {expected} sections before it"
            )));
        }
        stream.index = Some((total, index.hash));
        stream.offset += total;
        Ok(())
    }

    fn trailer(&mut self) -> Result<Option<[u8; 32]>> {
        let (trailer, len) = self.parse("the trailer", Trailer::parse)?;
        let stream = self.stream()?;
        let index_len = stream.index.map_or(0, |i| i.0);
        let found = Trailer { body_len: stream.offset, index_len };
        if trailer != found {
            return Err(Error::corrupt(format!("trailer: {found:?} expected, {trailer:?} found")));
        }
        if index_len == 0 && stream.blocks > 1 {
            return Err(Error::corrupt("a stream of several blocks without an index"));
        }
        let hash = stream.index.map(|i| i.1);
        self.consume(len);
        self.state = None;
        self.streams += 1;
        Ok(hash)
    }

    /// Reads a whole section and returns its body and its length.
    fn section(&mut self, what: &str) -> Result<(Vec<u8>, u64)> {
        let start = self.parse(what, section::Start::parse)?;
        if start.body_len > self.memory {
            let (found, cap) = (start.body_len, self.memory);
            return Err(Error::limit(format!("{what} of {found} bytes; the cap is {cap}")));
        }
        let mut bytes = Vec::new();
        self.read_vec(start.total() as usize, what, &mut bytes)?;
        let body = section::body(&bytes).map_err(|e| e.at_end(what))?;
        Ok((body.to_vec(), start.total()))
    }

    fn skip(&mut self) -> Result<()> {
        let start = self.parse("a section", section::Start::parse)?;
        let mut left = start.total() - 4;
        let mut hash = Check::default();
        while left > 0 {
            let n = left.min(STEP as u64) as usize;
            self.need(n, "a section")?;
            hash.update(&self.bytes()[..n]);
            self.consume(n);
            left -= n as u64;
        }
        self.need(4, "a section")?;
        let stored = u32::from_le_bytes([0, 1, 2, 3].map(|i| self.bytes()[i]));
        same("section", stored, hash.value())?;
        self.consume(4);
        self.stream()?.note(Entry { stored_len: start.total(), raw_len: 0 });
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
        self.consumed += n as u64;
    }

    /// Parses from the buffer, reading as many bytes as the parser asks for and no more than arrive.
    fn parse<T>(&mut self, what: &str, parser: impl Fn(&[u8]) -> Parsed<T>) -> Result<T> {
        loop {
            match parser(self.bytes()) {
                Ok(value) => return Ok(value),
                Err(Parse::Need(n)) => self.need(n, what)?,
                Err(Parse::Bad(e)) => return Err(e),
            }
        }
    }

    fn need(&mut self, n: usize, what: &str) -> Result<()> {
        if self.fill(n)? {
            return Ok(());
        }
        Err(ends_inside(what, n, self.bytes().len()))
    }

    fn skip_bytes(&mut self, n: usize, what: &str) -> Result<()> {
        let ready = n.min(self.bytes().len());
        self.consume(ready);
        let left = (n - ready) as u64;
        let got = io::copy(&mut (&mut self.reader).take(left), &mut io::sink())?;
        self.consumed += got;
        if got < left {
            return Err(ends_inside(what, n, ready + got as usize));
        }
        Ok(())
    }

    /// Moves `n` bytes of the stream into the empty `out`.
    fn read_vec(&mut self, n: usize, what: &str, out: &mut Vec<u8>) -> Result<()> {
        let ready = n.min(self.bytes().len());
        out.extend_from_slice(&self.bytes()[..ready]);
        self.consume(ready);
        while out.len() < n {
            // Memory follows the bytes that arrive, not the length that is declared.
            let step = (n - out.len()).min(out.len().max(STEP));
            out.try_reserve(step).map_err(|_| Error::limit(format!("not enough memory for {what}")))?;
            let got = (&mut self.reader).take(step as u64).read_to_end(out)?;
            self.consumed += got as u64;
            if got < step {
                return Err(ends_inside(what, n, out.len()));
            }
        }
        Ok(())
    }

    /// Makes `n` bytes available; false at the end of the input.
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

fn ends_inside(what: &str, needed: usize, found: usize) -> Error {
    Error::truncated(format!("the data ends inside {what} ({needed} bytes needed, {found} left)"))
}
