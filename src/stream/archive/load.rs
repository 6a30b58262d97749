//! Reading many tensors at once.

use super::{Archive, place_name};
use crate::codec::decode::{resize, tile_decoder, tiles, validate};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::kernel::Kernel;
use crate::tensor::bases::Bases;
use rayon::prelude::*;
use std::io::{Read, Seek};

/// A block of tiles that belongs to one tensor, and where its bytes go.
struct Whole<'a> {
    header: BlockHeader,
    payload: Vec<u8>,
    out: &'a mut [u8],
    place: String,
}

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
        let (mut batch, mut raw) = (Vec::new(), 0);
        for ((start, len), out) in places.iter().zip(&mut outs) {
            let (mut rest, mut at) = (&mut out[..], *start);
            for (stream, block) in self.blocks_of(&(*start..start + len)) {
                let to = (start + len).min(self.streams[stream].blocks[block].raw_end());
                let (part, after) = rest.split_at_mut((to - at) as usize);
                if let Some(whole) = self.whole((stream, block), at, part)? {
                    raw += whole.out.len() as u64;
                    batch.push(whole);
                }
                (rest, at) = (after, to);
                if raw >= self.batch_bytes() {
                    self.decode_whole(std::mem::take(&mut batch))?;
                    raw = 0;
                }
            }
        }
        self.decode_whole(batch)?;
        Ok(outs)
    }

    /// Decodes the raw bytes from `start` on into `out`, block by block and where possible without a copy in between.
    pub(super) fn read_into(&mut self, start: u64, out: &mut [u8]) -> Result<()> {
        let range = start..start + out.len() as u64;
        for (stream, block) in self.blocks_of(&range) {
            let place = self.streams[stream].blocks[block];
            let (from, to) = (range.start.max(place.raw_start), range.end.min(place.raw_end()));
            let part = &mut out[(from - start) as usize..(to - start) as usize];
            let whole = self.whole((stream, block), from, part)?;
            self.decode_whole(whole.into_iter().collect())?;
        }
        Ok(())
    }

    /// Reads a block of which `out` wants the raw bytes from `from` on. Where that is all of it and it has tiles, they are
    /// yet to be decoded; anything else is.
    fn whole<'a>(
        &mut self,
        (stream, block): (usize, usize),
        from: u64,
        out: &'a mut [u8],
    ) -> Result<Option<Whole<'a>>> {
        let place = self.streams[stream].blocks[block];
        let to = from + out.len() as u64;
        let (header, at) = self.header(stream, block)?;
        if (from, to) != (place.raw_start, place.raw_end()) || !matches!(header.units, Units::Tiles { .. }) {
            out.copy_from_slice(&self.read_range(from..to)?);
            return Ok(None);
        }
        let name = place_name(stream, block, &place);
        validate(&header).map_err(|e| e.within(&name))?;
        let payload = self.source.read(at, header.payload_len.into()).map_err(|e| e.within(&name))?;
        Ok(Some(Whole { header, payload, out, place: name }))
    }

    fn decode_whole(&mut self, mut batch: Vec<Whole<'_>>) -> Result<()> {
        let (device, bases) = (&self.options.device, &self.options.bases);
        self.pool.run(|| batch.par_iter_mut().try_for_each(|w| w.decode(device, bases)))??;
        self.decoded += batch.iter().map(|w| w.out.len() as u64).sum::<u64>();
        Ok(())
    }
}
