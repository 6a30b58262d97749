//! The choice of the codec for numbers of known types, and for the bytes between them: the blocks of files of
//! tensors.
//!
//! Loading a tensor has to be fast, so the tensor codec is the usual one. A codec that decodes slowly must
//! save much before it is taken, and samples tell whether trying it is worth the time.

use super::block::attempt;
use super::choose::{Plan, plain, smaller, smallest};
use super::encoding::{Content, Effort, EncodedBlock};
use super::hints::Guide;
use super::rivals::THOROUGH;
use super::{CODECS, Codec, glance, zstd};
use crate::error::Result;
use crate::progress::Meter;
use crate::tensor::Dtype;

/// Tensors of up to this many bytes always have their floor computed.
const SMALL_TENSOR: usize = 64 << 10;
/// The length in bytes of each piece of the sample that tells whether a plain codec could win; one piece in
/// [`PIECES`] is looked at.
const PIECE: usize = 32 << 10;
const PIECES: usize = 32;
/// The length in bytes of the sample that tells whether a slow codec could win.
const SLOW_SAMPLE: usize = 32 << 10;

impl Plan {
    /// Codes blocks of numbers of known types, and of the bytes between them, in parallel: one block for each
    /// content. With `few`, the other bytes are so few that they are coded by fast codecs, so as not to hold
    /// up readers that load tensors.
    pub fn encode_numbers(
        &self,
        contents: &[Content<'_>],
        few: bool,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        // A slow codec counts half of a tensor's bytes as it goes; the other half is counted when the block is done.
        // Other content is counted by its codec.
        let (effort, half) = (self.effort(meter), meter.share(1, 2));
        let quick = self.only == Some(Codec::Tensor) || few && self.level < THOROUGH;
        let encode = |content: &Content<'_>| {
            let block = match content.numbers {
                // Little is smaller than a base that has the same bytes.
                Some(_)
                    if self.only.is_some() || content.base.is_some_and(|base| base.bytes == content.raw) =>
                {
                    quick_numbers(content, &effort)?
                }
                Some(_) => slowly(content, &self.effort(half), quick_numbers(content, &effort)?)?,
                None if quick => plain(content.raw, self.level)?,
                None => return smallest(content, &effort, self.packed()),
            };
            meter.advance(content.raw.len());
            Ok(block)
        };
        let memory = |content: &Content<'_>| match content.numbers {
            Some(_) => 3 * content.raw.len() as u64,
            None if quick => zstd::memory(zstd::level(self.level), content.raw.len()),
            None => self.memory_of_bytes(content.raw),
        };
        self.each(contents, |content| content.raw.len(), memory, encode)
    }
}

/// Codes numbers of a known type with the tensor codec, or with a plain codec where that is smaller. For long
/// tensors the plain codec runs only where a sample shows repetitions.
fn quick_numbers(content: &Content<'_>, effort: &Effort<'_>) -> Result<EncodedBlock> {
    let (raw, level) = (content.raw, effort.level);
    let coded = Codec::Tensor.object().encode(content, effort)?;
    match coded {
        None => plain(raw, level),
        Some(coded) if raw.len() > SMALL_TENSOR && !repeats(raw, coded.cost())? => Ok(coded),
        Some(coded) => Ok(smaller(coded, plain(raw, level)?)),
    }
}

/// The largest part of the quick codec's size, in 1/256, that a slow codec may leave at a level to be worth
/// its time.
fn worth(level: u8) -> usize {
    match level {
        ..=6 => 224,
        7 | 8 => 248,
        _ => 256,
    }
}

/// Codes numbers with a slow codec that learns as it codes where that is worth the time: there is one at this
/// level, neighbouring numbers depend on each other, and a sample is small enough. The bar is high because
/// loading one tensor has to be fast. `best` is the smallest block so far.
fn slowly(content: &Content<'_>, effort: &Effort<'_>, best: EncodedBlock) -> Result<EncodedBlock> {
    let raw = content.raw;
    let slow = CODECS.into_iter().find(|c| c.learns_numbers() && c.is_tried(effort.level));
    let Some(slow) = slow else { return Ok(best) };
    let size = content.numbers.map_or(1, |hint| hint.dtype.group().1 as usize).clamp(1, 16);
    // Samples of sound and pictures depend on the one above where others lie between them in a row.
    let is_sample = |dtype| matches!(dtype, Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16);
    let hint = content.numbers.filter(|hint| is_sample(hint.dtype));
    let above = hint.map(|hint| hint.row_bytes as usize / size).filter(|row| *row > 0);
    let tell = [Some(1), above].into_iter().flatten().any(|back| glance::neighbours_tell(raw, size, back));
    if !tell || glance::is_settled(raw)? {
        return Ok(best);
    }
    // A language model has nothing to say about numbers.
    let effort = Effort { guide: Guide::None, ..*effort };
    let is_worth = |cost: usize, of: usize| cost * 256 < of * worth(effort.level);
    if raw.len() > SLOW_SAMPLE * if effort.level < THOROUGH { 4 } else { 32 } {
        let middle = raw.len() / 2 / size * size;
        let sample = &raw[middle..middle + SLOW_SAMPLE];
        let quiet = Effort { meter: Meter::NONE, ..effort };
        let Some(trial) = attempt(slow, &Content::bytes(sample), &quiet)? else { return Ok(best) };
        // The coder is still learning while it codes the sample, so the sample may come out a quarter larger
        // than its share.
        if !is_worth(trial.cost() / 5 * 4, best.cost() / (raw.len() / SLOW_SAMPLE)) {
            return Ok(best);
        }
    }
    match attempt(slow, &Content::bytes(raw), &effort)? {
        Some(coded) if is_worth(coded.cost(), best.cost()) => Ok(coded),
        _ => Ok(best),
    }
}

/// Whether a sample suggests that a codec which finds repetitions might leave less than `cost` bytes.
fn repeats(raw: &[u8], cost: usize) -> Result<bool> {
    if (256 - glance::far_share(raw)) * (raw.len() / 256) < cost {
        return Ok(true);
    }
    let step = (PIECE * PIECES).min(raw.len());
    let (mut seen, mut left) = (0, 0);
    for piece in raw.chunks(step).map(|c| &c[..c.len().min(PIECE)]) {
        seen += piece.len();
        left += zstd::compress(piece, 1)?.len();
    }
    Ok(left as u64 * (raw.len() as u64) < cost as u64 * seen as u64)
}
