//! The work of an encoder: it takes bytes and writes the stream to a writer that each call names.
//!
//! Nothing here depends on the type of the writer, so that this code exists once, however many types of writers a program
//! has.

use super::embedding::{Weighed, weigh};
use super::output::Out;
use super::plan::{chunk_len, plan};
use super::words::Words;
use crate::codec::plan::{Chunk, Plan};
use crate::codec::window::Cutting;
use crate::error::{Error, Result};
use crate::format::index::{Index, Record};
use crate::format::trailer::Trailer;
use crate::stream::options::{CHUNK, Options, Pool};
use crate::tensor::content::Content;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

/// The shortest chunk, in raw bytes, that is cut in two.
const HALVED: usize = 6 << 20;

/// The state of an encoder.
pub struct Coder {
    pub out: Out,
    pub(super) pool: Pool,
    pub(super) plan: Plan,
    pub(super) options: Options,
    pub(super) chunk: usize,
    pub(super) batch: usize,
    pub(super) raw: Vec<u8>,
    pub(super) hasher: blake3::Hasher,
    /// The records of the index.
    pub(super) records: Vec<Record>,
    failed: bool,
    /// The number of raw bytes coded so far; and how the windowed codec wants the content to be cut, once its
    /// first bytes are known.
    pub(super) coded: u64,
    cutting: Option<Cutting>,
    /// Whether written bytes are held back, because they may turn out to hold tensors.
    pub(super) held: bool,
    /// Whether models are to be embedded if they pay, which the first records will show.
    pub(super) weighs: bool,
    /// Nothing but this level is tried.
    pub(super) alone: bool,
    /// The words of the blocks, if they are to be searched.
    words: Option<Words>,
}

impl Coder {
    /// A coder with these options.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for options out of range, and those of finding the model.
    pub fn new(options: Options) -> Result<Self> {
        options.check()?;
        let pool = Pool::new(options.resources.threads);
        let plan = plan(&options)?;
        Ok(Self::build(options, plan, pool))
    }

    /// A coder with options that have been checked, the plan that belongs to them, and a pool for their
    /// threads.
    pub fn build(options: Options, plan: Plan, pool: Pool) -> Self {
        let chunk = chunk_len(&options, &plan);
        // A chunk that is being coded also has raw bytes and a result.
        let each = (2 * chunk as u64 + plan.memory_of(chunk, None)).max(8 * chunk as u64);
        let by_memory = usize::try_from(options.resources.memory / each).unwrap_or(usize::MAX);
        let batch = chunk * pool.threads().min(by_memory).max(1);
        let member = options.member.clone();
        let out = Out {
            written: 0,
            entries: Vec::new(),
            models: Vec::new(),
            one_stream,
            packed: BTreeMap::new(),
            raw: 0,
            unfit: Vec::new(),
            member,
        };
        let weighs = options.embed_model && plan.only.is_none() && plan.has_models();
        let hasher = blake3::Hasher::new();
        let words = options.searchable.then(Words::default);
        Self {
            out,
            pool,
            plan,
            options,
            chunk,
            batch,
            raw: Vec::new(),
            hasher,
            records: Vec::new(),
            failed: false,
            coded: 0,
            cutting: None,
            held: false,
            weighs,
            alone: false,
            words,
        }
        .holding()
    }

    /// Takes some bytes, and returns how many.
    pub fn take(&mut self, bytes: &[u8], to: &mut dyn Write) -> Result<usize> {
        if self.held {
            return self.hold(bytes, to);
        }
        if self.raw.is_empty() && bytes.len() >= self.batch {
            self.options.resources.progress.take(self.batch as u64);
            return self.encode(&bytes[..self.batch], End::Open, to);
        }
        let n = bytes.len().min(self.batch - self.raw.len());
        self.options.resources.progress.take(n as u64);
        self.raw.extend_from_slice(&bytes[..n]);
        if self.raw.len() == self.batch {
            self.encode_buffer(End::Open, to)?;
        }
        Ok(n)
    }

    /// Writes all bytes so far, so that they can be read.
    pub fn flush(&mut self, to: &mut dyn Write) -> Result<()> {
        self.release(to)?;
        self.encode_buffer(End::Flush, to)
    }

    /// Writes the remaining bytes, the index and the trailer.
    pub fn finish(mut self, to: &mut dyn Write) -> Result<Finished> {
        let raw = std::mem::take(&mut self.raw);
        if self.held || self.is_short(raw.len() as u64) {
            self.finish_taken(&raw.as_slice(), to)
        } else {
            self.finish_with(&raw.as_slice(), to)
        }
    }

    /// Writes a whole content, and finishes; see [`super::Encoder::finish_all`].
    pub fn finish_content(self, raw: &dyn Content, to: &mut dyn Write) -> Result<Finished> {
        if self.out.written > 0 || !self.raw.is_empty() {
            return Err(Error::bad_argument("something has been written before the whole content"));
        }
        self.options.resources.progress.take(raw.len());
        self.finish_taken(raw, to)
    }

    /// Codes a whole content that has been counted as taken in, and finishes.
    fn finish_taken(mut self, raw: &dyn Content, to: &mut dyn Write) -> Result<Finished> {
        if self.is_short(raw.len()) {
            return self.finish_short(&raw.read(0..raw.len())?, to);
        }
        match self.layout(raw)? {
            Some(layout) => {
                self.encode_tensors(raw, &layout, to)?;
                self.finish_with(&Vec::new(), to)
            }
            None => self.finish_with(raw, to),
        }
    }

    /// Finishes with a content that need not be copied. All bytes written before must have been coded.
    fn finish_with(mut self, raw: &dyn Content, to: &mut dyn Write) -> Result<Finished> {
        let (mut at, batch) = (0, self.batch as u64);
        while raw.len() - at > batch {
            at += self.encode(&raw.read(at..at + batch)?, End::Open, to)? as u64;
        }
        self.encode(&raw.read(at..raw.len())?, End::Stream, to)?;
        self.out.start(to)?;
        let blocks = self.out.entries.iter().filter(|e| e.raw_len > 0).count();
        let words = self.words.take();
        self.records.extend(words.map_or(Ok(None), |words| self.out.search(words, blocks, to))?);
        let body_len = self.out.written;
        let mut index_len = 0;
        if blocks > 1 || self.options.content_hash || !self.records.is_empty() {
            let entries = std::mem::take(&mut self.out.entries);
            let records = std::mem::take(&mut self.records);
            let index = Index { entries, hash: *self.hasher.finalize().as_bytes(), records };
            let mut bytes = Vec::new();
            index.put(&mut bytes);
            index_len = bytes.len() as u64;
            self.out.write(&bytes, to)?;
        }
        let mut bytes = Vec::new();
        Trailer { body_len: body_len + index_len, index_len }.put(&mut bytes);
        self.out.write(&bytes, to)?;
        to.flush()?;
        Ok(Finished { written: self.out.written, unfit: self.out.unfit })
    }

    /// Codes bytes, which the progress has already counted as taken, and writes their blocks. Returns how
    /// many bytes were coded: all of them, unless more bytes follow (`End::Open`) and the last ones do not
    /// fill a chunk.
    pub(super) fn encode(&mut self, raw: &[u8], end: End, to: &mut dyn Write) -> Result<usize> {
        if self.failed {
            return Err(Error::bad_argument("this encoder has failed before"));
        }
        if raw.is_empty() {
            return Ok(0);
        }
        self.failed = true;
        let progress = self.options.resources.progress.clone();
        let cutting = self.cutting(raw);
        let chunks = self.halved(self.chunks(raw, &cutting, end), end)?;
        let raw = &raw[..chunks.iter().map(|c| c.raw.len()).sum()];
        // A stream of one block has no place for the hash.
        let alone = end == End::Stream && chunks.len() == 1 && self.out.entries.is_empty();
        let hashed = !alone || self.options.content_hash;
        let (plan, hasher) = (&self.plan, &mut self.hasher);
        let hash = || {
            if hashed {
                hasher.update(raw);
            }
        };
        // A short file may be smaller as one block, where its header stands next to what it describes.
        let small = end == End::Stream && self.coded == 0 && chunks.len() > 1 && raw.len() <= self.chunk;
        let whole = (small && plan.only.is_none() && plan.records().is_some()).then_some(raw);
        let first = chunks.iter().position(|c| c.fits).filter(|_| self.weighs);
        let options = &self.options;
        let work = progress.work(raw.len() as u64);
        let meter = work.meter();
        let encode = || match first {
            Some(i) => {
                let (first, rest) = chunks.split_at(if whole.is_some() { chunks.len() } else { i + 1 });
                weigh(plan, options, [first, rest], &cutting, whole, meter, one_stream)
            }
            None => Ok(Weighed {
                blocks: plan.blocks(&chunks, &cutting, whole, meter)?,
                models: Some(BTreeMap::new()),
            }),
        };
        let (coded, ()) = self.pool.run(|| rayon::join(encode, hash))?;
        let Weighed { blocks, models } = coded?;
        work.finish();
        self.weighs &= first.is_none();
        match models {
            Some(models) => self.out.packed.extend(models),
            None => self.plan = self.plan.without_models(),
        }
        if !hashed && blocks.len() > 1 {
            self.hasher.update(raw);
        }
        let last = blocks.len() - 1;
        self.out.start(to)?;
        let mut at = 0;
        for (i, block) in blocks.into_iter().enumerate() {
            let next = at + block.raw_len as usize;
            self.words.iter_mut().for_each(|w| w.add(&raw[at..next], block.payload.len() as u64));
            at = next;
            self.out.block(block, end == End::Flush && i == last, &self.options, to)?;
        }
        self.failed = false;
        self.coded += raw.len() as u64;
        Ok(raw.len())
    }

    /// How the windowed codec wants the content to be cut. `head` is the start of the content in the first
    /// call, and is ignored later.
    fn cutting(&mut self, head: &[u8]) -> Cutting {
        let Some(windowed) = &self.plan.windowed else { return Cutting::BYTES };
        self.cutting.get_or_insert_with(|| windowed.coder.cutting(head, windowed.chained)).clone()
    }

    /// Cuts bytes into chunks. A chunk is the unit of work: it becomes one block or, for windowed codecs,
    /// several.
    ///
    /// A codec of records cannot code bytes that are not whole records, and would refuse a chunk that has
    /// any. Therefore the bytes before the records, those after them, and the rest of a record that a flush
    /// has cut get chunks of their own.
    ///
    /// Where chunks end may only depend on the content and on flushes, because the same content must give the
    /// same blocks however many bytes are written at a time. So if more bytes follow (`End::Open`), bytes
    /// that would not fill a chunk wait for them.
    fn chunks<'r>(&self, raw: &'r [u8], cutting: &Cutting, end: End) -> Vec<Chunk<'r>> {
        let Some(windowed) = self.plan.records() else {
            return self.pieces(raw, end).into_iter().map(|raw| Chunk { raw, fits: true }).collect();
        };
        let [lead, body, tail] = cutting.split(raw, self.coded);
        let (unit, step) = (cutting.unit, cutting.step);
        let ends = end == End::Stream || self.coded + (lead.len() + body.len()) as u64 >= cutting.end;
        // The rest of a unit that a flush has cut.
        let left = cutting.left_of_unit(self.coded).min(body.len());
        let (left, records) = body.split_at(left);
        let chunk = (self.chunk / unit * unit).max(unit);
        let whole = match end {
            _ if ends => step,
            End::Open => chunk,
            _ => unit,
        };
        let (records, mut cut) = records.split_at(records.len() / whole * whole);
        let mut rest = tail;
        if end == End::Open {
            rest = &tail[..tail.len() / self.chunk * self.chunk];
            cut = if ends { cut } else { &[] };
        }
        let other = |raw: &'r [u8]| raw.chunks(self.chunk).map(|raw| Chunk { raw, fits: false });
        let fitting = |raw| Chunk { raw, fits: windowed.coder.fits(cutting, raw) };
        let records = records.chunks(chunk).map(fitting);
        other(lead).chain(other(left)).chain(records).chain(other(cut)).chain(other(rest)).collect()
    }

    /// Cuts bytes into chunks. Where pictures and deflate streams are undone, a chunk ends before one that would be
    /// cut.
    fn pieces<'r>(&self, raw: &'r [u8], end: End) -> Vec<&'r [u8]> {
        if !self.plan.undoes() {
            return raw.chunks(self.chunk).collect();
        }
        let (mut pieces, mut rest) = (Vec::new(), raw);
        while rest.len() >= self.chunk {
            let (piece, after) = rest.split_at(self.plan.cut(&rest[..self.chunk]));
            pieces.push(piece);
            rest = after;
        }
        if !rest.is_empty() && end != End::Open {
            pieces.push(rest);
        }
        pieces
    }

    /// Cuts the last chunk in two where it is long, so that two threads share the work.
    fn halved<'r>(&self, mut chunks: Vec<Chunk<'r>>, end: End) -> Result<Vec<Chunk<'r>>> {
        let long = |c: &&Chunk<'_>| end != End::Open && self.chunk >= CHUNK && c.raw.len() >= HALVED;
        let Some(last) = chunks.last().filter(long).copied() else { return Ok(chunks) };
        if let Some(at) = self.plan.halves(last.raw)? {
            let (first, second) = last.raw.split_at(at);
            chunks.pop();
            chunks.extend([first, second].map(|raw| Chunk { raw, ..last }));
        }
        Ok(chunks)
    }

    /// Codes the bytes that have been kept, as far as they are to be coded.
    fn encode_buffer(&mut self, end: End, to: &mut dyn Write) -> Result<()> {
        let mut raw = std::mem::take(&mut self.raw);
        let result = self.encode(&raw, end, to);
        raw.drain(..*result.as_ref().unwrap_or(&raw.len()));
        self.raw = raw;
        result.map(|_| ())
    }
}

/// The result of writing a stream.
pub struct Finished {
    /// The length of the stream in bytes.
    pub written: u64,
    /// The raw ranges of blocks that may not be bases of later streams.
    pub unfit: Vec<Range<u64>>,
}

/// The way in which the bytes to be coded end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// More bytes, without a boundary.
    Open,
    /// A flush.
    Flush,
    /// The end of the content.
    Stream,
}

/// One stream of all these bytes.
fn one_stream(raw: &[u8], options: Options) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    Coder::new(options)?.finish_content(&raw, &mut out)?;
    Ok(out)
}
