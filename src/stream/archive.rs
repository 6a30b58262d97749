//! Reading of any part of a file.

mod expect;
mod family;
mod info;
mod load;
mod map;
mod reader;
mod runs;
mod search;
mod source;
mod tensors;

pub use family::Member;
pub use info::{BlockInfo, StreamInfo, WindowInfo};
pub use reader::ArchiveReader;
pub use source::Fetch;
pub use tensors::{StoredTensor, TensorReader};

use super::content::FileContent;
use super::inner::InnerPart;
use super::options::{DecodeOptions, Pool};
use super::resources::Resources;
use super::{Decoder, options};
use crate::codec::block::{Block, BlockJob, Environment};
use crate::codec::decode_blocks;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::tensor::TensorInfo;
use crate::tensor::bases::Bases;
use map::{BlockPlace, StreamMap};
use source::Source;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;

/// A compressed file of which any part can be read.
///
/// ```
/// use std::io::Cursor;
/// let packed = nzip::compress(&[7; 100_000], 1)?;
/// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
/// assert_eq!(archive.len(), 100_000);
/// assert_eq!(archive.read_range(50_000..50_004)?, [7; 4]);
/// # Ok::<(), nzip::Error>(())
/// ```
pub struct Archive<S> {
    source: Source<S>,
    streams: Vec<StreamMap>,
    options: DecodeOptions,
    pool: Pool,
    decoded: u64,
    /// All tensors, and their indices by name.
    tensors: Vec<TensorInfo>,
    names: HashMap<String, tensors::Named>,
    /// The error in the names of tensors, if there is one.
    names_error: Option<Error>,
    /// The stream whose models are in memory.
    active: usize,
    /// Whether a content without named tensors has been searched for tensors.
    looked: bool,
    /// While a base is read: the depth of the stream that is coded against it.
    asking: Option<u64>,
    /// The memory in bytes that reading holds while it reads bases.
    taken: u64,
    /// Files that hold the bytes of streams.
    restored: HashMap<usize, FileContent>,
}

/// The most blocks that are decoded together.
const BATCH_BLOCKS: usize = 1 << 10;

/// A block of which some units are wanted, with the payload that they need.
struct Fetched {
    stream: usize,
    number: usize,
    place: BlockPlace,
    block: Block,
    payload: Vec<u8>,
    units: Range<usize>,
    /// The part of a base in an earlier stream that the units need.
    base: Option<InnerPart>,
}

impl Fetched {
    /// The units that are decoded. Where units are not independent, they include all units before the wanted
    /// ones.
    fn decoded_units(&self) -> Range<usize> {
        if self.block.header.units.independent() { self.units.clone() } else { 0..self.units.end }
    }
}

impl<S> fmt::Debug for Archive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Archive");
        fields.field("streams", &self.streams.len()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Archive<File> {
    /// Opens a file. It is read where it is needed and never mapped into memory: one that becomes shorter
    /// meanwhile gives an error.
    ///
    /// # Errors
    ///
    /// Those of opening the file and of [`Archive::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, DecodeOptions::new())
    }

    /// Opens a file, with these options.
    ///
    /// # Errors
    ///
    /// See [`Archive::open`].
    pub fn open_with(path: impl AsRef<Path>, options: DecodeOptions) -> Result<Self> {
        Self::with_options(File::open(path)?, options)
    }
}

impl<S: Read + Seek> Archive<S> {
    /// Reads the indexes of all streams.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Truncated`] where the end is missing, and all other errors of reading headers and
    /// indexes.
    pub fn new(source: S) -> Result<Self> {
        Self::with_options(source, DecodeOptions::new())
    }

    /// Reads the indexes of all streams, with these options.
    ///
    /// # Errors
    ///
    /// See [`Archive::new`].
    pub fn with_options(source: S, options: DecodeOptions) -> Result<Self> {
        let source = Source::new(source, options.resources.memory, None)?;
        Self::of(source, options)
    }

    fn of(mut source: Source<S>, options: DecodeOptions) -> Result<Self> {
        let pool = Pool::new(options.resources.threads);
        let mut streams = map::read(&mut source, &options)?;
        let tensors: Vec<TensorInfo> =
            streams.iter_mut().flat_map(|s| std::mem::take(&mut s.tensors)).collect();
        let names_error = streams.iter_mut().find_map(|s| s.names_error.take());
        let mut archive = Self {
            names_error,
            source,
            streams,
            options,
            pool,
            decoded: 0,
            tensors: Vec::new(),
            names: HashMap::new(),
            active: 0,
            looked: false,
            asking: None,
            taken: 0,
            restored: HashMap::new(),
        };
        archive.name(tensors);
        Ok(archive)
    }

    /// The file.
    pub fn get_ref(&self) -> &S {
        self.source.get_ref()
    }

    /// The file. Its content must stay the same.
    pub fn get_mut(&mut self) -> &mut S {
        self.source.inner()
    }

    /// The file.
    pub fn into_inner(self) -> S {
        self.source.into_inner()
    }

    /// The number of raw bytes in all streams together.
    pub fn len(&self) -> u64 {
        self.streams.last().map_or(0, |s| s.raw_start + s.raw_len)
    }

    /// Whether there are no raw bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the compressed file in bytes.
    pub fn stored_len(&self) -> u64 {
        self.source.len()
    }

    /// The number of raw bytes that [`Archive::read_range`] has decoded so far, which is the cost of the
    /// ranges.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded
    }

    /// The raw bytes of a range.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// let packed = nzip::compress(b"once upon a time", 1)?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// assert_eq!(archive.read_range(..4)?, b"once");
    /// assert_eq!(archive.read_range(5..=8)?, b"upon");
    /// assert_eq!(archive.read_range(12..)?, b"time");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// Only the windows that the range touches are decoded. With chained windows, and with codecs that have
    /// no windows, blocks are decoded from their start to the range's end.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a range outside the content; [`crate::ErrorKind::LimitExceeded`]
    /// for one larger than the memory cap; all errors of decoding.
    pub fn read_range(&mut self, range: impl RangeBounds<u64>) -> Result<Vec<u8>> {
        let after =
            |n: u64| n.checked_add(1).ok_or_else(|| Error::bad_argument("a range past the largest offset"));
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => after(before)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => after(last)?,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        self.range(start..end)
    }

    /// Fills `out` with the raw bytes from offset `start` on. Tiles are decoded straight into it.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// let packed = nzip::compress(b"once upon a time", 1)?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// let mut word = [0; 4];
    /// archive.read_range_into(5, &mut word)?;
    /// assert_eq!(&word, b"upon");
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] where the content ends before `out` is full, and those of
    /// [`Archive::read_range`].
    pub fn read_range_into(&mut self, start: u64, out: &mut [u8]) -> Result<()> {
        let (len, wanted) = (self.len(), out.len());
        if start.checked_add(wanted as u64).is_none_or(|end| end > len) {
            return Err(Error::bad_argument(format!("{wanted} bytes from {start} on of {len} bytes")));
        }
        self.read_into(start, out)
    }

    fn range(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            let (Range { start, end }, len) = (range, self.len());
            return Err(Error::bad_argument(format!("range {start}..{end} of {len} bytes")));
        }
        let len = range.end - range.start;
        if len > self.options.resources.memory {
            let cap = self.options.resources.memory;
            return Err(Error::limit(format!("a range of {len} bytes; the cap is {cap}")));
        }
        let mut out = Vec::new();
        out.try_reserve_exact(len as usize)
            .map_err(|_| Error::limit(format!("no memory for {len} bytes")))?;
        let wanted = self.blocks_of(&range);
        let (mut at, mut next) = (0, None);
        while at < wanted.len() {
            let stream = wanted[at].0;
            let left = self.left(stream, len);
            let (mut batch, mut raw, mut need) = (Vec::new(), 0, 0u64);
            while at < wanted.len() && raw < self.batch_bytes() && batch.len() < BATCH_BLOCKS {
                // Streams do not share their own models, and only those of one stream are kept at a time.
                if wanted[at].0 != stream && self.streams[stream].models.len() > 0 {
                    break;
                }
                let fetched = match next.take() {
                    Some(fetched) => fetched,
                    None => {
                        self.expect(wanted[at..].iter().map(|&block| (block, range.clone())))?;
                        self.fetch(wanted[at], &range, left)?
                    }
                };
                need = need.saturating_add(fetched.need());
                if need > left && !batch.is_empty() {
                    next = Some(fetched);
                    break;
                }
                let header = &fetched.block.header;
                raw += u64::from(header.raw_len.max(header.payload_len));
                batch.push(fetched);
                at += 1;
            }
            let bases = self.inner_bases(&batch, len)?;
            self.decode(&batch, &bases, &range, &mut out)?;
        }
        Ok(out)
    }

    /// Decodes everything and verifies check values, structure and the hashes of all streams. Returns the
    /// number of raw bytes.
    ///
    /// # Errors
    ///
    /// The first problem that is found.
    pub fn verify(&mut self) -> Result<u64> {
        if self.has_inner_bases() {
            return self.verify_by_ranges();
        }
        let options = self.options.clone().verify_hash(true);
        let reader = self.source.inner();
        reader.seek(SeekFrom::Start(0))?;
        Ok(io::copy(&mut Decoder::with_options(reader, options)?, &mut io::sink())?)
    }

    /// The memory, in bytes, that the cap leaves for decoding blocks of a stream while a result of `taken`
    /// bytes is held.
    fn left(&mut self, stream: usize, taken: u64) -> u64 {
        if self.active != stream {
            self.streams[self.active].models.forget();
            self.active = stream;
        }
        let models = self.streams[stream].models.held().saturating_add(self.options.resources.bases.held);
        let held = taken.saturating_add(models).saturating_add(self.taken);
        self.options.resources.memory.saturating_sub(held)
    }

    fn batch_bytes(&self) -> u64 {
        (self.pool.threads() as u64 * options::CHUNK as u64).min(self.options.resources.memory / 4)
    }

    /// The stream and the number of every block that the range touches.
    fn blocks_of(&self, range: &Range<u64>) -> Vec<(usize, usize)> {
        let mut wanted = Vec::new();
        let from = self.streams.partition_point(|s| s.raw_start + s.raw_len <= range.start);
        let touched = self.streams[from..].iter().take_while(|s| s.raw_start < range.end);
        for (s, stream) in touched.enumerate().map(|(i, s)| (from + i, s)) {
            let first = stream.blocks.partition_point(|b| b.raw_end() <= range.start);
            let touched = stream.blocks[first..].iter().take_while(|b| b.raw_start < range.end);
            wanted.extend((first..first + touched.count()).map(|b| (s, b)));
        }
        if range.is_empty() { Vec::new() } else { wanted }
    }

    /// A checked block and the offset of its payload. For a copy, both are those of its source.
    fn checked(&mut self, stream: usize, number: usize) -> Result<(Block, u64)> {
        let (header, at) = self.own_header(stream, number)?;
        let place = self.streams[stream].blocks[number];
        let within = |e: Error| e.within(place_name(stream, number, &place));
        let block = Block::check(header).map_err(within)?;
        let Some(source) = block.copy_of() else { return Ok((block, at)) };
        if source >= number as u64 {
            let e = Error::corrupt(format!("a copy of block {source}, which is not before it"));
            return Err(within(e));
        }
        let (original, at) = self.own_header(stream, source as usize)?;
        let block = Block::check(original).and_then(|original| block.resolve(&original)).map_err(within)?;
        Ok((block, at))
    }

    fn own_header(&mut self, stream: usize, number: usize) -> Result<(BlockHeader, u64)> {
        self.read_stream_header(stream)?;
        let place = self.streams[stream].blocks[number];
        let place_name = |e: Error| e.within(place_name(stream, number, &place));
        let (header, len) = self
            .source
            .parse(place.offset, place.offset + place.stored_len, "a block header", map::block)
            .map_err(place_name)?;
        let stored = len as u64 + u64::from(header.payload_len);
        if stored != place.stored_len || u64::from(header.raw_len) != place.raw_len {
            let found = header.raw_len;
            return Err(place_name(Error::corrupt(format!(
                "the index says {} raw bytes in {}, the block {found} in {stored}",
                place.raw_len, place.stored_len
            ))));
        }
        Ok((header, place.offset + len as u64))
    }

    /// Reads what decoding a range needs of a block. Together with the bytes decoded from it, it may take
    /// `left` bytes.
    fn fetch(&mut self, (stream, number): (usize, usize), range: &Range<u64>, left: u64) -> Result<Fetched> {
        let (block, payload_at) = self.checked(stream, number)?;
        let header = &block.header;
        let place = self.streams[stream].blocks[number];
        let within = |e: Error| e.within(place_name(stream, number, &place));
        let wanted =
            range.start.saturating_sub(place.raw_start)..range.end.min(place.raw_end()) - place.raw_start;
        let (units, payload) = parts(header, wanted);
        if let Some(depth) = self.asking {
            self.check_base(stream, &block, depth).map_err(within)?;
        }
        let base = self.inner_part(stream, &block, &units).map_err(within)?;
        let raw = raw_of(header, &units).saturating_add(base.as_ref().map_or(0, InnerPart::len));
        let need = (payload.end - payload.start).saturating_add(raw).saturating_add(block.memory());
        if need > left {
            let message = format!("a block of which {need} bytes are needed; the memory cap leaves {left}");
            return Err(within(Error::limit(message)));
        }
        let start = payload_at + payload.start;
        let payload = self.source.read(start, payload.end - payload.start).map_err(within)?;
        Ok(Fetched { stream, number, place, block, payload, units, base })
    }

    fn decode(
        &mut self,
        batch: &[Fetched],
        inner: &[Option<Bases>],
        range: &Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut loaded = Vec::with_capacity(batch.len());
        for f in batch {
            let (models, before) = (&self.streams[f.stream].models, f.place.models as usize);
            let model =
                models.load(f.block.codec, f.block.header.model, before, self.options.resources.memory);
            loaded.push(model.map_err(|e| e.within(place_name(f.stream, f.number, &f.place)))?);
        }
        let Some(first) = batch.first() else { return Ok(()) };
        let used: u64 = batch.iter().map(Fetched::held).sum();
        let memory = self.left(first.stream, range.end - range.start).saturating_sub(used);
        let Resources { bases, device, progress, .. } = &self.options.resources;
        let raw = batch.iter().map(|f| raw_of(&f.block.header, &f.units)).sum();
        progress.take(raw);
        let work = progress.work(raw);
        let (accelerator, meter) = (device.accelerator(), work.meter());
        let environment = Environment { bases, accelerator, memory, meter };
        let mut jobs = Vec::with_capacity(batch.len());
        for ((f, model), inner) in batch.iter().zip(loaded).zip(inner) {
            let environment = Environment { bases: inner.as_ref().unwrap_or(bases), ..environment };
            let job = BlockJob::new(&f.block, model, environment, &f.payload);
            jobs.push(BlockJob { units: f.units.clone(), ..job });
        }
        self.pool.run(|| decode_blocks(&mut jobs))?;
        if jobs.iter().all(|j| j.error.is_none()) {
            work.finish();
        }
        for (job, f) in jobs.into_iter().zip(batch) {
            self.decoded += job.raw.len() as u64;
            let skipped: u64 = (0..f.decoded_units().start).map(|i| unit_len(&f.block.header, i)).sum();
            if let Some(e) = job.error {
                return Err(e.within(place_name(f.stream, f.number, &f.place)));
            }
            let base = f.place.raw_start + skipped;
            let from = range.start.saturating_sub(base) as usize;
            let to = (range.end.min(f.place.raw_end()) - base) as usize;
            out.extend_from_slice(&job.raw[from..to]);
        }
        Ok(())
    }
}

fn place_name(stream: usize, number: usize, place: &BlockPlace) -> String {
    format!("stream {stream}, block {number} (raw offset {}, offset {})", place.raw_start, place.offset)
}

impl Fetched {
    /// The memory that payload, header and raw bytes take, in bytes.
    fn held(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, InnerPart::len);
        self.payload.len() as u64 + self.block.memory() + raw_of(&self.block.header, &self.units) + base
    }

    /// The memory that decoding takes, in bytes.
    fn need(&self) -> u64 {
        self.held().saturating_add(self.block.codec.working_memory(&self.block, &self.payload))
    }
}

/// The number of raw bytes that decoding these units gives.
fn raw_of(header: &BlockHeader, units: &Range<usize>) -> u64 {
    let start = if header.units.independent() { units.start } else { 0 };
    (start..units.end).map(|i| unit_len(header, i)).sum()
}

fn unit_len(header: &BlockHeader, i: usize) -> u64 {
    header.units.unit(i, header.raw_len).0 as u64
}

/// The units that hold a raw range of a block, and the range of the payload that they need.
fn parts(header: &BlockHeader, range: Range<u64>) -> (Range<usize>, Range<u64>) {
    if matches!(header.units, Units::Fixed { .. }) {
        let unit = unit_len(header, 0);
        let units = (range.start / unit) as usize..range.end.div_ceil(unit) as usize;
        return (units, 0..header.payload_len.into());
    }
    let (mut raw, mut payload) = (0u64, 0u64);
    let (mut units, mut bytes) = (0..0, 0..0);
    for i in 0..header.units.len() {
        let len = u64::from(header.units.payload_len(i).unwrap_or(0));
        let next = raw + unit_len(header, i);
        if next <= range.start && header.units.independent() {
            (units.start, bytes.start) = (i + 1, payload + len);
        }
        payload += len;
        if raw < range.end {
            (units.end, bytes.end) = (i + 1, payload);
        }
        raw = next;
    }
    (units, bytes)
}
