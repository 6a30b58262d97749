//! The codec `tensor` as the rest of nzip sees it.

use super::decode::tiles;
use super::encode::{encode_block, encode_delta};
use super::stored::{BaseReference, Params};
use crate::codec::block::{Block, BlockCodec, BlockJob, BlockParams, UnitKind};
use crate::codec::encoding::{Content, Effort, EncodedBlock};
use crate::codec::hints::Hint;
use crate::codec::{Codec, store};
use crate::coder::rans::{Decoder, Freqs};
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::kernel::Kernel;
use crate::tensor::Dtype;
use crate::tensor::rounding::Rounding;
use rayon::prelude::*;
use std::sync::Arc;

/// The codec `tensor`.
pub struct Tensor;

impl BlockCodec for Tensor {
    fn id(&self) -> Codec {
        Codec::Tensor
    }

    fn name(&self) -> &'static str {
        "tensor"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Tiles
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        let params = header.params.as_deref().ok_or_else(|| self.unknown())?;
        Ok(Some(Arc::new(Params::parse(params)?)))
    }

    /// Codes numbers, alone or against their base. Bytes of no known type are taken as numbers of one byte
    /// each.
    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        let (raw, level) = (content.raw, effort.level);
        let Some(hint) = content.numbers else {
            let hint = Hint { dtype: Dtype::U8, row_bytes: 0, form: None, tile: 0 };
            return Ok(Some(encode_block(raw, hint, level)?.unwrap_or_else(|| store::encode(raw))));
        };
        let equal = content.base.filter(|base| base.bytes == raw);
        if let Some(same) = equal.map(|base| encode_delta(raw, hint, base, level)).transpose()?.flatten() {
            return Ok(Some(same));
        }
        let alone = encode_block(raw, hint, level)?;
        let delta = content.base.map(|base| encode_delta(raw, hint, base, level)).transpose()?.flatten();
        // Of equal ones, the first: it needs no base.
        Ok([alone, delta].into_iter().flatten().min_by_key(EncodedBlock::cost))
    }

    fn working_memory(&self, block: &Block, _payload: &[u8]) -> u64 {
        let tables = match block.params_as::<Params>() {
            Some(Params::Planes(planes)) => planes.table_count() as u64,
            _ => 0,
        };
        // The tables in the form in which they are looked up, and a few tiles split into parts.
        let tile = (0..block.all_units().len().min(1)).map(|i| block.unit(i).0 as u64).sum::<u64>();
        tables * Decoder::TABLE_BYTES as u64 + 4 * tile
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        jobs.par_iter_mut().for_each(|job| {
            let result = decode(job);
            job.settle(result);
        });
    }
}

/// The reference to its base of a block that is coded against one.
pub fn base_of(block: &Block) -> Option<&BaseReference> {
    match block.params_as::<Params>()? {
        Params::Planes(planes) => planes.delta.as_ref(),
        Params::Copy { .. } => None,
    }
}

/// Whether a block is coded against a base that is longer than itself.
pub fn is_widened(block: &Block) -> bool {
    base_of(block).is_some_and(|base| base.rounding == Rounding::ToBf16)
}

fn decode(job: &mut BlockJob<'_>) -> Result<()> {
    job.allocate()?;
    let decoder = tiles::decoder(job.block, Kernel::best(), job.environment.bases)?;
    let (header, accelerator) = (&job.block.header, job.environment.accelerator);
    let (verified, result) =
        tiles::decode(accelerator, &decoder, header, job.payload, job.units.clone(), &mut job.raw);
    job.verified = verified;
    job.environment.meter.advance(verified);
    result
}

impl BlockParams for Params {
    fn copy_of(&self) -> Option<u64> {
        match self {
            Params::Copy { block } => Some(*block),
            Params::Planes(_) => None,
        }
    }

    fn has_copies(&self) -> bool {
        matches!(self, Params::Planes(planes) if planes.kept)
    }

    fn stands_alone(&self) -> bool {
        matches!(self, Params::Planes(planes) if !planes.kept && planes.delta.is_none())
    }

    fn memory(&self) -> u64 {
        match self {
            Params::Copy { .. } => 0,
            Params::Planes(planes) => (planes.table_count() * size_of::<Freqs>()) as u64,
        }
    }

    fn describe(&self) -> Option<String> {
        match self {
            Params::Copy { .. } => None,
            Params::Planes(planes) => Some(planes.describe()),
        }
    }
}
