//! Reading of many tensors at once.

use super::{Archive, place_name};
use crate::codec::acceleration::Accelerator;
use crate::codec::block::Block;
use crate::codec::buffer::resize;
use crate::codec::tensor::tiles;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::gpu::TensorBuffer;
use crate::kernel::Kernel;
use crate::stream::options::Pool;
use crate::stream::resources::Resources;
use crate::tensor::bases::Bases;
use rayon::prelude::*;
use std::io::{Read, Seek};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

/// A block of tiles that belongs to one tensor, and the memory that receives its bytes.
struct Whole<'a> {
    block: Block,
    payload: Vec<u8>,
    out: &'a mut [u8],
    place: String,
}

/// The raw bytes of a block, from `start` on, that `out` receives.
struct Part<'a> {
    /// The numbers of stream and block.
    block: (usize, usize),
    start: u64,
    out: &'a mut [u8],
}

impl Part<'_> {
    fn range(&self) -> Range<u64> {
        self.start..self.start + self.out.len() as u64
    }
}

/// A block of tiles, the offset of its payload, and its name for messages.
struct Tiled {
    block: Block,
    payload_at: u64,
    place: String,
}

/// The raw bytes of tiles that a thread decodes at a time where memory is limited.
const STEP: usize = 1 << 19;
/// How many such steps are read ahead for each thread.
const AHEAD: usize = 2;

/// Tiles that are decoded together, with their raw length and the length of their payload.
struct Step {
    units: Range<usize>,
    raw: usize,
    stored: u64,
}

/// Cuts the tiles of a block into steps of about `wanted` raw bytes.
fn steps(header: &BlockHeader, wanted: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for unit in 0..header.units.len() {
        if steps.last().is_none_or(|s| s.raw >= wanted) {
            steps.push(Step { units: unit..unit, raw: 0, stored: 0 });
        }
        if let Some(step) = steps.last_mut() {
            step.units.end = unit + 1;
            step.raw += header.units.unit(unit, header.raw_len).0;
            step.stored += u64::from(header.units.payload_len(unit).unwrap_or(0));
        }
    }
    steps
}

/// Decodes on all threads of a pool what this thread reads, up to `ahead` pieces ahead. Of several errors,
/// returns that of the piece that was read first.
///
/// One channel feeds all threads, because threads that wait for each other every now and then would sleep
/// longer than a step takes.
fn decode_ahead<T: Send>(
    pool: &mut Pool,
    ahead: usize,
    mut read: impl FnMut() -> Result<Option<T>>,
    decode: impl Fn(T) -> Result<()> + Send + Sync,
) -> Result<()> {
    // A thread of a pool must not wait for other threads of it, which may be waiting for it.
    if pool.threads() == 1 || rayon::current_thread_index().is_some() {
        while let Some(work) = read()? {
            pool.run(|| decode(work))??;
        }
        return Ok(());
    }
    let (send, receive) = mpsc::sync_channel(ahead);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let one = |(number, work): (usize, T)| {
            let error = decode(work).err()?;
            failed.store(true, Ordering::Relaxed);
            Some((number, error))
        };
        let all = move || receive.into_iter().par_bridge().filter_map(one).min_by_key(|e| e.0);
        let decoding = scope.spawn(move || pool.run(all));
        let mut next = || if failed.load(Ordering::Relaxed) { Ok(None) } else { read() };
        let mut number = 0..;
        let sent = loop {
            match (next(), number.next()) {
                // Nothing receives the work if the pool could not be started.
                (Ok(Some(work)), Some(number)) => _ = send.send((number, work)),
                (result, _) => break result.map(|_| ()),
            }
        };
        drop(send);
        let error = decoding.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        error.map_or(sent, |e| Err(e.1))
    })
}

impl Whole<'_> {
    fn decode(&mut self, accelerator: Option<&dyn Accelerator>, bases: &Bases) -> Result<()> {
        let (header, units) = (&self.block.header, self.block.all_units());
        let decoder = tiles::decoder(&self.block, Kernel::best(), bases);
        let result =
            decoder.and_then(|d| tiles::decode(accelerator, &d, header, &self.payload, units, self.out).1);
        result.map_err(|e| e.within(&self.place))
    }
}

impl<S: Read + Seek> Archive<S> {
    /// The bytes of several tensors, decoded in parallel.
    ///
    /// ```
    /// # use std::io::Cursor;
    /// use nzip::tensor::Dtype;
    /// let raw: Vec<u8> = (0..4000u32).flat_map(|i| (i as f32 * 0.5).to_le_bytes()).collect();
    /// let packed = nzip::compress_with(&raw, nzip::Options::new().tensor(Dtype::F32, &[40, 100], 0))?;
    /// let mut archive = nzip::Archive::new(Cursor::new(packed))?;
    /// assert_eq!(archive.read_tensors(&["data"])?, [raw]);
    /// # Ok::<(), nzip::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a name that no tensor has; [`crate::ErrorKind::LimitExceeded`]
    /// where all together exceed the memory cap, and all errors of decoding.
    pub fn read_tensors(&mut self, names: &[&str]) -> Result<Vec<Vec<u8>>> {
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let info = self.tensor(name)?.info().clone();
            places.push((info.start, info.len));
        }
        let all = places.iter().fold(0u64, |sum, p| sum.saturating_add(p.1));
        if all > self.options.resources.memory {
            let cap = self.options.resources.memory;
            return Err(Error::limit(format!("tensors of {all} bytes; the cap is {cap}")));
        }
        let mut outs = Vec::with_capacity(places.len());
        for (_, len) in &places {
            let mut out = Vec::new();
            resize(&mut out, *len as usize)?;
            outs.push(out);
        }
        let mut parts = Vec::new();
        for ((start, len), out) in places.iter().zip(&mut outs) {
            let (mut rest, mut at) = (&mut out[..], *start);
            for block in self.blocks_of(&(*start..start + len)) {
                let to = (start + len).min(self.streams[block.0].blocks[block.1].raw_end());
                let (out, after) = rest.split_at_mut((to - at) as usize);
                parts.push(Part { block, start: at, out });
                (rest, at) = (after, to);
            }
        }
        // Blocks without tiles are decoded by another pool, while the batch before is decoded by this one.
        let other = Pool::new(self.pool.threads());
        let mut pool = std::mem::replace(&mut self.pool, other);
        let result = self.decode_parts(&mut pool, parts);
        self.pool = pool;
        result.map(|()| outs)
    }

    /// Reads and decodes parts of blocks. Parts of blocks that have no tiles are decoded at once.
    fn decode_parts(&mut self, pool: &mut Pool, parts: Vec<Part<'_>>) -> Result<()> {
        let Resources { device, bases, progress, .. } = self.options.resources.clone();
        let largest = parts.iter().map(|p| p.out.len()).max().unwrap_or(0);
        let ahead = (self.batch_bytes() / largest.max(1) as u64).min(parts.len() as u64) as usize;
        let mut parts = parts.into_iter();
        let read = || {
            while let Some(part) = parts.next() {
                let coming = std::iter::once(&part).chain(parts.as_slice());
                self.expect(coming.map(|p| (p.block, p.range())))?;
                let range = part.range();
                let Part { block, out, .. } = part;
                let Some(Tiled { block, payload_at, place }) = self.tiled(block, range.clone())? else {
                    out.copy_from_slice(&self.read_range(range)?);
                    continue;
                };
                let payload = self.source.read(payload_at, block.header.payload_len.into());
                let payload = payload.map_err(|e| e.within(&place))?;
                self.decoded += out.len() as u64;
                progress.take(out.len() as u64);
                return Ok(Some(Whole { block, payload, out, place }));
            }
            Ok(None)
        };
        decode_ahead(pool, ahead, read, |mut whole: Whole<'_>| {
            whole.decode(device.accelerator(), &bases)?;
            progress.work(whole.out.len() as u64).finish();
            Ok(())
        })
    }

    /// Decodes the raw bytes from `start` on into `out`, block by block, without an intermediate copy where
    /// that is possible.
    pub(super) fn read_into(&mut self, start: u64, out: &mut [u8]) -> Result<()> {
        let range = start..start + out.len() as u64;
        let blocks = self.blocks_of(&range);
        for (i, &(stream, block)) in blocks.iter().enumerate() {
            self.expect(blocks[i..].iter().map(|&block| (block, range.clone())))?;
            let place = self.streams[stream].blocks[block];
            let (from, to) = (range.start.max(place.raw_start), range.end.min(place.raw_end()));
            let part = &mut out[(from - start) as usize..(to - start) as usize];
            match self.tiled((stream, block), from..to)? {
                Some(tiled) => self.decode_in_parts(tiled, part)?,
                None => part.copy_from_slice(&self.read_range(from..to)?),
            }
        }
        Ok(())
    }

    /// Decodes a block a few tiles at a time, so that only the payload of these tiles and of the next ones is
    /// held in addition to `out`.
    fn decode_in_parts(&mut self, tiled: Tiled, out: &mut [u8]) -> Result<()> {
        let Tiled { block, mut payload_at, place } = tiled;
        let header = &block.header;
        let within = |e: Error| e.within(&place);
        let Self { pool, source, options, decoded, .. } = self;
        let decoder = tiles::decoder(&block, Kernel::best(), &options.resources.bases).map_err(within)?;
        let device = &options.resources.device;
        // A GPU gets more work at a time than a thread.
        let steps = steps(header, STEP * if device.lanes() > 0 { 32 } else { 1 });
        let (mut left, mut rest) = (steps.iter(), &mut *out);
        let read = || {
            let Some(step) = left.next() else { return Ok(None) };
            let payload = source.read(payload_at, step.stored)?;
            payload_at += step.stored;
            let (part, others) = std::mem::take(&mut rest).split_at_mut(step.raw);
            rest = others;
            Ok(Some((step.units.clone(), payload, part)))
        };
        let ahead = AHEAD * pool.threads();
        let progress = &options.resources.progress;
        progress.take(header.raw_len.into());
        let work = progress.work(header.raw_len.into());
        let meter = work.meter();
        let result = decode_ahead(pool, ahead, read, |(units, payload, part)| {
            let (verified, result) =
                tiles::decode(device.accelerator(), &decoder, header, &payload, units, part);
            meter.advance(verified);
            result
        });
        result.map_err(within)?;
        *decoded += out.len() as u64;
        Ok(())
    }

    /// Decodes a range on the GPU and leaves it there. `None` unless the range is one block of tiles for
    /// which there are kernels.
    pub(super) fn resident(&mut self, range: Range<u64>) -> Result<Option<TensorBuffer>> {
        let device = self.options.resources.device.clone();
        let Some(gpu) = device.opened() else { return Ok(None) };
        let [block] = self.blocks_of(&range)[..] else { return Ok(None) };
        let Some(Tiled { block, payload_at, place }) = self.tiled(block, range)? else { return Ok(None) };
        let header = &block.header;
        let within = |e: Error| e.within(&place);
        let decoder =
            tiles::decoder(&block, Kernel::best(), &self.options.resources.bases).map_err(within)?;
        if !gpu.takes(&decoder) {
            return Ok(None);
        }
        let payload = self.source.read(payload_at, header.payload_len.into()).map_err(within)?;
        let buffer = gpu.tiles_to_buffer(&decoder, header, &payload, block.all_units()).map_err(within)?;
        let decoded = buffer.as_ref().map_or(0, |b| b.len);
        self.decoded += decoded;
        self.options.resources.progress.take(decoded);
        self.options.resources.progress.work(decoded).finish();
        Ok(buffer)
    }

    /// The block of tiles whose raw bytes are exactly this range, if it is one.
    fn tiled(&mut self, (stream, number): (usize, usize), range: Range<u64>) -> Result<Option<Tiled>> {
        let place = self.streams[stream].blocks[number];
        if range != (place.raw_start..place.raw_end()) {
            return Ok(None);
        }
        let (block, payload_at) = self.checked(stream, number)?;
        let place = place_name(stream, number, &place);
        let inner = self.inner_part(stream, &block, &block.all_units()).map_err(|e| e.within(&place))?;
        let tiled = matches!(block.header.units, Units::Tiles { .. }) && inner.is_none();
        Ok(tiled.then_some(Tiled { block, payload_at, place }))
    }
}
