//! Decides whether a stream embeds its models.

use crate::codec::encoding::EncodedBlock;
use crate::codec::plan::{Chunk, Plan, total};
use crate::codec::window::Cutting;
use crate::codec::{Codec, zstd};
use crate::error::Result;
use crate::format::consts::max_unpacked;
use crate::models::registry::Hash;
use crate::progress::Meter;
use crate::stream::options::{CodecChoice, Options};
use std::collections::{BTreeMap, BTreeSet};

/// Compresses bytes into a stream. It is passed in because the encoder stands above this module.
pub(super) type Encode = fn(&[u8], Options) -> Result<Vec<u8>>;

/// A model in the form that a model section embeds.
pub(super) struct Packed {
    /// The length of its weights in bytes.
    pub raw_len: u64,
    pub bytes: Vec<u8>,
}

impl Packed {
    /// Packs a model; `encode` makes a stream of weights.
    pub fn new(hash: &Hash, options: &Options, encode: Encode) -> Result<Self> {
        let weights = options.resources.models.find(hash)?;
        Ok(Self { raw_len: weights.len() as u64, bytes: pack(&weights, encode)? })
    }
}

/// The blocks of some chunks, after comparing them with and without models.
pub(super) struct Weighed {
    pub blocks: Vec<EncodedBlock>,
    /// The models of the blocks, packed; `None` where models do not pay, so that the stream gets none.
    pub models: Option<BTreeMap<Hash, Packed>>,
}

/// Codes chunks. The first list of chunks ends with the content's first records: it is coded both with and
/// without models, and all chunks are coded with models if that list and the packed models together are
/// smaller than the list without models.
pub(super) fn weigh(
    plan: &Plan,
    options: &Options,
    [first, rest]: [&[Chunk<'_>]; 2],
    cutting: &Cutting,
    whole: Option<&[u8]>,
    meter: Meter<'_>,
    encode: Encode,
) -> Result<Weighed> {
    let bare = plan.without_models();
    let with = plan.blocks(first, cutting, whole, meter.share(3, 4))?;
    let without = bare.blocks(first, cutting, whole, meter.share(1, 4))?;
    let hashes: BTreeSet<Hash> = with.iter().filter_map(|b| b.model).collect();
    let pack = |hash: Hash| Ok((hash, Packed::new(&hash, options, encode)?));
    let models: BTreeMap<Hash, Packed> = hashes.into_iter().map(pack).collect::<Result<_>>()?;
    let stored: usize = models.values().map(|m| m.bytes.len()).sum();
    let pays = total(&with) + stored < total(&without);
    let (mut blocks, plan) = if pays { (with, plan) } else { (without, &bare) };
    blocks.extend(plan.blocks(rest, cutting, None, meter)?);
    Ok(Weighed { blocks, models: pays.then_some(models) })
}

/// Packs weights for a model section.
fn pack(weights: &[u8], encode: Encode) -> Result<Vec<u8>> {
    let frame = zstd::compress(weights, 19)?;
    let options = Options::new().level(9).threads(1).codec(CodecChoice::Only(Codec::Tensor));
    let stream = encode(weights, options)?;
    let packed = if stream.len() < frame.len() { stream } else { frame };
    if weights.len() as u64 <= max_unpacked(packed.len() as u64) {
        return Ok(packed);
    }
    // Weights with next to no content: no reader accepts that many bytes from so few.
    encode(weights, Options::new().level(1).threads(1).codec(CodecChoice::Only(Codec::Store)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_nearly_nothing_are_not_packed_too_small() {
        for len in [1 << 20, (1 << 20) + 1, 5 << 20] {
            let packed = pack(&vec![0; len], crate::compress_with).unwrap();
            assert!(len as u64 <= max_unpacked(packed.len() as u64), "{len} bytes in {}", packed.len());
        }
    }
}
