//! The `mix` codec: context mixing and a binary arithmetic coder, specified in `formats/mix.md`.
//!
//! For each bit, a predictor gives a probability, the coder codes the bit with it, and the predictor learns
//! the bit. A decoder makes the same predictions from the bits decoded so far, so both directions share the
//! predictor.

mod arm64;
pub(super) mod bitwise;
mod decode;
mod encode;
pub(super) mod filter;
mod guide;
pub(super) mod kind;
mod learn;
pub(super) mod machine;
mod shape;
mod x86;

pub use decode::BlockDecoder;
pub use encode::encode_block;
pub use learn::learn_priors;
pub(super) use shape::kind_of;
pub use shape::{MixOptions, memory_of};

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, ModelUse, OrderedBlock, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::hints::Guide;
use super::ordered::{self, Reader};
use crate::error::Result;
use crate::model::mix::shipped;

/// The `mix` level for each of nzip's levels 1..=9; 0 where `mix` is not tried.
const LEVELS: [u32; 9] = [0, 0, 0, 0, 0, 2, 3, 4, 5];
/// Raw bytes of a block at the last level: everything learned is forgotten between blocks.
const BEST_CHUNK: usize = 64 << 20;

/// The codec `mix`.
pub struct Mix;

impl BlockCodec for Mix {
    fn id(&self) -> Codec {
        Codec::Mix
    }

    fn name(&self) -> &'static str {
        "mix"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn model_use(&self) -> ModelUse {
        ModelUse::Optional(Codec::Lm)
    }

    fn is_tried(&self, at: u8) -> bool {
        level(at) > 0
    }

    fn learns_numbers(&self) -> bool {
        true
    }

    fn encoding_memory(&self, len: usize, _raw: Option<&[u8]>, effort: &Effort<'_>) -> Option<u64> {
        let guided = !matches!(effort.guide, Guide::None);
        shape::encoding_need(level(effort.level).max(1), len, effort.limit, guided)
    }

    fn preferred_chunk(&self, at: u8) -> Option<usize> {
        (at == 9).then_some(BEST_CHUNK)
    }

    fn start_len(&self) -> u64 {
        shipped::PACKED_LEN
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        encode::encode(content, level(effort.level).max(1), effort)
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        memory_of(payload, block.header.raw_len as usize)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let network = block.model.and_then(|m| m.network.clone());
        let raw_len = block.block.header.raw_len as usize;
        Ok(Box::new(BlockDecoder::new(block.payload, raw_len, block.memory, network)?))
    }
}

/// The `mix` level for a level of 1..=9; 0 where `mix` is not tried.
pub fn level(level: u8) -> u32 {
    LEVELS[usize::from(level.clamp(1, 9)) - 1]
}
