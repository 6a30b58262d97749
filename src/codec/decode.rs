//! From payloads to verified raw bytes.

use super::layout::Arrangement;
use super::window::{ChainJob, WindowCoder, WindowJob, max_window_raw};
use super::{Codec, llm, mix, table, tensor, zstd};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::format::checksum::{Check, check32, same};
use crate::kernel::Kernel;
use crate::model::lm::Model;
use crate::tensor::bases::Bases;
use ::zstd::zstd_safe::OutBuffer;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Fails where a header's lengths are impossible for its codec.
pub fn validate(header: &BlockHeader) -> Result<Codec> {
    let codec = Codec::from_id(header.codec)?;
    let most = codec.max_raw(header.payload_len.into());
    if u64::from(header.raw_len) > most {
        let (raw, payload) = (header.raw_len, header.payload_len);
        let name = codec.name();
        return Err(Error::corrupt(format!("{payload} bytes of {name} cannot hold {raw} raw bytes")));
    }
    match &header.units {
        Units::Windows { windows, .. } => {
            for (i, w) in windows.iter().enumerate() {
                if w.raw_len as usize > max_window_raw(w.payload_len as usize) {
                    let (raw, payload) = (w.raw_len, w.payload_len);
                    return Err(Error::corrupt(format!(
                        "window {i}: {payload} bytes cannot hold {raw} raw bytes"
                    )));
                }
            }
        }
        Units::Fixed { .. } if codec == Codec::Store && header.raw_len != header.payload_len => {
            return Err(Error::corrupt("a stored block whose lengths differ"));
        }
        Units::Fixed { .. } | Units::Tiles { .. } => {}
    }
    if matches!(codec, Codec::Store | Codec::Zstd | Codec::Tensor | Codec::Table) && header.model.is_some() {
        return Err(Error::corrupt(format!("a {} block with a model", codec.name())));
    }
    let expected = match header.units {
        Units::Fixed { .. } => matches!(codec, Codec::Store | Codec::Zstd | Codec::Mix | Codec::Table),
        Units::Windows { .. } => matches!(codec, Codec::Lm | Codec::Circuit | Codec::Llm),
        Units::Tiles { .. } => codec == Codec::Tensor,
    };
    let chained = matches!(header.units, Units::Windows { chained: true, .. });
    let known = !chained || codec == Codec::Llm;
    let needs_params = chained || codec == Codec::Tensor;
    let odd_params = header.params.is_some() != needs_params && codec != Codec::Circuit;
    if !expected || !known || odd_params {
        return Err(super::newer(&format!("another kind of {} block", codec.name())));
    }
    match &header.params {
        Some(params) if chained => drop(llm::kept_of(params)?),
        Some(params) if codec == Codec::Circuit => drop(Arrangement::parse(Some(params))?),
        Some(params) => drop(tensor::Params::parse(params)?),
        None => {}
    }
    Ok(codec)
}

/// Bytes that are decoded before memory for more of them is taken, where they are many for their payload.
const PIECE: usize = 1 << 20;
/// Raw bytes for a byte of payload for which memory is taken at once.
const MODEST: u64 = 64;

/// Bytes that are decoded before they are hashed: few enough to be still in the processor's cache.
const HOT: usize = 128 << 10;

/// Decodes a block without windows, front to back.
pub struct Sequential {
    plain: Plain,
    in_place: bool,
    /// Length of the buffer when the whole block is in it, for blocks that are decoded in place.
    whole: usize,
}

enum Plain {
    /// Offset of the next byte.
    Store(usize),
    Zstd(Box<zstd::Decoder<'static>>),
    Mix(Box<mix::BlockDecoder>),
    /// The whole block, and the offset of the next byte.
    Table(Vec<u8>, usize),
}

impl Sequential {
    /// Starts at the block's first byte, which will come behind what `raw` holds; fails where `memory` bytes
    /// are too few. A zstd block of at most a quarter of them is decoded in place, unless that is much for
    /// its payload.
    pub fn new(
        codec: Codec,
        header: &BlockHeader,
        payload: &[u8],
        guide: Option<Arc<Model>>,
        memory: u64,
        raw: &mut Vec<u8>,
    ) -> Result<Self> {
        let (len, payload_len) = (u64::from(header.raw_len), u64::from(header.payload_len));
        let modest = len <= memory / 4 && len <= (MODEST * payload_len).max(PIECE as u64);
        let in_place = modest && !matches!(codec, Codec::Mix | Codec::Table);
        let plain = match codec {
            Codec::Store => Plain::Store(0),
            Codec::Zstd => {
                if in_place {
                    reserve(raw, len as usize)?;
                }
                Plain::Zstd(Box::new(zstd::Decoder::new(in_place)?))
            }
            Codec::Mix => Plain::Mix(Box::new(mix::BlockDecoder::new(payload, len as usize, memory, guide)?)),
            Codec::Table => Plain::Table(table::decode(payload, len as usize, memory)?, 0),
            other => return Err(super::newer(&format!("codec {}", other.name()))),
        };
        Ok(Self { plain, in_place, whole: raw.len() + header.raw_len as usize })
    }

    /// Whether all calls must get the same buffer, with the block's earlier bytes. Otherwise they may be
    /// taken out between calls.
    pub fn in_place(&self) -> bool {
        self.in_place
    }

    /// Makes `raw` at least `end` bytes long and compares the check value of its bytes from `start` to `end`.
    /// In place it may become longer, by no more than zstd decodes at a time.
    pub fn unit(
        &mut self,
        payload: &[u8],
        start: usize,
        end: usize,
        check: u32,
        raw: &mut Vec<u8>,
    ) -> Result<()> {
        let (mut hash, mut at) = (Check::default(), start);
        while at < end {
            let to = end.min(at + HOT);
            self.fill(payload, to, raw)?;
            hash.update(&raw[at..to]);
            at = to;
        }
        same("raw bytes", check, hash.value())
    }

    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        match &mut self.plain {
            Plain::Store(pos) if raw.len() < end => {
                let bytes = pos.checked_add(end - raw.len()).and_then(|to| payload.get(*pos..to));
                let bytes =
                    bytes.ok_or_else(|| Error::corrupt("a stored block ends before its raw length"))?;
                reserve(raw, bytes.len())?;
                raw.extend_from_slice(bytes);
                *pos += bytes.len();
                Ok(())
            }
            Plain::Store(_) => Ok(()),
            Plain::Zstd(decoder) if self.in_place => {
                let at = raw.len();
                decoder.fill(payload, &mut OutBuffer::around_pos(raw, at), end)
            }
            Plain::Mix(decoder) => {
                let start = raw.len();
                reserve(raw, end - start)?;
                raw.resize(end, 0);
                decoder.decode_into(payload, &mut raw[start..])
            }
            Plain::Table(whole, pos) => {
                let more = end.saturating_sub(raw.len());
                reserve(raw, more)?;
                raw.extend_from_slice(&whole[*pos..*pos + more]);
                *pos += more;
                Ok(())
            }
            Plain::Zstd(decoder) => {
                while raw.len() < end {
                    let start = raw.len();
                    let step = (end - start).min(PIECE);
                    if raw.capacity() < start + step {
                        reserve(raw, step.max(start).min(end - start))?;
                    }
                    raw.resize(start + step, 0);
                    decoder.fill(payload, &mut OutBuffer::around(&mut raw[start..]), step)?;
                }
                Ok(())
            }
        }
    }

    /// Fails unless the payload ends here.
    pub fn finish(&mut self, payload: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        match &mut self.plain {
            Plain::Store(_) | Plain::Mix(_) | Plain::Table(..) => Ok(()),
            Plain::Zstd(_) if self.in_place && raw.len() > self.whole => {
                Err(Error::corrupt("the zstd frame goes on after the block's raw length"))
            }
            Plain::Zstd(decoder) if self.in_place => {
                let at = raw.len();
                decoder.finish(payload, &mut OutBuffer::around_pos(raw, at))
            }
            Plain::Zstd(decoder) => decoder.finish(payload, &mut OutBuffer::around(&mut [0; 0][..])),
        }
    }
}

/// Decodes the first `count` units of a block without windows behind what `raw` holds; see
/// [`Sequential::new`] for `memory`. After an error, `raw` ends with the last unit that has been verified.
pub fn decode_units(
    codec: Codec,
    header: &BlockHeader,
    payload: &[u8],
    guide: Option<Arc<Model>>,
    count: usize,
    memory: u64,
    raw: &mut Vec<u8>,
) -> Result<()> {
    let mut codec = Sequential::new(codec, header, payload, guide, memory, raw)?;
    let mut verified = raw.len();
    for i in 0..count {
        let (len, check) = header.units.unit(i, header.raw_len);
        let end = verified + len;
        if let Err(e) = codec.unit(payload, verified, end, check, raw) {
            raw.truncate(verified);
            return Err(e.within(format!("unit {i}")));
        }
        verified = end;
    }
    let result = if count == header.units.len() { codec.finish(payload, raw) } else { Ok(()) };
    raw.truncate(verified);
    result
}

/// A block, or some of its units, to decode.
pub struct BlockJob<'a> {
    /// The block's header, validated.
    pub header: &'a BlockHeader,
    /// Its codec.
    pub codec: Codec,
    /// Its model, joined to the codec, for windowed codecs.
    pub coder: Option<Arc<dyn WindowCoder>>,
    /// The model that guides it, for `mix` blocks that name one.
    pub guide: Option<Arc<Model>>,
    /// What `tensor` blocks may be coded against.
    pub bases: Bases,
    /// Where tiles are decoded.
    pub device: &'a Device,
    /// The payload of the units that are decoded (windows), or the whole payload (other codecs).
    pub payload: &'a [u8],
    /// The units that are wanted; other codecs and chained windows decode those in front of them too.
    pub units: Range<usize>,
    /// Most memory that decoding may take, in bytes (approximate).
    pub memory: u64,
    /// Receives the raw bytes; its old content does not matter.
    pub raw: Vec<u8>,
    /// Raw bytes from the start of `raw` that have been verified.
    pub verified: usize,
    /// What went wrong after them.
    pub error: Option<Error>,
}

impl BlockJob<'_> {
    /// The units that `raw` holds.
    pub fn decoded_units(&self) -> Range<usize> {
        if self.header.units.independent() { self.units.clone() } else { 0..self.units.end }
    }

    fn unit(&self, i: usize) -> (usize, u32) {
        self.header.units.unit(i, self.header.raw_len)
    }

    /// Makes room for windows and tiles, whose payload and table bound what they can declare.
    fn allocate(&mut self) -> Result<()> {
        let known = !matches!(self.header.units, Units::Fixed { .. });
        let len = if known { self.decoded_units().map(|i| self.unit(i).0).sum() } else { 0 };
        resize(&mut self.raw, len)
    }

    fn run_sequential(&mut self) -> Result<()> {
        let (codec, header, count) = (self.codec, self.header, self.units.end);
        let result =
            decode_units(codec, header, self.payload, self.guide.clone(), count, self.memory, &mut self.raw);
        self.verified = self.raw.len();
        result
    }

    fn run_tiles(&mut self) -> Result<()> {
        let decoder = tile_decoder(self.header, Kernel::best(), &self.bases)?;
        let mut raw = std::mem::take(&mut self.raw);
        let units = self.units.clone();
        let (verified, result) = tiles(self.device, &decoder, self.header, self.payload, units, &mut raw);
        (self.raw, self.verified) = (raw, verified);
        result
    }

    /// Decodes the windows once more with what the coder can fall back on, where that is something.
    fn windows_again(&mut self, e: Error) -> Result<()> {
        let Some(coder) = self.coder.clone() else { return Err(e) };
        let Some(fallback) = coder.fallback() else { return Err(e) };
        run_windows(fallback, std::iter::once(&mut *self))?;
        self.verified = 0;
        self.verify_windows()
    }

    fn verify_windows(&mut self) -> Result<()> {
        for i in self.decoded_units() {
            let (len, check) = self.unit(i);
            same(&format!("window {i}"), check, check32(&self.raw[self.verified..self.verified + len]))?;
            self.verified += len;
        }
        Ok(())
    }
}

/// Makes `raw` exactly `len` bytes long, or says that memory is short.
pub fn resize(raw: &mut Vec<u8>, len: usize) -> Result<()> {
    let short = || Error::limit(format!("not enough memory for {len} bytes"));
    if raw.capacity() == 0 {
        // Memory that the system hands out as zeros is first touched by the threads that fill it.
        *raw = bytemuck::allocation::try_zeroed_vec(len).map_err(|()| short())?;
        return Ok(());
    }
    raw.try_reserve_exact(len.saturating_sub(raw.len())).map_err(|_| short())?;
    raw.resize(len, 0);
    Ok(())
}

/// Makes room for `more` bytes, or says that memory is short.
pub fn reserve(raw: &mut Vec<u8>, more: usize) -> Result<()> {
    // Not exactly: what several blocks are appended to must not be moved for each of them.
    raw.try_reserve(more).map_err(|_| Error::limit(format!("not enough memory for {more} bytes")))
}

/// Decodes all jobs, in parallel; windows of the same model run in lanes together. Each job keeps the
/// bytes that were verified before its first error.
pub fn decode_blocks(jobs: &mut [BlockJob<'_>]) {
    for job in jobs.iter_mut() {
        if let Err(e) = job.allocate() {
            (job.error, job.units) = (Some(e), 0..0);
        }
    }
    decode_windowed(jobs);
    jobs.par_iter_mut().for_each(|job| {
        let result = match &job.header.units {
            Units::Windows { .. } => match job.verify_windows() {
                Err(e) if job.error.is_none() => job.windows_again(e),
                other => other,
            },
            Units::Tiles { .. } => job.run_tiles(),
            Units::Fixed { .. } => job.run_sequential(),
        };
        if let Err(e) = result {
            job.error.get_or_insert(e);
        }
    });
}

fn decode_windowed(jobs: &mut [BlockJob<'_>]) {
    let mut coders: Vec<Arc<dyn WindowCoder>> = Vec::new();
    for coder in jobs.iter().filter_map(|j| j.coder.as_ref()) {
        if !coders.iter().any(|c| Arc::ptr_eq(c, coder)) {
            coders.push(coder.clone());
        }
    }
    for coder in coders {
        let uses = |job: &BlockJob<'_>| {
            job.error.is_none() && job.coder.as_ref().is_some_and(|c| Arc::ptr_eq(c, &coder))
        };
        if let Err(e) = run_windows(&*coder, jobs.iter_mut().filter(|j| uses(j))) {
            jobs.iter_mut().filter(|j| uses(j)).for_each(|j| j.error = Some(e.again()));
        }
    }
}

/// Decodes the windows of jobs that belong to one coder, all of them together.
fn run_windows<'j, 'a: 'j>(
    coder: &dyn WindowCoder,
    jobs: impl Iterator<Item = &'j mut BlockJob<'a>>,
) -> Result<()> {
    let (mut windows, mut chains) = (Vec::new(), Vec::new());
    let mut arranged: BTreeMap<&[u8], Vec<WindowJob<'_>>> = BTreeMap::new();
    for job in jobs {
        match (&job.header.units, job.header.params.as_deref()) {
            (Units::Windows { chained: true, .. }, params) => {
                chains.push(ChainJob { params: params.unwrap_or_default(), windows: windows_of(job) })
            }
            (_, Some(params)) => arranged.entry(params).or_default().extend(windows_of(job)),
            _ => windows.extend(windows_of(job)),
        }
    }
    if !chains.is_empty() {
        coder.decode_chains(&mut chains)?;
    }
    for (params, mut windows) in arranged {
        coder.decode_records(params, &mut windows)?;
    }
    coder.decode_windows(&mut windows)
}

/// The windows that a job decodes.
fn windows_of<'j>(job: &'j mut BlockJob<'_>) -> Vec<WindowJob<'j>> {
    let Units::Windows { windows, .. } = &job.header.units else { return Vec::new() };
    let units = job.decoded_units();
    let (mut raw, mut payload, mut out) = (&mut job.raw[..], job.payload, Vec::with_capacity(units.len()));
    for w in &windows[units] {
        let (this, rest) = raw.split_at_mut(w.raw_len as usize);
        let (bytes, after) = payload.split_at(w.payload_len as usize);
        out.push(WindowJob { payload: bytes, raw: this });
        (raw, payload) = (rest, after);
    }
    out
}

/// What decodes the tiles of a validated `tensor` block that is no copy.
pub fn tile_decoder(header: &BlockHeader, kernel: Kernel, bases: &Bases) -> Result<tensor::TileDecoder> {
    let params = tensor::Params::parse(header.params.as_deref().unwrap_or_default())?;
    tensor::TileDecoder::new(&params, header.raw_len.into(), kernel, bases)
}

/// Decodes some tiles of a block, in parallel, and compares their check values. `payload` and `raw` are exactly
/// theirs. Returns how many bytes from the start of `raw` have been verified, and what went wrong after them.
pub fn tiles(
    device: &Device,
    decoder: &tensor::TileDecoder,
    header: &BlockHeader,
    payload: &[u8],
    units: Range<usize>,
    raw: &mut [u8],
) -> (usize, Result<()>) {
    #[cfg(feature = "gpu")]
    if let Some(gpu) = device.shared().filter(|_| crate::gpu::tensor::fits(decoder.params())) {
        let decode = |gpu: &_| crate::gpu::tensor::tiles(gpu, decoder, header, payload, units.clone(), raw);
        match gpu.attempt(decode) {
            // What is wrong on the GPU may be the GPU: the CPU has the last word.
            Ok(Some(done)) if done.1.is_ok() || !gpu.falls_back() => return done,
            Ok(_) => {}
            Err(e) => return (0, Err(e)),
        }
    }
    let _ = device;
    tiles_but(decoder, header, payload, units, raw, |_| false)
}

/// The same where some tiles, counted from the first of the block, need no more than a check: their bytes are there.
pub fn tiles_but(
    decoder: &tensor::TileDecoder,
    header: &BlockHeader,
    mut payload: &[u8],
    units: Range<usize>,
    mut raw: &mut [u8],
    is_done: impl Fn(usize) -> bool + Sync,
) -> (usize, Result<()>) {
    let Units::Tiles { raw: size, tiles } = &header.units else { return (0, Err(super::newer("units"))) };
    let mut jobs = Vec::with_capacity(units.len());
    for i in units {
        let (bytes, after) = payload.split_at(tiles[i].payload_len as usize);
        let (out, rest) = raw.split_at_mut(header.units.unit(i, header.raw_len).0);
        jobs.push((i, bytes, out));
        (payload, raw) = (after, rest);
    }
    let decode = |scratch: &mut tensor::Scratch, (i, bytes, out): (usize, &[u8], &mut [u8])| {
        let start = i as u64 * u64::from(*size);
        let result = if is_done(i) { Ok(()) } else { decoder.tile(bytes, start, out, scratch) };
        let result = result.and_then(|()| same("raw bytes", tiles[i].check, check32(out)));
        (out.len(), result.map_err(|e| e.within(format!("tile {i}"))))
    };
    let results: Vec<_> = jobs.into_par_iter().map_init(tensor::Scratch::default, decode).collect();
    let mut verified = 0;
    for (len, result) in results {
        if result.is_err() {
            return (verified, result);
        }
        verified += len;
    }
    (verified, Ok(()))
}

/// The header under which a copy is decoded: its source's, once it is clear that it can be one.
pub fn resolve(copy: &BlockHeader, source: &BlockHeader) -> Result<BlockHeader> {
    let kept = match source.params.as_deref().map(tensor::Params::parse).transpose()? {
        Some(tensor::Params::Planes(p)) => p.kept && source.codec == copy.codec,
        _ => false,
    };
    let checks = |h: &BlockHeader| match &h.units {
        Units::Tiles { raw, tiles } => Some((*raw, tiles.iter().map(|t| t.check).collect::<Vec<_>>())),
        _ => None,
    };
    if !kept || copy.raw_len != source.raw_len || copy.payload_len != 0 || checks(copy) != checks(source) {
        return Err(Error::corrupt("a copy of a block that is another one"));
    }
    Ok(BlockHeader { flushed: copy.flushed, ..source.clone() })
}

/// The number of the block that this one is a copy of.
pub fn copied(header: &BlockHeader) -> Option<u64> {
    if header.codec != Codec::Tensor.id() {
        return None;
    }
    match header.params.as_deref().map(tensor::Params::parse) {
        Some(Ok(tensor::Params::Copy { block })) => Some(block),
        _ => None,
    }
}

/// Whether later blocks may be copies of this one.
pub fn kept(header: &BlockHeader) -> bool {
    header.codec == Codec::Tensor.id() && header.params.as_deref().is_some_and(tensor::Params::are_kept)
}
