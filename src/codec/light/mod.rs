//! The codec `light`: context mixing with few contexts, specified in `formats/light.md`.
//!
//! It shares the kinds of data, the contexts and the filters of code with `mix`, and takes less than half of
//! its time: bytes go through a Huffman-shaped code, so that common ones take few decisions, and each
//! decision mixes few predictions in a single layer.

mod decode;
mod encode;
mod header;

pub use decode::BlockDecoder;
pub use encode::encode_block;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, OrderedBlock, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::mix::bitwise::max_raw;
use super::mix::kind_of;
use super::ordered::{self, Reader};
use crate::error::Result;
use crate::format::block::Units;
use crate::model::mix::shipped;

/// The level at which the automatic choice tries `light` for all content.
const LEVEL: u8 = 5;
/// Up to this many raw bytes, levels above [`LEVEL`] always try `light` too: content so short takes no time worth
/// mentioning, and `light` may beat `mix` on it.
const SHORT: usize = 16 << 10;
/// log2 of the raw bytes of a check unit.
const UNIT_LOG2: u8 = 20;

/// The codec `light`.
pub struct LightCodec;

impl BlockCodec for LightCodec {
    fn id(&self) -> Codec {
        Codec::Light
    }

    fn name(&self) -> &'static str {
        "light"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        max_raw(payload_len)
    }

    fn is_tried(&self, level: u8) -> bool {
        level >= LEVEL
    }

    fn longest_tried(&self, level: u8) -> usize {
        if level > LEVEL { SHORT } else { usize::MAX }
    }

    fn learns_numbers(&self) -> bool {
        true
    }

    fn encoding_memory(&self, len: usize, _raw: Option<&[u8]>, effort: &Effort<'_>) -> Option<u64> {
        let need = header::least_memory(encode::table_bits(len), len);
        // Readers hold the payload and keep what they have read.
        let fits = need + 2 * len as u64 <= effort.limit - effort.limit / 8;
        fits.then_some(need + len as u64)
    }

    fn start_len(&self) -> u64 {
        shipped::PACKED_LEN
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        if self.encoding_memory(content.raw.len(), None, effort).is_none() {
            return Ok(None);
        }
        let raw = content.raw;
        Ok(Some(EncodedBlock {
            codec: Codec::Light,
            raw_len: raw.len() as u32,
            model: None,
            params: None,
            units: Units::fixed(UNIT_LOG2, raw),
            payload: encode::encode_known(raw, content.sample_of.and_then(kind_of))?,
        }))
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        // A payload without a valid header takes nothing.
        header::read(payload)
            .map_or(0, |(shape, _)| header::memory_need(&shape, block.header.raw_len as usize))
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let raw_len = block.block.header.raw_len as usize;
        Ok(Box::new(BlockDecoder::new(block.payload, raw_len, block.memory)?))
    }
}
