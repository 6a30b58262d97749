//! Decoding of the blocks of streams, in batches or unit by unit, whatever they are read from.

use crate::codec::block::{BlockJob, Environment};
use crate::codec::buffer::reserve_exact;
use crate::codec::decode_blocks;
use crate::codec::ordered::{OrderedDecoder, decode_units, is_modest};
use crate::container::{Event, Input, Payloads, RawBlock, Source, Walk};
use crate::error::{Error, Result};
use crate::format::block::Units;
use crate::gpu::Device;
use crate::models::StreamModels;
use crate::progress::Progress;
use crate::stream::kept::KeptMembers;
use crate::stream::options::{DecodeOptions, Pool};
use crate::stream::resources::Resources;
use crate::tensor::bases::Bases;
use std::collections::VecDeque;

/// The raw bytes per thread that are decoded together.
const BATCH_RAW: u64 = 16 << 20;
/// The same for tiles, of which a block has many: what was decoded is still in the caches when it is read.
const TILES_RAW: u64 = 1 << 20;
/// The windows per thread that are decoded together.
const BATCH_WINDOWS: usize = 64;
/// The most blocks that are decoded together, and the most buffers that are kept for reuse.
const BATCH_BLOCKS: usize = 1 << 10;
/// The raw bytes of a batch for each lane of a GPU.
const LANE_RAW: u64 = 64 << 10;

/// The state of a decoder: what it knows of the streams so far, and what has been decoded.
pub struct Blocks {
    walk: Walk,
    /// The models of the current stream, and those that every stream may use.
    models: StreamModels,
    pool: Pool,
    memory: u64,
    device: Device,
    bases: Bases,
    pub(super) progress: Progress,
    hasher: Option<blake3::Hasher>,
    /// Earlier members of a family, in which bases may lie.
    members: KeptMembers,
    /// Verified bytes that wait to be read, and buffers for reuse.
    ready: VecDeque<Vec<u8>>,
    position: usize,
    spare: Vec<Vec<u8>>,
    /// A block that is being decoded unit by unit.
    open: Option<OpenBlock>,
    /// The source of the bytes after the ready ones.
    next: Next,
}

enum Next {
    /// Not known yet.
    Unknown,
    /// A section that has been read but not processed.
    Event(Event),
    Failed(Error),
    End,
}

/// How the next blocks are decoded.
enum Batch {
    Alone(RawBlock),
    Many(Vec<RawBlock>),
}

struct OpenBlock {
    block: RawBlock,
    codec: OrderedDecoder,
    unit: usize,
    /// The decoded bytes: the block so far, or at most one unit.
    raw: Vec<u8>,
    /// How many bytes of `raw` have been verified, and how many of these have been read.
    verified: usize,
    read: usize,
}

impl Blocks {
    /// A decoder that has seen nothing yet.
    pub fn new(options: DecodeOptions, payloads: Payloads, pool: Pool) -> Self {
        let Resources { memory, models, bases, device, progress, .. } = options.resources;
        Self {
            walk: Walk::new(payloads, memory),
            models: StreamModels::new(models.capped(memory)),
            pool,
            memory,
            bases,
            device,
            progress,
            hasher: options.verify_hash.then(blake3::Hasher::new),
            members: KeptMembers::default(),
            ready: VecDeque::new(),
            position: 0,
            spare: Vec::new(),
            open: None,
            next: Next::Unknown,
        }
    }

    fn event(&mut self, input: &mut dyn Source) -> Result<Event> {
        match std::mem::replace(&mut self.next, Next::Unknown) {
            Next::Unknown => self.walk.next(input),
            Next::Event(event) => Ok(event),
            Next::Failed(e) => Err(e),
            Next::End => Ok(Event::End),
        }
    }

    /// Makes more bytes ready, if there are any.
    fn advance(&mut self, input: &mut dyn Source) -> Result<()> {
        while self.available().is_empty() {
            if self.open.is_some() {
                self.unit()?;
                continue;
            }
            match self.event(input)? {
                Event::Block(block) => match self.batch(block, None, input)? {
                    Batch::Alone(block) => self.open(block)?,
                    Batch::Many(blocks) => self.decode(blocks, None)?,
                },
                Event::End => {
                    self.next = Next::End;
                    return Ok(());
                }
                other => self.note(other)?,
            }
        }
        Ok(())
    }

    /// Makes more bytes ready unless some are, and remembers an error, so that it comes again.
    ///
    /// # Errors
    ///
    /// Those of the input and of decoding.
    pub fn fill(&mut self, input: &mut dyn Source) -> Result<()> {
        let Err(e) = self.advance(input) else { return Ok(()) };
        // Nothing has been lost where the input only has to wait.
        if !e.would_block() {
            self.open = None;
            self.next = Next::Failed(e.again());
        }
        Err(e)
    }

    /// The verified bytes that wait to be read.
    pub fn available(&self) -> &[u8] {
        match (self.ready.front(), &self.open) {
            (Some(front), _) => &front[self.position..],
            (None, Some(open)) => &open.raw[open.read..open.verified],
            (None, None) => &[],
        }
    }

    /// The memory, in bytes, that the cap leaves for blocks.
    fn left(&self) -> u64 {
        let held = self.models.held().saturating_add(self.bases.held).saturating_add(self.walk.held());
        let held = held.saturating_add(self.members.held());
        self.memory.saturating_sub(held)
    }

    /// The memory, in bytes, that decoding a block takes. If payloads are skipped, its payload is in `whole`.
    fn need(&self, block: &RawBlock, whole: Option<&[u8]>) -> u64 {
        let working = block.block.codec.working_memory(&block.block, block.payload(whole));
        block.memory().saturating_add(block.raw_len()).saturating_add(working)
    }

    /// Decides whether a block is decoded unit by unit, or together with the blocks after it.
    fn batch(&mut self, block: RawBlock, whole: Option<&[u8]>, input: &mut dyn Source) -> Result<Batch> {
        let windowed = !matches!(block.block.header.units, Units::Fixed { .. });
        if !windowed && (self.pool.threads() == 1 || !self.fits_batch(&block, whole)) {
            return Ok(Batch::Alone(block));
        }
        let (found, left) = (block.memory().saturating_add(block.raw_len()), self.left());
        if found > left {
            let e = Error::limit(format!("a block that takes {found} bytes; the memory cap leaves {left}"));
            return Err(e.within(block.place()));
        }
        let mut batch = self.gather(block, whole, input);
        match batch.pop() {
            Some(block) if batch.is_empty() && !windowed => Ok(Batch::Alone(block)),
            last => {
                batch.extend(last);
                Ok(Batch::Many(batch))
            }
        }
    }

    fn open(&mut self, mut block: RawBlock) -> Result<()> {
        let mut raw = self.spare.pop().unwrap_or_default();
        raw.clear();
        let unit = block.block.unit(0).0 as u64;
        let model =
            self.models.load(block.block.codec, block.block.header.model, self.models.len(), self.memory);
        let memory = self.left().saturating_sub(block.memory()).saturating_sub(unit);
        let codec = model.and_then(|model| {
            OrderedDecoder::new(&block.block, &block.payload, model.as_ref(), memory, &mut raw)
        });
        let mut codec = codec.map_err(|e| e.within(block.place()))?;
        codec.adopt(&mut block.payload, &mut raw);
        self.progress.take(block.raw_len());
        self.members.block(&block.block, block.raw_start);
        self.open = Some(OpenBlock { block, codec, unit: 0, raw, verified: 0, read: 0 });
        Ok(())
    }

    /// Whether a block is small enough to be decoded together with others.
    fn fits_batch(&self, block: &RawBlock, whole: Option<&[u8]>) -> bool {
        let room = (4 * BATCH_RAW).min(self.memory / 4);
        block.raw_len() <= room && self.need(block, whole) <= self.left() / 2
    }

    /// Reads more blocks to decode together with `first`, as many as memory allows. A flushed block ends the
    /// batch, so that no reader waits for bytes which the writer has flushed.
    fn gather(&mut self, first: RawBlock, whole: Option<&[u8]>, input: &mut dyn Source) -> Vec<RawBlock> {
        let threads = self.pool.threads();
        let lanes = self.device.lanes();
        let most_windows = (threads * BATCH_WINDOWS).max(lanes);
        // Buffers that wait to be reused take some memory too.
        let mut left = (self.left() / 4 * 3).saturating_sub(self.need(&first, whole));
        let (mut raw, mut windows, mut batch) = (0, 0, vec![first]);
        while let Some(last) = batch.last() {
            let header = &last.block.header;
            // A block that is larger coded than raw takes as long as its coded size.
            raw += last.raw_len().max(header.payload_len.into());
            if let Units::Windows { windows: w, .. } = &header.units {
                windows += w.len();
            }
            let tiled = matches!(header.units, Units::Tiles { .. });
            let wanted = threads as u64 * if tiled { TILES_RAW } else { BATCH_RAW };
            let most_raw = wanted.max(lanes as u64 * LANE_RAW).min(self.memory / 4);
            if header.flushed || raw >= most_raw || windows >= most_windows || batch.len() >= BATCH_BLOCKS {
                break;
            }
            match self.walk.next(input) {
                Ok(Event::Block(block)) => {
                    let need = self.need(&block, whole);
                    if need > left || !self.fits_batch(&block, whole) {
                        self.next = Next::Event(Event::Block(block));
                        break;
                    }
                    left -= need;
                    batch.push(block);
                }
                Ok(event) => {
                    self.next = Next::Event(event);
                    break;
                }
                Err(e) if e.would_block() => break,
                Err(e) => {
                    self.next = Next::Failed(e);
                    break;
                }
            }
        }
        batch
    }

    /// Decodes blocks whose payloads are in them, or in `whole`.
    fn decode(&mut self, batch: Vec<RawBlock>, whole: Option<&[u8]>) -> Result<()> {
        let accelerator = self.device.accelerator();
        let mut models = Vec::with_capacity(batch.len());
        for raw in &batch {
            match self.models.load(raw.block.codec, raw.block.header.model, self.models.len(), self.memory) {
                Ok(model) => models.push(model),
                Err(e) => {
                    self.next = Next::Failed(e.within(raw.place()));
                    break;
                }
            }
        }
        let mut inner = Vec::with_capacity(batch.len());
        let held = |b: &RawBlock| b.memory().saturating_add(b.raw_len());
        let mut room = self.left().saturating_sub(batch.iter().map(held).sum());
        for raw in batch.iter().take(models.len()) {
            self.members.block(&raw.block, raw.raw_start);
            match self.members.base(&raw.block, &self.bases, &mut room) {
                Ok(base) => inner.push(base),
                Err(e) => {
                    self.next = Next::Failed(e.within(raw.place()));
                    break;
                }
            }
        }
        let raw: u64 = batch.iter().map(RawBlock::raw_len).sum();
        self.progress.take(raw);
        let work = self.progress.work(raw);
        let environment = Environment { bases: &self.bases, accelerator, memory: room, meter: work.meter() };
        let mut jobs = Vec::with_capacity(batch.len());
        for ((raw, model), inner) in batch.iter().zip(models).zip(&inner) {
            let environment = Environment { bases: inner.as_ref().unwrap_or(&self.bases), ..environment };
            let job = BlockJob::new(&raw.block, model, environment, raw.payload(whole));
            jobs.push(BlockJob { raw: self.spare.pop().unwrap_or_default(), ..job });
        }
        self.pool.run(|| decode_blocks(&mut jobs))?;
        if jobs.len() == batch.len() && jobs.iter().all(|j| j.error.is_none()) {
            work.finish();
        }
        let results: Vec<_> = jobs.into_iter().map(|j| (j.raw, j.verified, j.error)).collect();
        for ((mut raw, verified, error), block) in results.into_iter().zip(&batch) {
            raw.truncate(verified);
            self.release(raw);
            if let Some(e) = error {
                self.next = Next::Failed(e.within(block.place()));
                break;
            }
        }
        batch.into_iter().for_each(|raw| self.walk.recycle(raw.payload));
        Ok(())
    }

    /// Decodes the next unit of the open block. All of its earlier bytes must have been read.
    fn unit(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (units, i) = (open.block.block.all_units().end, open.unit);
        if i == units {
            if let Some(open) = self.open.take() {
                self.keep(open.raw);
                self.walk.recycle(open.block.payload);
            }
            return Ok(());
        }
        let (len, check) = open.block.block.unit(i);
        let place = || format!("{}, unit {i}", open.block.place());
        if !open.codec.in_place() {
            if len as u64 > self.memory / 2 {
                let cap = self.memory;
                let e = Error::limit(format!("a check unit of {len} bytes; the memory cap is {cap}"));
                return Err(e.within(place()));
            }
            open.raw.clear();
            (open.verified, open.read) = (0, 0);
        }
        let end = open.verified + len;
        let work = self.progress.work(len as u64);
        let payload = &open.block.payload;
        let unit = open.codec.unit(payload, open.verified, end, check, &mut open.raw, work.meter());
        unit.map_err(|e| e.within(place()))?;
        work.finish();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&open.raw[open.verified..end]);
        }
        self.members.take(&open.raw[open.verified..end], self.memory / 4);
        open.unit += 1;
        if open.unit == units
            && let Err(e) = open.codec.finish(&open.block.payload, &mut open.raw)
        {
            self.next = Next::Failed(e.within(place()));
        }
        open.verified = end;
        Ok(())
    }

    /// Records that `n` of the available bytes have been read.
    pub fn take(&mut self, n: usize) {
        if let Some(front) = self.ready.front() {
            self.position += n;
            if self.position == front.len() {
                self.position = 0;
                let read = self.ready.pop_front();
                read.into_iter().for_each(|raw| self.keep(raw));
            }
        } else if let Some(open) = &mut self.open {
            open.read += n;
        }
    }

    fn release(&mut self, raw: Vec<u8>) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&raw);
        }
        self.members.take(&raw, self.memory / 4);
        if raw.is_empty() {
            self.keep(raw);
        } else {
            self.ready.push_back(raw);
        }
    }

    /// Keeps a buffer for reuse, unless many are kept already.
    fn keep(&mut self, raw: Vec<u8>) {
        let kept: usize = self.spare.iter().map(Vec::capacity).sum();
        if (kept + raw.capacity()) as u64 <= self.memory / 8 {
            self.spare.push(raw);
        }
    }

    /// Processes a section that is not a block.
    fn note(&mut self, event: Event) -> Result<()> {
        match event {
            Event::StreamStart => {
                self.models = self.models.fresh();
                self.members.stream();
            }
            Event::Model(section) => self.models.add(section, self.memory)?,
            Event::StreamEnd(end) => {
                if let Some(hasher) = &mut self.hasher {
                    end.check_hash(hasher.finalize().as_bytes())?;
                    hasher.reset();
                }
            }
            Event::Member(section) => self.members.member(section),
            Event::Block(_) | Event::Other | Event::End => {}
        }
        Ok(())
    }

    /// Decodes all of the input, whose payloads are skipped, and appends it to `out`.
    pub fn collect(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut source = Input::new(input);
        loop {
            match self.event(&mut source)? {
                Event::Block(block) => match self.batch(block, Some(input), &mut source)? {
                    Batch::Alone(block) => self.append(&block, input, out)?,
                    Batch::Many(blocks) => self.decode(blocks, Some(input))?,
                },
                Event::End => return Ok(()),
                other => self.note(other)?,
            }
            while let Some(bytes) = self.ready.pop_front() {
                self.grow(out, bytes.len())?;
                out.extend_from_slice(&bytes);
                self.keep(bytes);
            }
        }
    }

    /// Fails if `more` bytes would make the result, which counts against the cap, too large.
    fn check_room(&self, out: &[u8], more: usize) -> Result<()> {
        let (need, cap) = (out.len() as u64 + more as u64, self.memory);
        if need > cap {
            return Err(Error::limit(format!("a result of {need} bytes or more; the memory cap is {cap}")));
        }
        Ok(())
    }

    /// Makes room for more bytes of the result.
    fn grow(&self, out: &mut Vec<u8>, more: usize) -> Result<()> {
        self.check_room(out, more)?;
        let (need, cap) = (out.len() + more, usize::try_from(self.memory).unwrap_or(usize::MAX));
        if need > out.capacity() {
            // Doubles the room, so that bytes are rarely moved, but stays within the cap.
            reserve_exact(out, need.max(2 * out.capacity()).min(cap) - out.len())?;
        }
        Ok(())
    }

    fn append(&mut self, block: &RawBlock, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.check_room(out, block.raw_len() as usize)?;
        if is_modest(&block.block.header, self.memory) {
            self.grow(out, block.raw_len() as usize)?;
        }
        let (start, units) = (out.len(), block.block.all_units().end);
        let payload = block.payload(Some(input));
        let model =
            self.models.load(block.block.codec, block.block.header.model, self.models.len(), self.memory);
        let memory = self.left().saturating_sub(block.memory());
        self.progress.take(block.raw_len());
        let work = self.progress.work(block.raw_len());
        model
            .and_then(|m| decode_units(&block.block, payload, m.as_ref(), units, memory, out, work.meter()))
            .map_err(|e| e.within(block.place()))?;
        work.finish();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&out[start..]);
        }
        self.members.block(&block.block, block.raw_start);
        self.members.take(&out[start..], self.memory / 4);
        Ok(())
    }
}
