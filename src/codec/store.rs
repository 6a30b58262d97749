//! The `store` codec: the payload is the raw bytes. The encoder makes the whole block one check unit.

use super::{Codec, EncodedBlock};
use crate::format::block::Units;
use crate::format::checksum::check32;
use crate::format::consts::MIN_UNIT_LOG2;

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
