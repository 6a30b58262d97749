//! Decodes the tiles of a block in parallel.

use super::tile::{Scratch, TileDecoder};
use crate::codec::acceleration::Accelerator;
use crate::codec::block::Block;
use crate::codec::newer;
use crate::codec::tensor::stored::Params;
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::format::checksum::{check32, same};
use crate::kernel::Kernel;
use crate::tensor::bases::Bases;
use rayon::prelude::*;
use std::ops::Range;

/// Prepares the decoder of a block's tiles and finds its base.
///
/// # Errors
///
/// [`crate::ErrorKind::MissingBase`] where the base is not among `bases`; [`crate::ErrorKind::Corrupt`] for
/// copies, which have no tiles of their own.
pub fn decoder(block: &Block, kernel: Kernel, bases: &Bases) -> Result<TileDecoder> {
    let params = block.params_as::<Params>();
    let params = params.ok_or_else(|| Error::corrupt("a tensor block without parameters"))?;
    TileDecoder::new(params, block.header.raw_len.into(), kernel, bases)
}

/// Decodes some tiles of a block, on the accelerator or in parallel on the CPU, and compares their check
/// values. `payload` and `raw` are exactly those of the tiles. Returns how many bytes from the start of `raw`
/// have been verified, and the error that ended this, if any.
pub fn decode(
    accelerator: Option<&dyn Accelerator>,
    decoder: &TileDecoder,
    header: &BlockHeader,
    payload: &[u8],
    units: Range<usize>,
    raw: &mut [u8],
) -> (usize, Result<()>) {
    let done = accelerator.and_then(|a| a.tiles(decoder, header, payload, units.clone(), raw));
    done.unwrap_or_else(|| decode_on_cpu(decoder, header, payload, units, raw, |_| false))
}

/// Does the same on the CPU. Tiles for which `is_done`, indexed from the first one, is true have already been
/// decoded and are only verified.
pub fn decode_on_cpu(
    decoder: &TileDecoder,
    header: &BlockHeader,
    mut payload: &[u8],
    units: Range<usize>,
    mut raw: &mut [u8],
    is_done: impl Fn(usize) -> bool + Sync,
) -> (usize, Result<()>) {
    let Units::Tiles { raw: size, tiles } = &header.units else { return (0, Err(newer("units"))) };
    let mut jobs = Vec::with_capacity(units.len());
    for i in units {
        let (bytes, after) = payload.split_at(tiles[i].payload_len as usize);
        let (out, rest) = raw.split_at_mut(header.units.unit(i, header.raw_len).0);
        jobs.push((i, bytes, out));
        (payload, raw) = (after, rest);
    }
    let decode = |scratch: &mut Scratch, (i, bytes, out): (usize, &[u8], &mut [u8])| {
        let start = i as u64 * u64::from(*size);
        let result = if is_done(i) { Ok(()) } else { decoder.tile(bytes, start, out, scratch) };
        let result = result.and_then(|()| same("raw bytes", tiles[i].check, check32(out)));
        (out.len(), result.map_err(|e| e.within(format!("tile {i}"))))
    };
    let results: Vec<_> = jobs.into_par_iter().map_init(Scratch::default, decode).collect();
    let mut verified = 0;
    for (len, result) in results {
        if result.is_err() {
            return (verified, result);
        }
        verified += len;
    }
    (verified, Ok(()))
}
