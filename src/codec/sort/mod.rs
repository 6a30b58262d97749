//! The codec `sort`: block sorting, specified in `formats/sort.md`.

mod decode;
mod encode;

pub use decode::decode_block;
pub use encode::encode_block;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, OrderedBlock, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::ordered;
use super::reader::{DecodedBlock, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::Units;
use crate::model::mix::context::Machine;
use crate::model::sort::Mode;
use crate::model::sort::transform::{self, LONGEST};

/// Version of the codec.
const VERSION: u8 = 1;
/// Bits of the payload's second byte: the mode, then the filter.
const SYMBOLS: u8 = 1;
const FILTER: u8 = 6;
const FILTER_SHIFT: u32 = 1;
/// The machines for whose code there are filters, in the order of their numbers, from 1 on.
const MACHINES: [Machine; 3] = [Machine::X86, Machine::X64, Machine::Arm64];
/// Bytes before the starts, and of each of these.
const FIXED: usize = 2;
const START: usize = 3;
/// The most raw bytes that a byte of payload, or one of a few more, can stand for.
const MAX_EXPANSION: u64 = 46_000;
const MORE: u64 = 8;
/// Memory in bytes that distributions take.
const FIXED_MEMORY: u64 = 8 << 20;
/// The level at which the automatic choice tries `sort` for all content.
const LEVEL: u8 = 4;
/// Up to this many raw bytes, levels above [`LEVEL`] always try `sort` too: content so short takes no time worth
/// mentioning.
const SHORT: usize = 16 << 10;
/// log2 of the raw bytes of a check unit.
const UNIT_LOG2: u8 = 20;

/// The codec `sort`.
pub struct SortCodec;

impl BlockCodec for SortCodec {
    fn id(&self) -> Codec {
        Codec::Sort
    }

    fn name(&self) -> &'static str {
        "sort"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        ((payload_len + MORE) * MAX_EXPANSION).min(LONGEST as u64)
    }

    fn is_tried(&self, level: u8) -> bool {
        level >= LEVEL
    }

    fn longest_tried(&self, level: u8) -> usize {
        if level > LEVEL { SHORT } else { usize::MAX }
    }

    fn encoding_memory(&self, len: usize, _raw: Option<&[u8]>, effort: &Effort<'_>) -> Option<u64> {
        // Readers hold the payload and keep what they have read.
        let fits = decoding_need(len) + 2 * len as u64 <= effort.limit - effort.limit / 8;
        fits.then_some(FIXED_MEMORY + 14 * len as u64)
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        let raw = content.raw;
        let too_much = self.encoding_memory(raw.len(), None, effort).is_none();
        if too_much || !(1..=LONGEST).contains(&raw.len()) {
            return Ok(None);
        }
        let payload = encode_block(raw)?;
        if raw.len() as u64 > self.max_raw(payload.len() as u64) {
            return Ok(None);
        }
        Ok(Some(EncodedBlock {
            codec: Codec::Sort,
            raw_len: raw.len() as u32,
            model: None,
            params: None,
            units: Units::fixed(UNIT_LOG2, raw),
            payload,
        }))
    }

    fn working_memory(&self, block: &Block, _payload: &[u8]) -> u64 {
        decoding_need(block.header.raw_len as usize)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let raw_len = block.block.header.raw_len as usize;
        Ok(Box::new(DecodedBlock::new(decode_block(block.payload, raw_len, block.memory)?)))
    }
}

/// Memory in bytes that decoding a block takes beside its payload: sorted bytes, steps, raw bytes and distributions.
fn decoding_need(raw_len: usize) -> u64 {
    FIXED_MEMORY + 6 * raw_len as u64
}

/// The bytes of a payload before those of the coder.
struct Header {
    mode: Mode,
    /// The machine for whose code a filter is undone at the end.
    machine: Option<Machine>,
    starts: Vec<u32>,
}

impl Header {
    fn write(&self) -> Vec<u8> {
        let mode = if self.mode == Mode::Symbols { SYMBOLS } else { 0 };
        let filter = self.machine.and_then(|machine| MACHINES.iter().position(|m| *m == machine));
        let mut out = vec![VERSION, mode | filter.map_or(0, |filter| (filter as u8 + 1) << FILTER_SHIFT)];
        self.starts.iter().for_each(|s| out.extend_from_slice(&s.to_le_bytes()[..START]));
        out
    }

    /// Reads the header of a block, and returns it with the coder's bytes.
    fn read(payload: &[u8], raw_len: usize) -> Result<(Self, &[u8])> {
        let short = || Error::truncated("a sort payload ends in its header");
        let (&[version, flags], rest) = payload.split_first_chunk::<FIXED>().ok_or_else(short)?;
        if version != VERSION || flags & !(SYMBOLS | FILTER) != 0 {
            let message = format!("sort version {version}, flags {flags}: needs a newer nzip");
            return Err(Error::new(ErrorKind::NewerVersion, message));
        }
        let count = raw_len.div_ceil(transform::part_len(raw_len).max(1));
        let (starts, rest) = rest.split_at_checked(count * START).ok_or_else(short)?;
        let starts = starts.as_chunks::<START>().0.iter();
        let starts = starts.map(|&[a, b, c]| u32::from_le_bytes([a, b, c, 0]));
        // The row behind all others takes one bit more.
        let row = |s: u32| if s == 0 && raw_len == LONGEST { raw_len as u32 } else { s };
        let starts = starts.map(row).collect();
        let mode = if flags & SYMBOLS != 0 { Mode::Symbols } else { Mode::Ranks };
        let filter = usize::from((flags & FILTER) >> FILTER_SHIFT);
        let machine = filter.checked_sub(1).and_then(|filter| MACHINES.get(filter)).copied();
        Ok((Self { mode, machine, starts }, rest))
    }
}
