//! The `table` codec: columns of delimited text become variables of a circuit that is learned from the block
//! itself; columns that do not suit a circuit are coded by `mix`. Specified in `formats/table.md`.

mod cells;
mod decode;
mod encode;
mod grid;
mod learn;
mod payload;
mod plan;
mod predict;
mod rows;
mod schema;

pub use decode::{decode, inspect, restore};
pub use encode::payloads;
pub use grid::is_likely;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, OrderedBlock, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::hints::Guide;
use super::mix::{self, MixOptions};
use super::ordered::{self, Reader};
use super::reader::DecodedBlock;
use crate::error::Result;
use crate::model::mix::context::Kind;
use crate::model::mix::shipped;

/// The first level at which the automatic choice looks for tables.
const FIRST_LEVEL: u8 = 6;

/// The codec `table`.
pub struct TableCodec;

impl BlockCodec for TableCodec {
    fn id(&self) -> Codec {
        Codec::Table
    }

    fn name(&self) -> &'static str {
        "table"
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
        // `mix` codes the text of tables.
        level >= FIRST_LEVEL && shipped::has(Kind::Text)
    }

    fn encoding_memory(&self, len: usize, raw: Option<&[u8]>, effort: &Effort<'_>) -> Option<u64> {
        let cells = if raw.is_some_and(is_likely) { 8 * len as u64 } else { 0 };
        let text = Effort { guide: Guide::None, ..*effort };
        Some(cells + Codec::Mix.object().encoding_memory(len, raw, &text)?)
    }

    fn start_len(&self) -> u64 {
        shipped::PACKED_LEN
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        let (raw, level) = (content.raw, mix::level(effort.level).max(1));
        // Decoding holds rows, symbols and the parts that `mix` has coded.
        let limit = effort.limit.saturating_sub(6 * raw.len() as u64);
        match MixOptions::within(level, raw.len(), limit, false) {
            Some(options) => encode::encode(raw, effort.only, &options),
            None => Ok(None),
        }
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        decode::working_memory(payload, block.header.raw_len as usize)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let raw_len = block.block.header.raw_len as usize;
        Ok(Box::new(DecodedBlock::new(decode(block.payload, raw_len, block.memory)?)))
    }

    fn own_model_len(&self, read: &mut dyn FnMut(u64) -> Result<Vec<u8>>) -> Result<u64> {
        Ok(payload::own_model_len(&read(payload::LENGTHS as u64)?).unwrap_or(0))
    }
}

/// The largest raw length that `payload_len` bytes of payload may stand for.
fn max_raw(payload_len: u64) -> u64 {
    payload_len << 15
}
