//! Reading streams front to back.

use super::options::{DecodeOptions, Pool};
use super::sections::{Event, RawBlock, Sections};
use crate::codec::decode::{BlockJob, Sequential, decode_blocks};
use crate::error::{Error, Result};
use crate::format::block::Units;
use crate::format::checksum::{check32, same};
use crate::model::registry::hex;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Raw bytes per thread that are decoded together.
const BATCH_RAW: u64 = 16 << 20;
/// Windows per thread that are decoded together.
const BATCH_WINDOWS: usize = 64;

/// Decompresses the streams that it reads from `R`, front to back, in bounded memory.
///
/// Bytes are given out once the check value of their unit has been verified; when something is wrong
/// later on, everything in front of it has been given out before the error comes. The error is an
/// [`io::Error`] that carries an [`enum@Error`]; `Error::from` takes it out.
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

struct OpenBlock {
    block: RawBlock,
    codec: Sequential,
    unit: usize,
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
        Ok(Self {
            sections: Sections::new(reader, options.models, options.memory),
            pool: Pool::new(options.threads),
            memory: options.memory,
            hasher: options.verify_hash.then(blake3::Hasher::new),
            ready: VecDeque::new(),
            position: 0,
            spare: Vec::new(),
            open: None,
            next: Next::Unknown,
        })
    }

    /// Gets more bytes ready; false at the end.
    fn advance(&mut self) -> Result<bool> {
        while self.ready.is_empty() {
            if self.open.is_some() {
                self.unit()?;
                continue;
            }
            let event = match std::mem::replace(&mut self.next, Next::Unknown) {
                Next::Unknown => self.sections.next()?,
                Next::Event(event) => event,
                Next::Failed(e) => return Err(e),
                Next::End => {
                    self.next = Next::End;
                    return Ok(false);
                }
            };
            match event {
                Event::Block(block) => self.begin(block)?,
                Event::StreamEnd(hash) => self.stream_end(hash)?,
                Event::End => self.next = Next::End,
            }
        }
        Ok(true)
    }

    fn begin(&mut self, block: RawBlock) -> Result<()> {
        let windowed = matches!(block.header.units, Units::Windows { .. });
        if !windowed && (self.pool.threads() == 1 || !self.fits_batch(&block)) {
            let codec = Sequential::new(block.codec, &block.payload, block.header.raw_len, self.memory)
                .map_err(|e| e.within(block.place()))?;
            self.open = Some(OpenBlock { block, codec, unit: 0 });
            return Ok(());
        }
        if u64::from(block.header.raw_len) > self.memory {
            let (found, cap) = (block.header.raw_len, self.memory);
            let e = Error::limit(format!("a block of {found} raw bytes; the cap is {cap}"));
            return Err(e.within(block.place()));
        }
        let batch = self.gather(block);
        self.decode(batch)
    }

    fn fits_batch(&self, block: &RawBlock) -> bool {
        u64::from(block.header.raw_len) <= (4 * BATCH_RAW).min(self.memory / 4)
    }

    /// Reads more blocks to decode together with `first`. A flushed block ends the batch, so that
    /// nobody waits for bytes that the writer has flushed.
    fn gather(&mut self, first: RawBlock) -> Vec<RawBlock> {
        let threads = self.pool.threads();
        let (most_raw, most_windows) =
            ((threads as u64 * BATCH_RAW).min(self.memory / 4), threads * BATCH_WINDOWS);
        let (mut raw, mut windows, mut batch) = (0, 0, vec![first]);
        while let Some(last) = batch.last() {
            raw += u64::from(last.header.raw_len);
            if let Units::Windows { windows: w, .. } = &last.header.units {
                windows += w.len();
            }
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

    fn decode(&mut self, batch: Vec<RawBlock>) -> Result<()> {
        let mut jobs = Vec::with_capacity(batch.len());
        for block in &batch {
            let windowed = matches!(block.header.units, Units::Windows { .. });
            let coder = if windowed {
                match self.sections.models.coder(block.codec, block.header.model) {
                    Ok(coder) => Some(coder),
                    Err(e) => {
                        self.next = Next::Failed(e.within(block.place()));
                        break;
                    }
                }
            } else {
                None
            };
            jobs.push(BlockJob {
                header: &block.header,
                codec: block.codec,
                coder,
                payload: &block.payload,
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
        Ok(())
    }

    /// Decodes the next unit of the open block.
    fn unit(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (header, i) = (&open.block.header, open.unit);
        let (len, check) = header.units.unit(i, header.raw_len);
        let place = || format!("{}, unit {i}", open.block.place());
        if len as u64 > self.memory {
            let cap = self.memory;
            return Err(
                Error::limit(format!("a check unit of {len} bytes; the cap is {cap}")).within(place())
            );
        }
        let mut raw = self.spare.pop().unwrap_or_default();
        raw.clear();
        open.codec.append(&open.block.payload, len, &mut raw).map_err(|e| e.within(place()))?;
        same("raw bytes", check, check32(&raw)).map_err(|e| e.within(place()))?;
        open.unit += 1;
        if open.unit == header.units.len() {
            let finish = open.codec.finish(&open.block.payload).map_err(|e| e.within(place()));
            if let Err(e) = finish {
                self.next = Next::Failed(e);
            }
            self.open = None;
        }
        self.release(raw);
        Ok(())
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
        let Some(front) = self.ready.front() else { return Ok(0) };
        let n = out.len().min(front.len() - self.position);
        out[..n].copy_from_slice(&front[self.position..self.position + n]);
        self.position += n;
        if self.position == front.len() {
            self.position = 0;
            self.spare.extend(self.ready.pop_front());
        }
        Ok(n)
    }
}
