//! Reading streams front to back.

use super::options::{DecodeOptions, Pool};
use super::sections::{Event, RawBlock, Sections};
use crate::codec::Codec;
use crate::codec::decode::{BlockJob, Sequential, decode_blocks, decode_units, reserve};
use crate::error::{Error, Result};
use crate::format::block::Units;
use crate::gpu::Device;
use crate::model::registry::hex;
use crate::tensor::bases::Bases;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Raw bytes per thread that are decoded together.
const BATCH_RAW: u64 = 16 << 20;
/// The same of tiles, of which a block has many: what was decoded is still in the caches when it is read.
const TILES_RAW: u64 = 1 << 20;
/// Windows per thread that are decoded together.
const BATCH_WINDOWS: usize = 64;
/// Raw bytes of a batch for each lane of a GPU.
const LANE_RAW: u64 = 64 << 10;

/// Decompresses the streams that it reads from `R`, front to back, in bounded memory.
///
/// Bytes are given out once the check value of their unit has been verified; when something is wrong
/// later on, everything in front of it has been given out before the error comes. The error is an
/// [`io::Error`] that carries an [`struct@Error`]; `Error::from` takes it out.
///
/// ```
/// use std::io::Read;
/// let packed = nzip::compress(b"streamed", 1)?;
/// let mut text = String::new();
/// nzip::Decoder::new(&packed[..]).read_to_string(&mut text)?;
/// assert_eq!(text, "streamed");
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Decoder<R: Read> {
    sections: Sections<R>,
    pool: Pool,
    memory: u64,
    device: Device,
    bases: Bases,
    hasher: Option<blake3::Hasher>,
    /// Verified bytes that wait to be read, and buffers to use again.
    ready: VecDeque<Vec<u8>>,
    position: usize,
    spare: Vec<Vec<u8>>,
    /// A block that is decoded unit by unit.
    open: Option<OpenBlock>,
    /// What follows the ready bytes.
    next: Next,
}

enum Next {
    /// Nothing is known yet.
    Unknown,
    /// A section that has been read, but not worked on.
    Event(Event),
    Failed(Error),
    End,
}

/// How blocks are decoded.
enum Batch {
    Alone(RawBlock),
    Many(Vec<RawBlock>),
}

struct OpenBlock {
    block: RawBlock,
    codec: Sequential,
    unit: usize,
    /// What has been decoded: the block so far, or no more than a unit.
    raw: Vec<u8>,
    /// Bytes of `raw` that have been verified, and those of them that have been read.
    verified: usize,
    read: usize,
}

impl<R: Read> Decoder<R> {
    /// A decoder with the default options.
    pub fn new(reader: R) -> Self {
        Self::with_options(reader, DecodeOptions::new()).expect("the default options are in range")
    }

    /// A decoder with these options.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where the threads cannot be had.
    pub fn with_options(reader: R, options: DecodeOptions) -> Result<Self> {
        Ok(Self::build(reader, options, false))
    }

    fn build(reader: R, options: DecodeOptions, skip_payloads: bool) -> Self {
        Self {
            sections: Sections::new(reader, options.models, options.memory, skip_payloads),
            pool: Pool::new(options.threads),
            memory: options.memory,
            bases: options.bases,
            device: options.device,
            hasher: options.verify_hash.then(blake3::Hasher::new),
            ready: VecDeque::new(),
            position: 0,
            spare: Vec::new(),
            open: None,
            next: Next::Unknown,
        }
    }

    fn event(&mut self) -> Result<Event> {
        match std::mem::replace(&mut self.next, Next::Unknown) {
            Next::Unknown => self.sections.next(),
            Next::Event(event) => Ok(event),
            Next::Failed(e) => Err(e),
            Next::End => Ok(Event::End),
        }
    }

    /// Gets more bytes ready; false at the end.
    fn advance(&mut self) -> Result<bool> {
        while self.available().is_empty() {
            if self.open.is_some() {
                self.unit()?;
                continue;
            }
            match self.event()? {
                Event::Block(block) => match self.batch(block)? {
                    Batch::Alone(block) => self.open(block)?,
                    Batch::Many(blocks) => self.decode(blocks, None)?,
                },
                Event::StreamEnd(hash) => self.stream_end(hash)?,
                Event::End => {
                    self.next = Next::End;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Verified bytes that wait to be read.
    fn available(&self) -> &[u8] {
        match (self.ready.front(), &self.open) {
            (Some(front), _) => &front[self.position..],
            (None, Some(open)) => &open.raw[open.read..open.verified],
            (None, None) => &[],
        }
    }

    /// A block that is decoded unit by unit, or blocks that are decoded together.
    fn batch(&mut self, block: RawBlock) -> Result<Batch> {
        let windowed = !matches!(block.header.units, Units::Fixed { .. });
        if !windowed && (self.pool.threads() == 1 || !self.fits_batch(&block)) {
            return Ok(Batch::Alone(block));
        }
        if u64::from(block.header.raw_len) > self.memory {
            let (found, cap) = (block.header.raw_len, self.memory);
            let e = Error::limit(format!("a block of {found} raw bytes; the cap is {cap}"));
            return Err(e.within(block.place()));
        }
        let mut batch = self.gather(block);
        match batch.pop() {
            Some(block) if batch.is_empty() && !windowed => Ok(Batch::Alone(block)),
            last => {
                batch.extend(last);
                Ok(Batch::Many(batch))
            }
        }
    }

    /// Raw bytes of a block for which memory is taken at once.
    fn room(&self) -> u64 {
        (4 * BATCH_RAW).min(self.memory / 4)
    }

    fn open(&mut self, mut block: RawBlock) -> Result<()> {
        let mut raw = self.spare.pop().unwrap_or_default();
        raw.clear();
        if block.codec == Codec::Store {
            // The payload is the raw bytes: nothing is left to do but to verify them.
            std::mem::swap(&mut raw, &mut block.payload);
        }
        let guide = self.sections.models.guide(block.codec, block.header.model);
        let codec = guide
            .and_then(|guide| {
                Sequential::new(block.codec, &block.header, &block.payload, guide, self.memory, &mut raw)
            })
            .map_err(|e| e.within(block.place()))?;
        self.open = Some(OpenBlock { block, codec, unit: 0, raw, verified: 0, read: 0 });
        Ok(())
    }

    fn fits_batch(&self, block: &RawBlock) -> bool {
        u64::from(block.header.raw_len) <= self.room()
    }

    /// Reads more blocks to decode together with `first`. A flushed block ends the batch, so that
    /// nobody waits for bytes that the writer has flushed.
    fn gather(&mut self, first: RawBlock) -> Vec<RawBlock> {
        let threads = self.pool.threads();
        let lanes = self.device.lanes();
        let most_windows = (threads * BATCH_WINDOWS).max(lanes);
        let (mut raw, mut windows, mut batch) = (0, 0, vec![first]);
        while let Some(last) = batch.last() {
            raw += u64::from(last.header.raw_len);
            if let Units::Windows { windows: w, .. } = &last.header.units {
                windows += w.len();
            }
            let tiled = matches!(last.header.units, Units::Tiles { .. });
            let wanted = threads as u64 * if tiled { TILES_RAW } else { BATCH_RAW };
            let most_raw = wanted.max(lanes as u64 * LANE_RAW).min(self.memory / 4);
            if last.header.flushed || raw >= most_raw || windows >= most_windows {
                break;
            }
            match self.sections.next() {
                Ok(Event::Block(block)) if self.fits_batch(&block) => batch.push(block),
                Ok(event) => {
                    self.next = Next::Event(event);
                    break;
                }
                Err(e) => {
                    self.next = Next::Failed(e);
                    break;
                }
            }
        }
        batch
    }

    /// Decodes blocks whose payloads they have, or the input in memory.
    fn decode(&mut self, batch: Vec<RawBlock>, input: Option<&[u8]>) -> Result<()> {
        let mut jobs = Vec::with_capacity(batch.len());
        for block in &batch {
            let windowed = matches!(block.header.units, Units::Windows { .. });
            let models = &self.sections.models;
            let coder = windowed.then(|| models.coder(block.codec, block.header.model)).transpose();
            let guide = models.guide(block.codec, block.header.model);
            let (coder, guide) = match coder.and_then(|coder| Ok((coder, guide?))) {
                Ok(found) => found,
                Err(e) => {
                    self.next = Next::Failed(e.within(block.place()));
                    break;
                }
            };
            jobs.push(BlockJob {
                header: &block.header,
                codec: block.codec,
                coder,
                guide,
                bases: self.bases.clone(),
                accelerator: self.device.accelerator(),
                payload: block.payload(input),
                units: 0..block.header.units.len(),
                memory: self.memory,
                raw: self.spare.pop().unwrap_or_default(),
                verified: 0,
                error: None,
            });
        }
        self.pool.run(|| decode_blocks(&mut jobs))?;
        let results: Vec<_> = jobs.into_iter().map(|j| (j.raw, j.verified, j.error)).collect();
        for ((mut raw, verified, error), block) in results.into_iter().zip(&batch) {
            raw.truncate(verified);
            self.release(raw);
            if let Some(e) = error {
                self.next = Next::Failed(e.within(block.place()));
                break;
            }
        }
        batch.into_iter().for_each(|b| self.sections.recycle(b.payload));
        Ok(())
    }

    /// Decodes the next unit of the open block, whose bytes so far have been read.
    fn unit(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (header, i) = (&open.block.header, open.unit);
        if i == header.units.len() {
            if let Some(open) = self.open.take() {
                self.spare.push(open.raw);
                self.sections.recycle(open.block.payload);
            }
            return Ok(());
        }
        let (len, check) = header.units.unit(i, header.raw_len);
        let place = || format!("{}, unit {i}", open.block.place());
        if open.block.codec != Codec::Store && !open.codec.in_place() {
            if len as u64 > self.memory {
                let cap = self.memory;
                let e = Error::limit(format!("a check unit of {len} bytes; the cap is {cap}"));
                return Err(e.within(place()));
            }
            open.raw.clear();
            (open.verified, open.read) = (0, 0);
        }
        let end = open.verified + len;
        let unit = open.codec.unit(&open.block.payload, open.verified, end, check, &mut open.raw);
        unit.map_err(|e| e.within(place()))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&open.raw[open.verified..end]);
        }
        open.unit += 1;
        if open.unit == header.units.len()
            && let Err(e) = open.codec.finish(&open.block.payload, &mut open.raw)
        {
            self.next = Next::Failed(e.within(place()));
        }
        open.verified = end;
        Ok(())
    }

    /// Takes note that `n` of the available bytes have been read.
    fn take(&mut self, n: usize) {
        if let Some(front) = self.ready.front() {
            self.position += n;
            if self.position == front.len() {
                self.position = 0;
                self.spare.extend(self.ready.pop_front());
            }
        } else if let Some(open) = &mut self.open {
            open.read += n;
        }
    }

    fn release(&mut self, raw: Vec<u8>) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&raw);
        }
        if raw.is_empty() {
            self.spare.push(raw);
        } else {
            self.ready.push_back(raw);
        }
    }

    fn stream_end(&mut self, stored: Option<[u8; 32]>) -> Result<()> {
        let Some(hasher) = &mut self.hasher else { return Ok(()) };
        let found = *hasher.finalize().as_bytes();
        hasher.reset();
        match stored {
            Some(expected) if expected != found => {
                let (expected, found) = (hex(&expected), hex(&found));
                Err(Error::corrupt(format!("stream hash: {expected} expected, {found} found")))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Decoder<&'a [u8]> {
    /// Decodes all of the input into one buffer.
    pub(super) fn collect(input: &'a [u8], options: DecodeOptions) -> Result<Vec<u8>> {
        let mut decoder = Self::build(input, options, true);
        let mut out = Vec::new();
        loop {
            match decoder.event()? {
                Event::Block(block) => match decoder.batch(block)? {
                    Batch::Alone(block) => decoder.append(&block, input, &mut out)?,
                    Batch::Many(blocks) => decoder.decode(blocks, Some(input))?,
                },
                Event::StreamEnd(hash) => decoder.stream_end(hash)?,
                Event::End => return Ok(out),
            }
            while let Some(bytes) = decoder.ready.pop_front() {
                reserve(&mut out, bytes.len())?;
                out.extend_from_slice(&bytes);
                decoder.spare.push(bytes);
            }
        }
    }

    fn append(&mut self, block: &RawBlock, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let (header, start) = (&block.header, out.len());
        let (payload, units) = (block.payload(Some(input)), header.units.len());
        let guide = self.sections.models.guide(block.codec, header.model);
        guide
            .and_then(|guide| decode_units(block.codec, header, payload, guide, units, self.memory, out))
            .map_err(|e| e.within(block.place()))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&out[start..]);
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        match self.advance() {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(e) => {
                self.open = None;
                self.next = Next::Failed(e.again());
                return Err(e.into());
            }
        }
        let bytes = self.available();
        let n = out.len().min(bytes.len());
        out[..n].copy_from_slice(&bytes[..n]);
        self.take(n);
        Ok(n)
    }
}
