//! Reading many tensors at once.

use super::{Archive, place_name};
use crate::codec::decode::{resize, tile_decoder, tiles, validate};
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
    fn decode(&mut self, bases: &Bases) -> Result<()> {
        let units = 0..self.header.units.len();
        let decoder = tile_decoder(&self.header, Kernel::best(), bases);
        let result = decoder.and_then(|d| tiles(&d, &self.header, &self.payload, units, self.out).1);
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
                let place = self.streams[stream].blocks[block];
                let to = (start + len).min(place.raw_end());
                let (part, after) = rest.split_at_mut((to - at) as usize);
                rest = after;
                let (header, payload_at) = self.header(stream, block)?;
                let whole = at == place.raw_start && to == place.raw_end();
                if whole && matches!(header.units, Units::Tiles { .. }) {
                    let name = place_name(stream, block, &place);
                    validate(&header).map_err(|e| e.within(&name))?;
                    let payload = self.source.read(payload_at, header.payload_len.into())?;
                    raw += part.len() as u64;
                    batch.push(Whole { header, payload, out: part, place: name });
                } else {
                    part.copy_from_slice(&self.read_range(at..to)?);
                }
                at = to;
                if raw >= self.batch_bytes() {
                    self.decode_whole(std::mem::take(&mut batch), std::mem::take(&mut raw))?;
                }
            }
        }
        self.decode_whole(batch, raw)?;
        Ok(outs)
    }

    fn decode_whole(&mut self, mut batch: Vec<Whole<'_>>, raw: u64) -> Result<()> {
        let bases = &self.options.bases;
        self.pool.run(|| batch.par_iter_mut().try_for_each(|w| w.decode(bases)))??;
        self.decoded += raw;
        Ok(())
    }
}
