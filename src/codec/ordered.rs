//! Decodes blocks in order, one check unit after the other, for codecs whose units cannot be decoded alone.

pub use super::reader::Reader;

use super::block::{Block, BlockJob, Environment, LoadedModel, OrderedBlock};
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::format::checksum::{Check, same};
use crate::progress::Meter;
use rayon::prelude::*;

/// Raw bytes of a block for which memory may always be allocated at once, whatever its payload.
const PIECE: u64 = 1 << 20;
/// Raw bytes per byte of payload for which memory may be allocated at once.
const MODEST: u64 = 64;
/// The number of bytes that are decoded before they are hashed: few enough to be still in the processor's
/// cache.
const HOT: usize = 64 << 10;

/// Whether a block is short enough, for its payload and the memory cap, that the room for all of it may be
/// allocated at once.
pub fn is_modest(header: &BlockHeader, memory: u64) -> bool {
    let (len, payload_len) = (u64::from(header.raw_len), u64::from(header.payload_len));
    len <= memory / 4 && len <= (MODEST * payload_len).max(PIECE)
}

/// Decodes a block unit by unit and verifies each.
pub struct OrderedDecoder(Box<dyn Reader>);

impl OrderedDecoder {
    /// Opens a block. Its first byte will be appended to the bytes that `raw` holds.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::LimitExceeded`] where `memory` bytes are too few, and the errors of the codec's
    /// own header.
    pub fn new(
        block: &Block,
        payload: &[u8],
        model: Option<&LoadedModel>,
        memory: u64,
        raw: &mut Vec<u8>,
    ) -> Result<Self> {
        let modest = is_modest(&block.header, memory);
        block.codec.open(&OrderedBlock { block, payload, model, memory, modest }, raw).map(Self)
    }

    /// Whether all calls must get the same buffer, with the block's earlier bytes in it. Otherwise the caller
    /// may take bytes out between calls.
    pub fn in_place(&self) -> bool {
        self.0.in_place()
    }

    /// Turns the payload's memory into the raw bytes where the two are equal. `raw` must be empty.
    pub fn adopt(&mut self, payload: &mut Vec<u8>, raw: &mut Vec<u8>) {
        self.0.adopt(payload, raw);
    }

    /// Makes `raw` at least `end` bytes long and compares the check value of its bytes from `start` to `end`.
    /// In place, `raw` may become longer than that, by no more than zstd decodes at a time. `meter` counts
    /// the bytes.
    ///
    /// # Errors
    ///
    /// Those of decoding; [`crate::ErrorKind::Corrupt`] where the check value differs.
    pub fn unit(
        &mut self,
        payload: &[u8],
        start: usize,
        end: usize,
        check: u32,
        raw: &mut Vec<u8>,
        meter: Meter<'_>,
    ) -> Result<()> {
        let (mut hash, mut at) = (Check::default(), start);
        while at < end {
            let to = end.min(at + HOT);
            self.0.fill(payload, to, raw)?;
            hash.update(&raw[at..to]);
            meter.advance(to - at);
            at = to;
        }
        same("raw bytes", check, hash.value())
    }

    /// Fails unless the payload ends here.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where it goes on.
    pub fn finish(&mut self, payload: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        self.0.finish(payload, raw)
    }
}

/// Decodes the first `count` units of a block and appends them to `raw`; see [`OrderedDecoder::new`] for
/// `memory`. After an error, `raw` ends with the last unit that has been verified.
///
/// # Errors
///
/// Those of [`OrderedDecoder`].
pub fn decode_units(
    block: &Block,
    payload: &[u8],
    model: Option<&LoadedModel>,
    count: usize,
    memory: u64,
    raw: &mut Vec<u8>,
    meter: Meter<'_>,
) -> Result<()> {
    let mut decoder = OrderedDecoder::new(block, payload, model, memory, raw)?;
    let mut verified = raw.len();
    for i in 0..count {
        let (len, check) = block.unit(i);
        let end = verified + len;
        if let Err(e) = decoder.unit(payload, verified, end, check, raw, meter) {
            raw.truncate(verified);
            return Err(e.within(format!("unit {i}")));
        }
        verified = end;
    }
    let result = if count == block.all_units().end { decoder.finish(payload, raw) } else { Ok(()) };
    raw.truncate(verified);
    result
}

/// Decodes jobs in parallel, the units of each in order.
pub fn decode(jobs: &mut [&mut BlockJob<'_>]) {
    jobs.par_iter_mut().for_each(|job| {
        job.raw.clear();
        let (block, payload, count) = (job.block, job.payload, job.units.end);
        let Environment { memory, meter, .. } = job.environment;
        let result = decode_units(block, payload, job.model.as_ref(), count, memory, &mut job.raw, meter);
        job.verified = job.raw.len();
        job.settle(result);
    });
}
