//! The `store` codec: the payload is the raw bytes. The encoder makes the whole block one check unit.

use super::Codec;
use super::block::{BlockCodec, BlockJob, BlockParams, OrderedBlock, UnitKind};
use super::buffer::reserve;
use super::encoding::{Content, Effort, EncodedBlock};
use super::ordered::{self, Reader};
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::format::checksum::check32;
use crate::format::consts::MIN_UNIT_LOG2;
use std::sync::Arc;

/// The codec `store`.
pub struct Store;

impl BlockCodec for Store {
    fn id(&self) -> Codec {
        Codec::Store
    }

    fn name(&self) -> &'static str {
        "store"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        payload_len
    }

    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        if header.raw_len != header.payload_len {
            return Err(Error::corrupt("a stored block whose lengths differ"));
        }
        if header.params.is_some() { Err(self.unknown()) } else { Ok(None) }
    }

    fn encode(&self, content: &Content<'_>, _effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        Ok(Some(encode(content.raw)))
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, _block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Copier { at: 0 }))
    }
}

/// Codes a block of 1..=2^30 bytes.
pub fn encode(raw: &[u8]) -> EncodedBlock {
    let log2 = raw.len().next_power_of_two().trailing_zeros() as u8;
    EncodedBlock {
        codec: Codec::Store,
        raw_len: raw.len() as u32,
        model: None,
        params: None,
        units: Units::Fixed { log2: log2.max(MIN_UNIT_LOG2), checks: vec![check32(raw)] },
        payload: raw.to_vec(),
    }
}

struct Copier {
    /// The offset of the next byte.
    at: usize,
}

impl Reader for Copier {
    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        let Some(more) = end.checked_sub(raw.len()).filter(|n| *n > 0) else { return Ok(()) };
        let bytes = self.at.checked_add(more).and_then(|to| payload.get(self.at..to));
        let bytes = bytes.ok_or_else(|| Error::corrupt("a stored block ends before its raw length"))?;
        reserve(raw, bytes.len())?;
        raw.extend_from_slice(bytes);
        self.at += bytes.len();
        Ok(())
    }

    fn in_place(&self) -> bool {
        true
    }

    fn adopt(&mut self, payload: &mut Vec<u8>, raw: &mut Vec<u8>) {
        std::mem::swap(payload, raw);
    }
}
