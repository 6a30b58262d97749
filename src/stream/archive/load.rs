//! Reading many tensors at once.

use super::{Archive, place_name};
use crate::codec::decode::{resize, tile_decoder, tiles, validate};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::kernel::Kernel;
use crate::stream::options::Pool;
use crate::tensor::bases::Bases;
use rayon::prelude::*;
use std::io::{Read, Seek};
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

/// A block of tiles that belongs to one tensor, and where its bytes go.
struct Whole<'a> {
    header: BlockHeader,
    payload: Vec<u8>,
    out: &'a mut [u8],
    place: String,
}

/// The raw bytes of a block from `start` on that `out` wants.
struct Part<'a> {
    /// Numbers of stream and block.
    block: (usize, usize),
    start: u64,
    out: &'a mut [u8],
}

/// A validated block of tiles, where its payload starts, and its name in messages.
struct Tiled {
    header: BlockHeader,
    payload_at: u64,
    place: String,
}

/// Raw bytes of tiles for each thread that are decoded at a time where memory counts.
const STEP: usize = 2 << 20;

impl Whole<'_> {
    fn decode(&mut self, device: &Device, bases: &Bases) -> Result<()> {
        let units = 0..self.header.units.len();
        let decoder = tile_decoder(&self.header, Kernel::best(), bases);
        let result = decoder.and_then(|d| tiles(device, &d, &self.header, &self.payload, units, self.out).1);
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
    /// [`crate::ErrorKind::BadArgument`] for a name that no tensor has, [`crate::ErrorKind::LimitExceeded`] where all together are
    /// larger than the memory cap, and all that decoding can give.
    pub fn read_tensors(&mut self, names: &[&str]) -> Result<Vec<Vec<u8>>> {
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let info = self.tensor(name)?.info().clone();
            places.push((info.start, info.len));
        }
        let all = places.iter().fold(0u64, |sum, p| sum.saturating_add(p.1));
        if all > self.options.memory {
            let cap = self.options.memory;
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
        // What has no tiles is decoded by another pool, while the batch before it is decoded by this one.
        let other = Pool::new(self.pool.threads());
        let mut pool = std::mem::replace(&mut self.pool, other);
        let result = self.decode_parts(&mut pool, parts.into_iter());
        self.pool = pool;
        result.map(|()| outs)
    }

    /// Reads and decodes parts of blocks; what comes next is read while a batch is decoded.
    fn decode_parts<'a>(&mut self, pool: &mut Pool, mut parts: impl Iterator<Item = Part<'a>>) -> Result<()> {
        let (device, bases) = (self.options.device.clone(), self.options.bases.clone());
        let batch_bytes = self.batch_bytes();
        let mut batch = self.read_batch(&mut parts, batch_bytes)?;
        while !batch.is_empty() {
            let threads = pool.threads();
            let mut decode =
                || pool.run(|| batch.par_iter_mut().try_for_each(|w| w.decode(&device, &bases)))?;
            let (decoded, next) = if threads == 1 {
                (decode(), self.read_batch(&mut parts, batch_bytes))
            } else {
                thread::scope(|scope| {
                    let decoding = scope.spawn(decode);
                    let next = self.read_batch(&mut parts, batch_bytes);
                    (decoding.join().unwrap_or_else(|panic| resume_unwind(panic)), next)
                })
            };
            decoded?;
            self.decoded += batch.iter().map(|w| w.out.len() as u64).sum::<u64>();
            batch = next?;
        }
        Ok(())
    }

    /// Reads the payloads of some `bytes` raw bytes; parts of blocks that have no tiles are decoded at once.
    fn read_batch<'a>(
        &mut self,
        parts: &mut impl Iterator<Item = Part<'a>>,
        bytes: u64,
    ) -> Result<Vec<Whole<'a>>> {
        let (mut batch, mut raw) = (Vec::new(), 0);
        while raw < bytes
            && let Some(Part { block, start, out }) = parts.next()
        {
            let range = start..start + out.len() as u64;
            let Some(Tiled { header, payload_at, place }) = self.tiled(block, range.clone())? else {
                out.copy_from_slice(&self.read_range(range)?);
                continue;
            };
            let payload = self.source.read(payload_at, header.payload_len.into());
            let payload = payload.map_err(|e| e.within(&place))?;
            raw += out.len() as u64;
            batch.push(Whole { header, payload, out, place });
        }
        Ok(batch)
    }

    /// Decodes the raw bytes from `start` on into `out`, block by block and where possible without a copy in between.
    pub(super) fn read_into(&mut self, start: u64, out: &mut [u8]) -> Result<()> {
        let range = start..start + out.len() as u64;
        for (stream, block) in self.blocks_of(&range) {
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

    /// Decodes a block some tiles at a time, so that no more than their payload is held beside `out`.
    fn decode_in_parts(&mut self, tiled: Tiled, mut out: &mut [u8]) -> Result<()> {
        let Tiled { header, mut payload_at, place } = tiled;
        let within = |e: Error| e.within(&place);
        let decoder = tile_decoder(&header, Kernel::best(), &self.options.bases).map_err(within)?;
        let device = &self.options.device;
        // A GPU is given as much at a time as sixteen threads.
        let wanted = STEP * if device.lanes() > 0 { 16 } else { self.pool.threads() };
        let mut units = 0..0;
        while units.end < header.units.len() {
            units.start = units.end;
            let (mut raw, mut stored) = (0, 0);
            while units.end < header.units.len() && raw < wanted {
                raw += header.units.unit(units.end, header.raw_len).0;
                stored += u64::from(header.units.payload_len(units.end).unwrap_or(0));
                units.end += 1;
            }
            let payload = self.source.read(payload_at, stored).map_err(within)?;
            let (part, rest) = out.split_at_mut(raw);
            let decode = || tiles(device, &decoder, &header, &payload, units.clone(), part).1;
            self.pool.run(decode)?.map_err(within)?;
            self.decoded += raw as u64;
            (out, payload_at) = (rest, payload_at + stored);
        }
        Ok(())
    }

    /// Decodes a range on a GPU and leaves it there, where it is one block of tiles for which there are kernels.
    #[cfg(feature = "gpu")]
    pub(super) fn resident(
        &mut self,
        gpu: &crate::gpu::Shared,
        range: Range<u64>,
    ) -> Result<Option<crate::TensorBuffer>> {
        use crate::gpu::tensor::{fits, resident};
        let [block] = self.blocks_of(&range)[..] else { return Ok(None) };
        let Some(Tiled { header, payload_at, place }) = self.tiled(block, range)? else { return Ok(None) };
        let within = |e: Error| e.within(&place);
        let decoder = tile_decoder(&header, Kernel::best(), &self.options.bases).map_err(within)?;
        if !fits(decoder.params()) {
            return Ok(None);
        }
        let payload = self.source.read(payload_at, header.payload_len.into()).map_err(within)?;
        let units = 0..header.units.len();
        let buffer = gpu.attempt(|gpu| resident(gpu, &decoder, &header, &payload, units))?;
        let buffer = buffer.transpose().map_err(within)?;
        self.decoded += buffer.as_ref().map_or(0, |b| b.len);
        Ok(buffer)
    }

    /// A block of tiles whose raw bytes are exactly these.
    fn tiled(&mut self, (stream, block): (usize, usize), range: Range<u64>) -> Result<Option<Tiled>> {
        let place = self.streams[stream].blocks[block];
        let (header, payload_at) = self.header(stream, block)?;
        if range != (place.raw_start..place.raw_end()) || !matches!(header.units, Units::Tiles { .. }) {
            return Ok(None);
        }
        let place = place_name(stream, block, &place);
        validate(&header).map_err(|e| e.within(&place))?;
        Ok(Some(Tiled { header, payload_at, place }))
    }
}
