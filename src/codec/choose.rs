//! The choice of a block's codec, by integer comparisons of coded sizes only: no clock and no float takes part, so that
//! the same input gives the same bytes on every machine.

use super::block::{BlockCodec, Content, Effort, EncodedBlock};
use super::glance;
use super::hints::Guide;
use super::window::Cutting;
use super::windowed::Windowed;
use super::{CODECS, Codec, deflate, light, mix, sort, store, table, zstd};
use crate::error::{Error, ErrorKind, Result};
use crate::model::lm::Model;
use crate::progress::Meter;
use rayon::prelude::*;
use std::sync::Arc;

/// Blocks for which the floor is always computed, in raw bytes.
const SMALL: usize = 256 << 10;
/// A quick zstd level, whose size says whether a slow one could win.
const QUICK_LEVEL: i32 = 9;
/// The first level at which plain blocks may repeat what stands far before.
const FAR_LEVEL: u8 = 2;
/// The share of a block from which on streams that are undone are all that counts.
const PACKED: usize = 4;
/// The first level that does not ask the quick one: there the floor costs little beside the rest.
const THOROUGH: u8 = 7;

/// Codes a block with `zstd` or `store`, whichever is smaller.
pub fn plain(raw: &[u8], level: u8) -> Result<EncodedBlock> {
    // Distances that the level's own window does not reach.
    let far = level >= FAR_LEVEL && raw.len() > zstd::window(level) && glance::far_share(raw) > 0;
    let coded = zstd::encode(raw, zstd::level(level), far)?;
    // Comparing before storing saves the copy of blocks that zstd shrinks.
    if coded.payload.len() + 4 * coded.units.len() < raw.len() + 4 {
        Ok(coded)
    } else {
        Ok(store::encode(raw))
    }
}

/// The smaller of two blocks of the same bytes; the first of equal ones.
fn smaller(a: EncodedBlock, b: EncodedBlock) -> EncodedBlock {
    if b.cost() < a.cost() { b } else { a }
}

/// Codes a block with a codec that nobody asked for: a build without the built-in models does with those that need none.
fn attempt(
    codec: &dyn BlockCodec,
    content: &Content<'_>,
    effort: &Effort<'_>,
) -> Result<Option<EncodedBlock>> {
    match codec.encode(content, effort) {
        Err(e) if e.kind() == ErrorKind::MissingModel => Ok(None),
        coded => coded,
    }
}

/// Codes a block with whichever codec gives the smallest result at this level. `depth` is the number of levels of streams
/// inside streams that may be undone.
///
/// Codecs with models are slow, and so is the `zstd` that serves as their floor at high levels: both are spared where a
/// cheap look tells the outcome. A wrong look costs size, never the content, and depends on the bytes alone.
fn smallest(content: &Content<'_>, effort: &Effort<'_>, depth: u8) -> Result<EncodedBlock> {
    let (raw, level) = (content.raw, effort.level);
    let undone = if deflate::is_tried(level) { undo(content, effort, depth)? } else { None };
    let tried = || CODECS.iter().filter(|c| c.is_tried(level) && raw.len() <= c.longest_tried(level));
    if undone.is_none() && tried().next().is_some() && glance::is_settled(raw)? {
        return plain(raw, level);
    }
    // Streams look like noise to the other codecs.
    let packed = undone.as_ref().is_some_and(|u| u.streams * PACKED >= raw.len());
    let mut best = undone.map(|u| u.block);
    for codec in tried().filter(|_| !packed) {
        if let Some(coded) = attempt(*codec, content, effort)? {
            best = Some(match best {
                Some(best) => smaller(best, coded),
                None => coded,
            });
        }
    }
    let Some(best) = best else { return plain(raw, level) };
    // Where a model takes off more than a third of what a quick zstd level leaves, a slow one cannot catch up: it parses
    // better, but it sees the same matches. Elsewhere, and at thorough levels always, the floor is computed.
    let hopeless = level < THOROUGH && raw.len() > SMALL;
    if hopeless && best.cost() * 3 < zstd::compress_far(raw, QUICK_LEVEL)?.len() * 2 {
        return Ok(best);
    }
    let floor = plain(raw, level)?;
    Ok(if best.cost() < floor.cost() { best } else { floor })
}

/// Undoes the streams of a block; their insides are coded like any block, but without models.
fn undo(content: &Content<'_>, effort: &Effort<'_>, depth: u8) -> Result<Option<deflate::Undone>> {
    if depth == 0 {
        return Ok(None);
    }
    // Raw bytes are counted when the block is done, not their insides.
    let plain = Effort { guide: Guide::None, meter: Meter::NONE, ..*effort };
    deflate::undo(content.raw, depth, effort.limit, &|content, depth, limit| {
        smallest(content, &Effort { limit, ..plain }, depth)
    })
}

/// Bytes of a tensor of which the floor is always computed.
const SMALL_TENSOR: usize = 64 << 10;
/// A piece of the sample that tells whether a plain codec could win, and the share that such pieces are.
const PIECE: usize = 32 << 10;
const PIECES: usize = 32;
/// Bytes of the sample that tells whether a slow codec could win.
const SLOW_SAMPLE: usize = 32 << 10;

/// Codes numbers of a known type: as such, or by a plain codec where a sample repeats itself.
fn quick_numbers(content: &Content<'_>, effort: &Effort<'_>) -> Result<EncodedBlock> {
    let (raw, level) = (content.raw, effort.level);
    let coded = Codec::Tensor.object().encode(content, effort)?;
    match coded {
        None => plain(raw, level),
        Some(coded) if raw.len() > SMALL_TENSOR && !repeats(raw, coded.cost())? => Ok(coded),
        Some(coded) => Ok(smaller(coded, plain(raw, level)?)),
    }
}

/// The largest part of a quick codec's size, in 1/256, that a slow codec may need to be worth its time, at a level.
fn worth(level: u8) -> usize {
    match level {
        ..=6 => 224,
        7 | 8 => 248,
        _ => 256,
    }
}

/// Codes numbers with `mix` or `light`, where one is tried at this level, their neighbours tell of each other, and a sample says that
/// it is worth the time: loading one tensor has to be fast. `best` is the smallest block so far.
fn slowly(content: &Content<'_>, effort: &Effort<'_>, best: EncodedBlock) -> Result<EncodedBlock> {
    let raw = content.raw;
    let mix = [Codec::Mix, Codec::Light].map(Codec::object).into_iter().find(|c| c.is_tried(effort.level));
    let Some(mix) = mix else { return Ok(best) };
    let size = content.numbers.map_or(1, |hint| hint.dtype.group().1 as usize).clamp(1, 16);
    if !glance::neighbours_tell(raw, size) || glance::is_settled(raw)? {
        return Ok(best);
    }
    // No language model knows numbers.
    let effort = Effort { guide: Guide::None, ..*effort };
    let is_worth = |cost: usize, of: usize| cost * 256 < of * worth(effort.level);
    if raw.len() > SLOW_SAMPLE * if effort.level < THOROUGH { 4 } else { 32 } {
        let middle = raw.len() / 2 / size * size;
        let sample = &raw[middle..middle + SLOW_SAMPLE];
        let quiet = Effort { meter: Meter::NONE, ..effort };
        let Some(trial) = attempt(mix, &Content::bytes(sample), &quiet)? else { return Ok(best) };
        // A sample has yet to learn what all of it knows: it may be a quarter larger.
        if !is_worth(trial.cost() / 5 * 4, best.cost() / (raw.len() / SLOW_SAMPLE)) {
            return Ok(best);
        }
    }
    match attempt(mix, &Content::bytes(raw), &effort)? {
        Some(coded) if is_worth(coded.cost(), best.cost()) => Ok(coded),
        _ => Ok(best),
    }
}

/// Whether a sample says that a codec which finds repetitions might leave less than `cost` bytes.
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

/// Raw bytes that are coded together.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    pub raw: &'a [u8],
    /// Whether the windowed codec takes them: not a header in front of records, nor a record that is cut.
    pub fits: bool,
}

/// The codecs and models that may be used to code chunks.
#[derive(Clone)]
pub struct Plan {
    /// 1..=9.
    pub level: u8,
    /// The only codec allowed, or `None` for the smallest result.
    pub only: Option<Codec>,
    /// The windowed codec to use or to try.
    pub windowed: Option<Windowed>,
    /// The language model that may guide `mix`.
    pub guide: Option<Arc<Model>>,
    /// Whether it guides all text, even where it does not pay.
    pub insist: bool,
    /// Memory that coding may take, in bytes (approximate); no result depends on it.
    pub memory: u64,
    /// Memory that decoding a block may take.
    pub limit: u64,
    /// Whether streams of deflate are undone.
    pub undo: bool,
}

impl Plan {
    /// The windowed codec, where it takes only whole records.
    pub fn records(&self) -> Option<&Windowed> {
        self.windowed.as_ref().filter(|w| w.record > 1)
    }

    fn effort<'a>(&'a self, meter: Meter<'a>) -> Effort<'a> {
        let guide = match &self.guide {
            Some(model) if self.insist => Guide::All(model),
            Some(model) => Guide::WhereItPays(model),
            None => Guide::None,
        };
        Effort { level: self.level, guide, meter, limit: self.limit }
    }

    /// Memory that coding `len` bytes takes, beside these and the result, where no table is found in them.
    pub fn memory_of(&self, len: usize) -> u64 {
        let floor = zstd::memory(zstd::level(self.level), len);
        let mixes = matches!(self.only, None | Some(Codec::Mix | Codec::Table)) && mix::level(self.level) > 0;
        let mixed = if mixes { mix::memory(self.level, len, self.limit, self.guide.is_some()) } else { 0 };
        let lights = self.is_light() || self.only.is_none() && Codec::Light.object().is_tried(self.level);
        let light = if lights { light::memory(len, self.limit) } else { 0 };
        let sorts = self.only == Some(Codec::Sort);
        floor.max(mixed).max(light).max(if sorts { sort::memory(len, self.limit) } else { 0 })
    }

    /// Memory that coding a chunk takes, beside its bytes.
    fn memory_of_bytes(&self, raw: &[u8]) -> u64 {
        let tables =
            matches!(self.only, None | Some(Codec::Table)) && Codec::Table.object().is_tried(self.level);
        let table = if tables && table::is_likely(raw) { 8 * raw.len() as u64 } else { 0 };
        raw.len() as u64 + self.memory_of(raw.len()) + table
    }

    /// Does work for all items, as many of them side by side as memory allows, beside what the items take themselves.
    fn each<T: Sync, R: Send>(
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

    /// Whether streams of deflate are looked for.
    pub fn undoes(&self) -> bool {
        match self.only {
            None => self.undo && self.windowed.is_none() && deflate::is_tried(self.level),
            Some(codec) => codec == Codec::Deflate,
        }
    }

    fn depth(&self) -> u8 {
        if self.undo { deflate::MAX_DEPTH } else { 0 }
    }

    /// Whether `mix` may be used.
    pub fn mixes(&self) -> bool {
        let allowed = matches!(self.only, None | Some(Codec::Mix));
        allowed && self.windowed.is_none() && Codec::Mix.object().is_tried(self.level)
    }

    /// Whether `light` does the work.
    pub fn is_light(&self) -> bool {
        match self.only {
            Some(codec) => codec == Codec::Light,
            None => self.windowed.is_none() && !self.mixes() && Codec::Light.object().is_tried(self.level),
        }
    }

    /// Whether blocks may need a model.
    pub fn has_models(&self) -> bool {
        self.windowed.is_some() || self.guide.is_some()
    }

    /// The same without any models.
    pub fn without_models(&self) -> Self {
        Self { windowed: None, guide: None, ..*self }
    }

    /// Codes chunks, in parallel, which `cutting` has cut. Where they make up all of a small `whole`, that may become one
    /// plain block.
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
                // Where the codec may choose, it codes all bytes once more without windows.
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
        smallest(&Content::bytes(raw), &self.effort(meter), self.depth())
    }

    /// Codes a chunk with a codec that the caller asked for; with a plain one where it cannot code these bytes.
    fn forced(&self, raw: &[u8], codec: Codec, meter: Meter<'_>) -> Result<EncodedBlock> {
        let (content, effort) = (Content::bytes(raw), self.effort(meter));
        if codec == Codec::Deflate {
            let undone = undo(&content, &effort, deflate::MAX_DEPTH)?;
            return undone.map_or_else(|| plain(raw, self.level), |u| Ok(u.block));
        }
        let coded = codec.object().encode(&content, &effort)?;
        if coded.is_none() && matches!(codec, Codec::Mix | Codec::Light) {
            let (len, limit, name) = (raw.len(), self.limit, codec.object().name());
            return Err(Error::limit(format!(
                "a {name} block of {len} bytes cannot be decoded in {limit} bytes of memory"
            )));
        }
        coded.map_or_else(|| plain(raw, self.level), Ok)
    }

    /// The smaller of one plain block, and a slow windowed codec for what looks like text, with plain blocks
    /// for the rest and wherever those pay.
    fn split(
        &self,
        w: &Windowed,
        raw: &[u8],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        // Beside the slow codec, what the others take is next to nothing.
        let others = meter.share(1, 64);
        let whole = self.smallest(raw, others)?;
        if glance::is_settled(raw)? {
            return Ok(vec![whole]);
        }
        let runs = text_runs(raw);
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

    /// Codes blocks of numbers of known types and the bytes between them, in parallel, as one block each. Where the bytes
    /// are `few` beside the numbers, they are coded so that they do not hold up those who load tensors.
    pub fn encode_numbers(
        &self,
        contents: &[Content<'_>],
        few: bool,
        meter: Meter<'_>,
    ) -> Result<Vec<EncodedBlock>> {
        // Blocks of tensors are counted when they are done and half by `mix`, others by their codec.
        let (effort, half) = (self.effort(meter), meter.share(1, 2));
        let quick = self.only == Some(Codec::Tensor) || few && self.level < THOROUGH;
        let encode = |content: &Content<'_>| {
            let block = match content.numbers {
                Some(_) if self.only.is_some() => quick_numbers(content, &effort)?,
                Some(_) => slowly(content, &self.effort(half), quick_numbers(content, &effort)?)?,
                None if quick => plain(content.raw, self.level)?,
                None => return smallest(content, &effort, self.depth()),
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

    /// The windowed codec's blocks of each chunk; none where it cannot code a chunk and need not.
    fn windowed_blocks(
        &self,
        w: &Windowed,
        chunks: &[Chunk<'_>],
        cutting: &Cutting,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedBlock>>> {
        let fitting: Vec<&[u8]> = chunks.iter().filter(|c| c.fits).map(|c| c.raw).collect();
        let coded = match w.encode(&fitting, cutting, meter) {
            // Symbols that the model does not have.
            Err(e) if self.only.is_none() && e.kind() == ErrorKind::BadArgument => Vec::new(),
            coded => coded?,
        };
        let mut coded = coded.into_iter();
        Ok(chunks.iter().map(|c| c.fits.then(|| coded.next()).flatten().unwrap_or_default()).collect())
    }

    /// The smaller of one plain block, and windowed blocks with plain runs where those pay.
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

    /// The smaller of blocks and one plain block of the same bytes.
    fn or_whole(&self, raw: &[u8], parts: Vec<EncodedBlock>, meter: Meter<'_>) -> Result<Vec<EncodedBlock>> {
        let whole = vec![self.smallest(raw, meter)?];
        Ok(if total(&parts) < total(&whole) { parts } else { whole })
    }
}

/// Bytes of blocks, with what a block costs on top: its header, its place in the index.
pub fn total(blocks: &[EncodedBlock]) -> usize {
    blocks.iter().map(|b| b.cost() + 24).sum()
}

/// Bytes that are looked at together to tell text from other data.
const GLANCE: usize = 16 << 10;

/// Runs of text and of other data.
fn text_runs(raw: &[u8]) -> Vec<(std::ops::Range<usize>, bool)> {
    let mut runs: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    for (i, piece) in raw.chunks(GLANCE).enumerate() {
        let (start, is_text) = (i * GLANCE, looks_like_text(piece));
        match runs.last_mut() {
            Some((run, kind)) if *kind == is_text => run.end = start + piece.len(),
            _ => runs.push((start..start + piece.len(), is_text)),
        }
    }
    runs
}

/// Whether at most one byte in sixteen is a control character or no UTF-8.
fn looks_like_text(piece: &[u8]) -> bool {
    let control = |b: &u8| matches!(b, 0..=8 | 11 | 12 | 14..=31 | 127);
    let odd =
        |c: std::str::Utf8Chunk<'_>| c.valid().bytes().filter(|b| control(b)).count() + c.invalid().len();
    piece.utf8_chunks().map(odd).sum::<usize>() * 16 <= piece.len()
}
