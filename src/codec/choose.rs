//! The choice of a block's codec. It compares coded sizes as integers only; no clock and no float takes part,
//! so the same input gives the same bytes on every machine.
//!
//! The exact way would be to code every block with every codec and keep the smallest result. That is too slow
//! where a model or a high level of zstd is involved, so cheap looks (`glance`, a quick zstd level, a sample)
//! rule out codecs that are very unlikely to win. Such a look may miss the smallest result, but the block
//! always decodes, and the look depends on nothing but the block's bytes and the level.
use super::block::{BlockCodec, attempt};
use super::encoding::{Content, Effort, EncodedBlock};
use super::glance;
use super::hints::Guide;
use super::inside::{MAX_DEPTH, Packed, Unpacked, Unpacker};
use super::rivals::{self, THOROUGH};
use super::window::Cutting;
use super::windowed::Windowed;
use super::{CODECS, Codec, UNPACKERS, store, zstd};
use crate::error::{Error, ErrorKind, Result};
use crate::model::lm::Model;
use crate::progress::Meter;
use rayon::prelude::*;
use std::sync::Arc;

/// Blocks of up to this many raw bytes always have their floor computed.
const SMALL: usize = 256 << 10;
/// The quick zstd level whose result tells whether the slow level could win.
const QUICK_LEVEL: i32 = 9;
/// The first level at which plain blocks may refer to repetitions farther back than the level's window.
const FAR_LEVEL: u8 = 2;
/// The most bytes of the second half, in 1/256, that a block to be cut in two may repeat from the first one.
const REPEATED: usize = 2;
/// Only streams that are undone matter to a block once they make up one part in so many of it.
const PACKED: usize = 4;

/// Codes a block with `zstd` or `store`, whichever is smaller.
pub fn plain(raw: &[u8], level: u8) -> Result<EncodedBlock> {
    // Repetitions at distances that the level's own window does not reach.
    let far = level >= FAR_LEVEL && raw.len() > zstd::window(level) && glance::far_share(raw) > 0;
    let coded = zstd::encode(raw, zstd::level(level), far)?;
    // Comparing before `store` copies anything saves the copy for blocks that zstd shrinks.
    if coded.payload.len() + 4 * coded.units.len() < raw.len() + 4 {
        Ok(coded)
    } else {
        Ok(store::encode(raw))
    }
}

/// The smaller of two blocks of the same bytes; the first of equal ones.
pub(super) fn smaller(a: EncodedBlock, b: EncodedBlock) -> EncodedBlock {
    if b.cost() < a.cost() { b } else { a }
}

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
    let rivals = if packed { Vec::new() } else { rivals::rivals(content, effort, allowed)? };
    for codec in tried().copied().filter(|_| !packed).chain(rivals) {
        if let Some(coded) = attempt(codec, content, effort)? {
            best = Some(match best {
                Some(best) => smaller(best, coded),
                None => coded,
            });
        }
    }
    let Some(best) = best else { return plain(raw, level) };
    if level < THOROUGH && raw.len() > SMALL && floor_is_hopeless(content, effort, &best)? {
        return Ok(best);
    }
    let floor = plain(raw, level)?;
    Ok(if best.cost() < floor.cost() { best } else { floor })
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
fn undo_with(
    codec: &dyn Unpacker,
    content: &Content<'_>,
    effort: &Effort<'_>,
    packed: Packed,
) -> Result<Option<Unpacked>> {
    // The meter counts raw bytes of the block once it is done, not the bytes of its contents.
    let plain = Effort { guide: Guide::None, meter: Meter::NONE, only: false, ..*effort };
    codec.undo(content.raw, packed, effort.limit, &|content, packed, limit| {
        smallest(content, &Effort { limit, ..plain }, packed)
    })
}

/// Raw bytes that are coded together.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    pub raw: &'a [u8],
    /// Whether the windowed codec takes these bytes. It does not take a header before the records or a record
    /// that is cut.
    pub fits: bool,
}

/// The codecs and models that may be used to code chunks.
#[derive(Clone)]
pub struct Plan {
    /// The level, 1..=9.
    pub level: u8,
    /// The only codec allowed, or `None` for the smallest result.
    pub only: Option<Codec>,
    /// The windowed codec to use or to try.
    pub windowed: Option<Windowed>,
    /// The language model that may guide `mix`.
    pub guide: Option<Arc<Model>>,
    /// Whether the model guides all text, even where that does not pay.
    pub insist: bool,
    /// The memory that coding may take, in bytes (approximate). No result depends on it.
    pub memory: u64,
    /// The memory that decoding a block may take, in bytes (approximate).
    pub limit: u64,
    /// Whether deflate streams are undone.
    pub undo: bool,
}

impl Plan {
    /// The windowed codec, if it takes whole records only.
    pub fn records(&self) -> Option<&Windowed> {
        self.windowed.as_ref().filter(|w| w.record > 1)
    }

    pub(super) fn effort<'a>(&'a self, meter: Meter<'a>) -> Effort<'a> {
        let guide = match &self.guide {
            Some(model) if self.insist => Guide::All(model),
            Some(model) => Guide::WhereItPays(model),
            None => Guide::None,
        };
        Effort { level: self.level, guide, meter, limit: self.limit, only: self.only.is_some() }
    }

    /// The codecs that may code a whole chunk without a model of their own.
    fn allowed(&self) -> impl Iterator<Item = &'static dyn BlockCodec> {
        CODECS.into_iter().filter(|c| match self.only {
            Some(only) => c.id() == only,
            None => c.is_tried(self.level),
        })
    }

    /// Memory that coding `len` bytes takes, beside these and the result. `raw` holds them where they are at hand.
    pub fn memory_of(&self, len: usize, raw: Option<&[u8]>) -> u64 {
        let effort = self.effort(Meter::NONE);
        let most = self.allowed().filter_map(|c| c.encoding_memory(len, raw, &effort)).max();
        zstd::memory(zstd::level(self.level), len).max(most.unwrap_or(0))
    }

    /// Memory that coding a chunk takes, with a copy of its bytes.
    pub(super) fn memory_of_bytes(&self, raw: &[u8]) -> u64 {
        raw.len() as u64 + self.memory_of(raw.len(), Some(raw))
    }

    /// The raw bytes of a chunk that suit the codec which does most of the work, if it has a wish.
    pub fn preferred_chunk(&self) -> Option<usize> {
        let does_all = |c: &&dyn BlockCodec| self.only.is_some() || c.longest_tried(self.level) == usize::MAX;
        self.allowed().filter(does_all).find_map(|c| c.preferred_chunk(self.level))
    }

    /// Runs `work` on all items, as many of them in parallel as the memory for coding allows, and returns the
    /// results in order. `len` and `memory` give the bytes of an item and the memory that its work takes.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        len: impl Fn(&T) -> usize,
        memory: impl Fn(&T) -> u64,
        work: impl Fn(&T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        let all: u64 = items.iter().map(|i| len(i) as u64).sum();
        let budget = self.memory.saturating_sub(2 * all);
        let (mut done, mut rest) = (Vec::with_capacity(items.len()), items);
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = |item: &&T| {
                sum += memory(item);
                sum <= budget
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            done.extend(now.par_iter().map(&work).collect::<Result<Vec<R>>>()?);
            rest = later;
        }
        Ok(done)
    }

    /// Whether all that is tried at another level on a content of `len` bytes is tried at this plan's level, too.
    pub fn covers(&self, level: u8, len: usize) -> bool {
        let tries = |c: &dyn BlockCodec, at| c.is_tried(at) && len <= c.longest_tried(at);
        let floor = zstd::level(level) == zstd::level(self.level);
        floor && CODECS.into_iter().all(|c| !tries(c, level) || tries(c, self.level))
    }

    /// Where to cut a long block so that two threads share the work; `None` where that could cost more than one part in
    /// a hundred: where much of the second half repeats the first, or where the level's own codec may not win.
    ///
    /// # Errors
    /// Those of coding a sample.
    pub fn halves(&self, raw: &[u8]) -> Result<Option<usize>> {
        let slow = self.only.is_some() || self.windowed.is_some() || !rivals::is_halved(self.level);
        if slow || glance::is_settled(raw)? || glance::repeats_across(raw, raw.len() / 2) > REPEATED {
            return Ok(None);
        }
        let at = if self.undoes() { self.cut(&raw[..raw.len() / 2]) } else { raw.len() / 2 };
        let wins = rivals::wins(&Content::bytes(raw), &self.effort(Meter::NONE))?;
        Ok(Some(at).filter(|at| wins && *at >= raw.len() / 4))
    }

    /// Whether the encoder looks for what is packed.
    pub fn undoes(&self) -> bool {
        match self.only {
            None => self.undo && self.windowed.is_none() && UNPACKERS.iter().any(|c| c.is_tried(self.level)),
            Some(codec) => UNPACKERS.iter().any(|c| c.id() == codec),
        }
    }

    /// The best place to cut bytes that go on in another block: before anything packed that the cut would split,
    /// unless the bytes start with it.
    pub fn cut(&self, bytes: &[u8]) -> usize {
        UNPACKERS.into_iter().fold(bytes.len(), |at, codec| codec.cut(&bytes[..at]))
    }

    /// The packing that may be undone.
    pub(super) fn packed(&self) -> Packed {
        Packed { depth: if self.undo { MAX_DEPTH } else { 0 }, pictures: self.undo, inside: false }
    }

    /// Whether blocks may need a model.
    pub fn has_models(&self) -> bool {
        self.windowed.is_some() || self.guide.is_some()
    }

    /// The same plan without any models.
    pub fn without_models(&self) -> Self {
        Self { windowed: None, guide: None, ..*self }
    }

    /// Codes chunks, which have been cut by `cutting`, in parallel. `whole` is given where the chunks make up
    /// a whole short content; it then becomes a single plain block if that is smaller.
    pub fn blocks(
        &self,
        chunks: &[Chunk<'_>],
        cutting: &Cutting,
        whole: Option<&[u8]>,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        let blocks: Vec<EncodedBlock> = self.encode(chunks, cutting, meter)?.into_iter().flatten().collect();
        match whole {
            Some(raw) => self.or_whole(raw, blocks, Meter::NONE),
            None => Ok(blocks),
        }
    }

    /// Codes chunks, in parallel; the blocks of a chunk depend on nothing but the chunk.
    fn encode(
        &self,
        chunks: &[Chunk<'_>],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedBlock>>> {
        match (&self.windowed, self.only) {
            (Some(w), None) if w.codec.object().is_slow() => {
                chunks.iter().map(|c| self.split(w, c.raw, cutting, meter)).collect()
            }
            (Some(w), only) => {
                // Where the codec is chosen, all bytes are coded a second time without windows: that takes
                // about a quarter of the time.
                let (windows, plain_bytes) = match only {
                    Some(_) => (meter, Meter::NONE),
                    None => (meter.share(3, 4), meter.share(1, 4)),
                };
                let windowed = self.windowed_blocks(w, chunks, cutting, windows)?;
                let work = chunks.par_iter().zip(windowed);
                work.map(|(chunk, blocks)| match only {
                    Some(_) if chunk.fits => Ok(blocks),
                    Some(_) => Ok(vec![plain(chunk.raw, self.level)?]),
                    None if blocks.is_empty() => Ok(vec![self.smallest(chunk.raw, meter)?]),
                    None => self.combine(chunk.raw, blocks, plain_bytes),
                })
                .collect()
            }
            (None, only) => self.each(
                chunks,
                |c| c.raw.len(),
                |c| self.memory_of_bytes(c.raw),
                |c| {
                    Ok(vec![only.map_or_else(
                        || self.smallest(c.raw, meter),
                        |codec| self.forced(c.raw, codec, meter),
                    )?])
                },
            ),
        }
    }

    fn smallest(&self, raw: &[u8], meter: Meter<'_>) -> Result<EncodedBlock> {
        smallest(&Content::bytes(raw), &self.effort(meter), self.packed())
    }

    /// Codes a chunk with the codec that the caller asked for, or with a plain one where that codec cannot
    /// code these bytes.
    fn forced(&self, raw: &[u8], codec: Codec, meter: Meter<'_>) -> Result<EncodedBlock> {
        let (content, effort) = (Content::bytes(raw), self.effort(meter));
        if codec.object().encoding_memory(raw.len(), Some(raw), &effort).is_none() {
            let (len, limit, name) = (raw.len(), self.limit, codec.name());
            return Err(Error::limit(format!(
                "a {name} block of {len} bytes cannot be decoded in {limit} bytes of memory"
            )));
        }
        let packed = Packed { depth: MAX_DEPTH, pictures: true, inside: false };
        let coded = match UNPACKERS.into_iter().find(|c| c.id() == codec) {
            Some(unpacker) => undo_with(unpacker, &content, &effort, packed)?.map(|u| u.block),
            None => codec.object().encode(&content, &effort)?,
        };
        coded.map_or_else(
            || {
                meter.refuse(raw.len());
                plain(raw, self.level)
            },
            Ok,
        )
    }

    /// The smaller of two: one block of all bytes, or blocks of a slow windowed codec for whatever looks like
    /// text and other blocks for the rest. A text block falls back to another codec where that is smaller.
    fn split(
        &self,
        w: &Windowed,
        raw: &[u8],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        // Compared with the slow codec, the others take next to no time.
        let others = meter.share(1, 64);
        let whole = self.smallest(raw, others)?;
        if glance::is_settled(raw)? {
            return Ok(vec![whole]);
        }
        let runs = glance::text_runs(raw);
        let texts: Vec<&[u8]> =
            runs.iter().filter(|r| r.1).flat_map(|r| raw[r.0.clone()].chunks(w.block)).collect();
        let mut coded = w.encode_pieces(&texts, cutting, meter.share(62, 64))?.into_iter();
        let mut parts = Vec::new();
        for (run, is_text) in runs {
            let run = &raw[run];
            if !is_text {
                parts.push(self.smallest(run, meter)?);
                continue;
            }
            for (piece, block) in run.chunks(w.block).zip(coded.by_ref()) {
                let plain = self.smallest(piece, others)?;
                parts.push(if block.cost() < plain.cost() { block } else { plain });
            }
        }
        let whole = vec![whole];
        Ok(if total(&parts) < total(&whole) { parts } else { whole })
    }

    /// The windowed codec's blocks of each chunk; none for a chunk that it cannot code, unless the caller
    /// demands this codec.
    fn windowed_blocks(
        &self,
        w: &Windowed,
        chunks: &[Chunk<'_>],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedBlock>>> {
        let fitting: Vec<&[u8]> = chunks.iter().filter(|c| c.fits).map(|c| c.raw).collect();
        let coded = match w.encode(&fitting, cutting, meter) {
            // The bytes hold symbols that the model does not have.
            Err(e) if self.only.is_none() && e.kind() == ErrorKind::BadArgument => Vec::new(),
            coded => coded?,
        };
        let mut coded = coded.into_iter();
        Ok(chunks.iter().map(|c| c.fits.then(|| coded.next()).flatten().unwrap_or_default()).collect())
    }

    /// The smaller of one plain block, and windowed blocks with plain blocks in place of those that are not
    /// smaller than zstd.
    fn combine(
        &self,
        raw: &[u8],
        windowed: Vec<EncodedBlock>,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        let mut parts: Vec<EncodedBlock> = Vec::new();
        let (mut run, mut at) = (0..0, 0);
        for block in windowed {
            let piece = at..at + block.raw_len as usize;
            at = piece.end;
            if plain(&raw[piece.clone()], self.level)?.cost() <= block.cost() {
                run = if run.is_empty() { piece } else { run.start..piece.end };
                continue;
            }
            if !run.is_empty() {
                parts.push(plain(&raw[std::mem::take(&mut run)], self.level)?);
            }
            parts.push(block);
        }
        if !run.is_empty() {
            parts.push(plain(&raw[run], self.level)?);
        }
        self.or_whole(raw, parts, meter)
    }

    /// The smaller of these blocks and one block of the same bytes.
    fn or_whole(&self, raw: &[u8], parts: Vec<EncodedBlock>, meter: Meter<'_>) -> Result<Vec<EncodedBlock>> {
        let whole = vec![self.smallest(raw, meter)?];
        Ok(if total(&parts) < total(&whole) { parts } else { whole })
    }
}

/// The size of blocks in bytes, including what each block costs elsewhere: its header and its index entry.
pub fn total(blocks: &[EncodedBlock]) -> usize {
    blocks.iter().map(|b| b.cost() + 24).sum()
}

#[cfg(test)]
#[cfg(feature = "built-in-models")]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    fn plan(level: u8) -> Plan {
        Plan {
            level,
            only: None,
            windowed: None,
            guide: None,
            insist: false,
            memory: u64::MAX,
            limit: 1 << 30,
            undo: true,
        }
    }

    fn halves(raw: &[u8], level: u8) -> Option<usize> {
        plan(level).halves(raw).unwrap()
    }

    #[test]
    fn blocks_are_cut_in_two_where_it_costs_little() {
        let text =
            [&include_bytes!("../../formats/lm.md")[..], include_bytes!("../../formats/mix.md")].concat();
        assert_eq!(halves(&text, 5), Some(text.len() / 2));
        assert!([1, 2, 3, 6, 7, 8, 9].iter().all(|level| halves(&text, *level).is_none()));
        let mut rng = SplitMix(7);
        let noise: Vec<u8> = (0..40_000).map(|_| rng.next_u64() as u8).collect();
        // The second half repeats the first one; nothing can be saved.
        for raw in [text.repeat(2), noise.repeat(2), noise] {
            assert_eq!(halves(&raw, 4), None);
        }
    }

    #[test]
    fn higher_levels_cover_lower_ones_on_short_contents() {
        let covered = |level, len| (1..=level).filter(|at| plan(level).covers(*at, len)).collect::<Vec<u8>>();
        assert_eq!(covered(5, 1000), [3, 4, 5]);
        assert_eq!(covered(6, 1000), [3, 4, 5, 6]);
        // Longer ones are coded by `light` at level 5 only.
        assert_eq!(covered(6, 100_000), [3, 6]);
    }
}
