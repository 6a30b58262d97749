//! The choice of a block's codec. It compares coded sizes as integers only; no clock and no float takes part,
//! so the same input gives the same bytes on every machine.
//!
//! The exact way would be to code every block with every codec and keep the smallest result. That is too slow
//! where a model or a high level of zstd is involved, so cheap looks (`glance`, a quick zstd level, a sample)
//! rule out codecs that are very unlikely to win. Such a look may miss the smallest result, but the block
//! always decodes, and the look depends on nothing but the block's bytes and the level.

use super::block::{BlockCodec, attempt};
use super::encoding::{Content, Effort, EncodedBlock};
use super::floor::plain;
use super::hints::Guide;
use super::inside::{Packed, Unpacked, Unpacker};
use super::numbers;
use super::rivals::{self, THOROUGH};
use super::{CODECS, Codec, UNPACKERS, glance, zstd};
use crate::error::Result;
use crate::progress::Meter;

/// Blocks of up to this many raw bytes have their floor computed, unless they are plain text.
const SMALL: usize = 256 << 10;
/// The quick zstd level whose result tells whether the slow level could win.
const QUICK_LEVEL: i32 = 9;
/// Only streams that are undone matter to a block once they make up one part in so many of it.
const PACKED: usize = 4;

/// Codes a block with whichever codec gives the smallest result at this level.
///
/// Codecs with models are slow, and so is the `zstd` that serves as their floor at high levels: both are
/// skipped where a cheap look already tells the outcome. A wrong guess costs size, never correctness.
pub(super) fn smallest(content: &Content<'_>, effort: &Effort<'_>, packed: Packed) -> Result<EncodedBlock> {
    let (raw, level) = (content.raw, effort.level);
    let undone = undo(content, effort, packed)?;
    let allowed = |c: &dyn BlockCodec| !packed.inside || c.may_be_inside();
    let tried = || {
        let is_tried = |c: &dyn BlockCodec| c.is_tried(level) && raw.len() <= c.longest_tried(level);
        CODECS.iter().filter(move |c| allowed(**c) && is_tried(**c))
    };
    if undone.is_none() && tried().next().is_some() && glance::is_settled(raw)? {
        return plain(raw, level);
    }
    // To the other codecs, packed bytes are noise: none of them could win.
    let packed = undone.as_ref().is_some_and(|u| u.taken * PACKED >= raw.len());
    let mut best = undone.map(|u| u.block);
    if !packed {
        for codec in tried() {
            best = smaller(best, attempt(*codec, content, effort)?);
        }
        for codec in rivals::rivals(content, effort, best.as_ref(), allowed)? {
            best = smaller(best, attempt(codec, content, effort)?);
        }
    }
    let Some(best) = best else { return plain(raw, level) };
    // Of plain text, even the slow level leaves little less than the quick one.
    let may_skip = level < THOROUGH && (raw.len() > SMALL || glance::is_plain_text(raw)?);
    if may_skip && floor_is_hopeless(content, effort, &best)? {
        return Ok(best);
    }
    Ok(plain(raw, level)?.or_smaller(best))
}

/// The smaller of two blocks of the same bytes, as far as there are any; the first of equal ones.
fn smaller(best: Option<EncodedBlock>, coded: Option<EncodedBlock>) -> Option<EncodedBlock> {
    match (best, coded) {
        (Some(best), Some(coded)) => Some(best.or_smaller(coded)),
        (best, coded) => best.or(coded),
    }
}

/// Whether the slow zstd level of a block is very unlikely to leave less than the best codec so far.
///
/// It parses better than a quick level, but it sees the same matches: it takes 5 to 15 % off what the quick level leaves,
/// and up to 40 % where records repeat.
fn floor_is_hopeless(content: &Content<'_>, effort: &Effort<'_>, best: &EncodedBlock) -> Result<bool> {
    let quick = zstd::compress_far(content.raw, QUICK_LEVEL)?.len();
    if best.cost() * 4 < quick * 3 {
        return Ok(true);
    }
    Ok(best.cost() * 7 < quick * 6 && rivals::beats_zstd(best.codec.object(), content, effort)?)
}

/// Undoes what the first of the [`UNPACKERS`] that finds anything finds, as far as the level does so.
fn undo(content: &Content<'_>, effort: &Effort<'_>, packed: Packed) -> Result<Option<Unpacked>> {
    for codec in UNPACKERS.into_iter().filter(|c| c.is_tried(effort.level)) {
        let undone = undo_with(codec, content, effort, packed)?;
        if undone.is_some() {
            return Ok(undone);
        }
    }
    Ok(None)
}

/// Undoes what a codec finds in a block. Its contents are coded like any other block, but without models.
pub(super) fn undo_with(
    codec: &dyn Unpacker,
    content: &Content<'_>,
    effort: &Effort<'_>,
    packed: Packed,
) -> Result<Option<Unpacked>> {
    // The meter counts raw bytes of the block once it is done, not the bytes of its contents.
    let plain = Effort { guide: Guide::None, meter: Meter::NONE, only: false, ..*effort };
    codec.undo(content.raw, packed, effort.limit, &|content, packed, limit| {
        inner(content, &Effort { limit, ..plain }, packed)
    })
}

/// Codes a content of a block: numbers of a known type as such or as bytes, whichever is smaller.
fn inner(content: &Content<'_>, effort: &Effort<'_>, packed: Packed) -> Result<EncodedBlock> {
    let bytes = || smallest(&Content { numbers: None, ..*content }, effort, packed);
    match content.numbers {
        Some(hint) if numbers::depend(content.raw, hint) => {
            let coded = Codec::Tensor.object().encode(content, effort)?;
            coded.map_or_else(bytes, |coded| Ok(coded.or_smaller(bytes()?)))
        }
        Some(_) => numbers::quick(content, effort),
        None => bytes(),
    }
}
