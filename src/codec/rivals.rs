//! Codecs of lower levels, which leave less than a level's own one of some data.
//!
//! A file may not become larger at a higher level, and coding it with the codecs of all lower levels as well would take up
//! to half as long again. So these code a sample first, and only those that come close to the level's own codec there
//! code the block. (Pieces of samples come from all over the block; what no sample shows costs size, never correctness.)

use super::block::{BlockCodec, attempt};
use super::encoding::{Content, Effort, EncodedBlock};
use super::hints::Guide;
use super::{CODECS, Codec, glance, zstd};
use crate::error::Result;
use crate::progress::Meter;

/// The pieces of a sample, and the least length of each in bytes; of long blocks, a sixteenth is looked at.
const PIECES: usize = 8;
const PIECE: usize = 16 << 10;
const PART: usize = 16;
/// The same where the sample tells no more than whether `zstd` is beaten.
const SMALL_PART: usize = 128;
/// The same where the level's own codec is slow, or where `zstd` at its slowest is what it is compared with.
const BRIEF_PIECE: usize = 4 << 10;
const BRIEF_PART: usize = 64;
/// A rival codes the block where its sample is not larger by more than one part in so many.
const MARGIN: usize = 16;
/// The first level at which nothing is left out that costs little: the level's own codec takes so long there.
pub const THOROUGH: u8 = 7;

/// The codecs that code all content at a level, the better ones first; the first that is tried sets the pace.
const PACES: [Codec; 3] = [Codec::Mix, Codec::Light, Codec::Sort];

/// The codecs of lower levels, of those that are allowed, that may leave less of a block than the level's own, as which it
/// is `coded` if it could be.
///
/// # Errors
/// Those of coding a sample.
pub fn rivals(
    content: &Content<'_>,
    effort: &Effort<'_>,
    coded: Option<&EncodedBlock>,
    allowed: impl Fn(&dyn BlockCodec) -> bool,
) -> Result<Vec<&'static dyn BlockCodec>> {
    let (raw, level) = (content.raw, effort.level);
    let is_rival = |c: &dyn BlockCodec| c.is_tried(level) && raw.len() > c.longest_tried(level);
    let mut all: Vec<_> = CODECS.into_iter().filter(|c| allowed(*c) && is_rival(*c)).collect();
    if all.is_empty() || level >= THOROUGH {
        return Ok(all);
    }
    // The rivals know less of plain text than `mix` does.
    if pace(level).is_some_and(|own| own.id() == Codec::Mix) && glance::is_plain_text(raw)? {
        return Ok(Vec::new());
    }
    // Of a short block, coding all of it takes the rivals less time than a sample would take the level's own codec.
    let Some(own) = pace(level).filter(|_| raw.len() > PIECES * PIECE) else { return Ok(all) };
    let sample = match own.id() {
        Codec::Mix => sample(raw, BRIEF_PART, BRIEF_PIECE),
        _ => sample(raw, PART, PIECE),
    };
    // A language model takes far longer than what it is to be compared with.
    let effort = Effort { guide: Guide::None, meter: Meter::NONE, ..*effort };
    let cost = |codec: &dyn BlockCodec| -> Result<Option<usize>> {
        let sample = Content { sample_of: coded, ..Content::bytes(&sample) };
        Ok(attempt(codec, &sample, &effort)?.map(|coded| coded.cost()))
    };
    let Some(bar) = cost(own)? else { return Ok(all) };
    let mut failed = Ok(());
    all.retain(|codec| match cost(*codec) {
        Ok(cost) => cost.is_some_and(|cost| cost <= bar + bar / MARGIN),
        Err(e) => {
            failed = Err(e);
            false
        }
    });
    failed.map(|()| all)
}

/// Whether a codec leaves less of a sample than `zstd` at the level, by more than one part in [`MARGIN`].
///
/// # Errors
/// Those of coding a sample.
pub fn beats_zstd(codec: &dyn BlockCodec, content: &Content<'_>, effort: &Effort<'_>) -> Result<bool> {
    beats_zstd_on(&sample(content.raw, BRIEF_PART, BRIEF_PIECE), codec, effort)
}

/// The same on a sample.
fn beats_zstd_on(sample: &[u8], codec: &dyn BlockCodec, effort: &Effort<'_>) -> Result<bool> {
    let quiet = Effort { guide: Guide::None, meter: Meter::NONE, ..*effort };
    let Some(coded) = attempt(codec, &Content::bytes(sample), &quiet)? else { return Ok(false) };
    let floor = zstd::compress(sample, zstd::level(effort.level))?.len();
    Ok(coded.cost() + coded.cost() / MARGIN < floor)
}

/// Whether the codec that codes all content at the level leaves less of a small sample than `zstd`, by more than one part
/// in [`MARGIN`].
///
/// # Errors
/// Those of coding the sample.
pub fn wins(content: &Content<'_>, effort: &Effort<'_>) -> Result<bool> {
    let sample = sample(content.raw, SMALL_PART, PIECE);
    pace(effort.level).map_or(Ok(false), |codec| beats_zstd_on(&sample, codec, effort))
}

/// Whether long blocks are cut in two at a level, so that two threads share the work: where its codec forgets little that
/// matters far away.
pub fn is_halved(level: u8) -> bool {
    pace(level).is_some_and(|codec| matches!(codec.id(), Codec::Sort | Codec::Light))
}

/// The codec that codes all content at a level, if it is not `zstd`.
fn pace(level: u8) -> Option<&'static dyn BlockCodec> {
    let codes_all = |c: &&dyn BlockCodec| c.is_tried(level) && c.longest_tried(level) == usize::MAX;
    PACES.into_iter().map(Codec::object).find(codes_all)
}

/// Pieces from all over a block, one `part`th of it but at least [`PIECES`] times `least` bytes; the whole of a short one.
fn sample(raw: &[u8], part: usize, least: usize) -> Vec<u8> {
    let step = raw.len().div_ceil(PIECES);
    let piece = (step / part).max(least);
    if piece >= step {
        return raw.to_vec();
    }
    raw.chunks(step).flat_map(|part| &part[..part.len().min(piece)]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "built-in-models")]
    fn names(raw: &[u8], level: u8) -> Vec<&'static str> {
        let effort = Effort { level, guide: Guide::None, meter: Meter::NONE, limit: 1 << 30, only: false };
        rivals(&Content::bytes(raw), &effort, None, |_| true).unwrap().into_iter().map(|c| c.name()).collect()
    }

    #[test]
    fn every_level_has_its_pace() {
        let names = [4, 5, 6, 9].map(|level| pace(level).map(|c| c.name()));
        assert_eq!(names, [Some("sort"), Some("light"), Some("mix"), Some("mix")]);
        assert!((1..4).all(|level| pace(level).is_none()));
        assert_eq!((1..=9).filter(|level| is_halved(*level)).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn samples_are_short_and_from_all_over() {
        let raw: Vec<u8> = (0..1 << 22).map(|i: usize| (i >> 19) as u8).collect();
        let sample = sample(&raw, PART, PIECE);
        assert_eq!((sample.len(), sample.first(), sample.last()), (1 << 18, Some(&0), Some(&7)));
        assert_eq!(super::sample(&raw[..100_000], PART, PIECE).len(), 100_000);
    }

    #[cfg(feature = "built-in-models")]
    #[test]
    fn short_blocks_and_slow_levels_need_no_sample() {
        let text = include_bytes!("../../formats/lm.md").repeat(40);
        let mut words: Vec<&[u8]> = text.split(|b| *b == b' ').collect();
        let mut rng = crate::random::SplitMix(5);
        (1..words.len()).for_each(|i| words.swap(i, rng.below(i as u64 + 1) as usize));
        let text = words.join(&b' ');
        // Of words in no order nothing but their frequencies can be told, and `sort` comes close to `light`.
        assert_eq!(names(&text, 5), ["sort"]);
        assert_eq!(names(&text, 4), Vec::<&str>::new());
        assert_eq!(names(&text, 7), ["light", "sort"]);
        assert_eq!(names(&text[..1000], 6), Vec::<&str>::new());
    }
}
