//! The choice of the codec for numbers of known types.
//!
//! Loading a tensor has to be fast, so the tensor codec is the usual one. A codec that decodes slowly must
//! save much before it is taken, and samples tell whether trying it is worth the time.

use super::block::attempt;
use super::encoding::{Content, Effort, EncodedBlock};
use super::floor::plain;
use super::hints::{Guide, Hint};
use super::rivals::THOROUGH;
use super::tensor::FAST;
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
/// Of fewer bytes than this, a slow codec could not take off enough to be worth its start.
const LEAST: usize = 256;
/// The length in bytes of the sample that tells whether a slow codec could win.
const SLOW_SAMPLE: usize = 32 << 10;

/// Codes numbers of a known type with the tensor codec, or with a plain codec where that is smaller. For long
/// tensors the plain codec runs only where a sample shows repetitions; at the fastest level it must be a 16th smaller,
/// since it decodes more slowly.
pub fn quick(content: &Content<'_>, effort: &Effort<'_>) -> Result<EncodedBlock> {
    let (raw, level) = (content.raw, effort.level);
    let Some(coded) = Codec::Tensor.object().encode(content, effort)? else { return plain(raw, level) };
    let (is_long, cost) = (raw.len() > SMALL_TENSOR, coded.cost());
    // What a plain codec has to undercut.
    let bar = if is_long && level <= FAST { cost / 16 * 15 } else { cost };
    if is_long && !repeats(raw, bar, level)? {
        return Ok(coded);
    }
    let plain = plain(raw, level)?;
    Ok(if plain.cost() < bar { plain } else { coded })
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

/// Whether numbers depend on those before them, or, if they are samples of sound or pictures, on those above, so that a
/// codec that learns from them may pay.
pub fn depend(raw: &[u8], hint: Hint) -> bool {
    let size = element(hint.dtype);
    // Other samples lie between the two in a row.
    let is_sample = matches!(hint.dtype, Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16);
    let noisy =
        matches!(hint.dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 | Dtype::C64 | Dtype::C128);
    let above = Some(hint.row_bytes as usize / size).filter(|row| is_sample && *row > 0);
    [Some(1), above].into_iter().flatten().any(|back| glance::neighbours_tell(raw, size, back, noisy))
}

/// The bytes of a number, or of a group of numbers.
fn element(dtype: Dtype) -> usize {
    dtype.group().1.clamp(1, 16) as usize
}

/// Codes numbers with a slow codec that learns as it codes where that is worth the time: there is one at this
/// level, neighbouring numbers depend on each other, and a sample is small enough. The bar is high because
/// loading one tensor has to be fast. `best` is the smallest block so far.
pub fn slowly(content: &Content<'_>, effort: &Effort<'_>, best: EncodedBlock) -> Result<EncodedBlock> {
    let raw = content.raw;
    let slow = CODECS.into_iter().find(|c| c.learns_numbers() && c.is_tried(effort.level));
    let Some(slow) = slow.filter(|_| best.cost() >= LEAST || effort.level >= THOROUGH) else {
        return Ok(best);
    };
    if !content.numbers.is_some_and(|hint| depend(raw, hint)) || glance::is_settled(raw)? {
        return Ok(best);
    }
    // A language model has nothing to say about numbers.
    let effort = Effort { guide: Guide::None, ..*effort };
    let is_worth = |cost: usize, of: usize| cost * 256 < of * worth(effort.level);
    if raw.len() > SLOW_SAMPLE * if effort.level < THOROUGH { 4 } else { 32 } {
        let size = content.numbers.map_or(1, |hint| element(hint.dtype));
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

/// Whether a sample suggests that a codec which finds repetitions might leave less than `cost` bytes: one with the
/// least effort, and, since most numbers take nearly as many bytes with any codec, then one with that of the level.
fn repeats(raw: &[u8], cost: usize, level: u8) -> Result<bool> {
    if (256 - glance::far_share_of_numbers(raw)) * (raw.len() / 256) < cost {
        return Ok(true);
    }
    let step = (PIECE * PIECES).min(raw.len());
    let pieces = || raw.chunks(step).map(|c| &c[..c.len().min(PIECE)]);
    let seen: usize = pieces().map(<[u8]>::len).sum();
    let promises = |effort| -> Result<bool> {
        let left = pieces().map(|p| Ok(zstd::compress(p, effort)?.len())).sum::<Result<usize>>()?;
        Ok(left as u64 * (raw.len() as u64) < cost as u64 * seen as u64)
    };
    let (least, own) = (1, zstd::level(level));
    Ok(promises(least)? && (own <= least || promises(own)?))
}
