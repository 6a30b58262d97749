//! The coding of chunks: with which codecs and models, in how much memory, and in how many blocks.

use super::block::BlockCodec;
use super::choose::{smallest, undo_with};
use super::encoding::{Content, Effort, EncodedBlock};
use super::floor::plain;
use super::glance;
use super::hints::Guide;
use super::inside::{MAX_DEPTH, Packed};
use super::numbers;
use super::rivals::{self, THOROUGH};
use super::window::Cutting;
use super::windowed::Windowed;
use super::{CODECS, Codec, UNPACKERS, zstd};
use crate::error::{Error, ErrorKind, Result};
use crate::model::lm::Model;
use crate::progress::Meter;
use rayon::prelude::*;
use std::sync::Arc;

/// The most bytes of the second half, in 1/256, that a block to be cut in two may repeat from the first one.
const REPEATED: usize = 2;

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
                    numbers::quick(content, &effort)?
                }
                Some(_) => numbers::slowly(content, &self.effort(half), numbers::quick(content, &effort)?)?,
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
