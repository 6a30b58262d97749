//! Which codec a block gets. Integer comparisons of sizes only.

use super::layout::Arrangement;
use super::mix::Guide;
use super::tensor::{self, BasePiece, Hint};
use super::window::{WindowCoder, WindowLimits, assemble};
use super::{Codec, EncodedBlock, mix, store, table, zstd};
use crate::error::{ErrorKind, Result};
use crate::model::lm::Model;
use rayon::prelude::*;
use std::sync::Arc;

/// The zstd level for each of nzip's levels 1..=9.
const ZSTD_LEVELS: [i32; 9] = [3, 9, 15, 19, 19, 19, 19, 19, 22];
/// The `mix` level for each of nzip's levels 1..=9; 0 where `mix` is not tried.
const MIX_LEVELS: [u32; 9] = [0, 0, 0, 0, 1, 2, 3, 4, 5];
/// Blocks of `mix` for which the floor is always computed, in raw bytes.
const SMALL: usize = 256 << 10;
/// A quick zstd level, whose size says whether a slow one could win.
const QUICK_LEVEL: i32 = 9;
/// The first level that does not ask the quick one: there the floor costs little beside the rest.
const THOROUGH: u8 = 7;

/// The first level at which tables are looked for.
const TABLES: u8 = 6;

/// The zstd level that goes with a level of 1..=9.
pub fn zstd_level(level: u8) -> i32 {
    ZSTD_LEVELS[usize::from(level.clamp(1, 9)) - 1]
}

/// The `mix` level that goes with a level of 1..=9; 0 where `mix` is not tried.
fn mix_level(level: u8) -> u32 {
    MIX_LEVELS[usize::from(level.clamp(1, 9)) - 1]
}

/// Codes a chunk with the codecs that need no model.
pub fn plain(raw: &[u8], level: u8) -> Result<EncodedBlock> {
    let coded = zstd::encode(raw, zstd_level(level))?;
    // Comparing before storing saves the copy of blocks that zstd shrinks.
    if coded.payload.len() + 4 * coded.units.len() < raw.len() + 4 {
        Ok(coded)
    } else {
        Ok(store::encode(raw))
    }
}

impl EncodedBlock {
    /// Bytes on disk, less what all blocks have alike.
    pub fn cost(&self) -> usize {
        self.payload.len() + self.units.stored_len() + self.params.as_ref().map_or(0, Vec::len)
    }
}

/// Codes a chunk with a codec that the caller asked for.
fn forced(raw: &[u8], codec: Codec, level: u8, guide: Guide<'_>) -> Result<EncodedBlock> {
    match codec {
        Codec::Store => Ok(store::encode(raw)),
        Codec::Zstd => zstd::encode(raw, zstd_level(level)),
        // Bytes of no known type: each is a number.
        Codec::Tensor => {
            let hint = Hint { dtype: crate::tensor::Dtype::U8, row_bytes: 0, form: None };
            Ok(tensor::encode_block(raw, hint, level)?.unwrap_or_else(|| store::encode(raw)))
        }
        Codec::Mix => mix::encode(raw, mix_level(level).max(1), guide),
        Codec::Table => match table::encode(raw, mix_level(level).max(1))? {
            Some(table) => Ok(table),
            None => plain(raw, level),
        },
        other => Err(super::newer(&format!("codec {}", other.name()))),
    }
}

/// Codes a chunk with whatever is smallest at this level.
fn smallest(raw: &[u8], level: u8, guide: Guide<'_>) -> Result<EncodedBlock> {
    let mix_level = mix_level(level);
    if mix_level == 0 {
        return plain(raw, level);
    }
    let mut mixed = mix::encode(raw, mix_level, guide)?;
    let table = if level >= TABLES { table::encode(raw, mix_level)? } else { None };
    if let Some(table) = table.filter(|t| t.cost() < mixed.cost()) {
        mixed = table;
    }
    // What `mix` takes off here, alone or in a table, a slow zstd level does not: it parses better than the quick one, which sees the same
    // matches. Where that is open, and at thorough levels always, the floor is computed.
    let hopeless = level < THOROUGH && raw.len() > SMALL;
    if hopeless && mixed.cost() * 3 < zstd::far_size(raw, QUICK_LEVEL)? * 2 {
        return Ok(mixed);
    }
    let floor = plain(raw, level)?;
    Ok(if mixed.cost() < floor.cost() { mixed } else { floor })
}

/// Bytes of a tensor of which the floor is always computed.
const SMALL_TENSOR: usize = 64 << 10;
/// A piece of the sample that tells whether a plain codec could win, and the share that such pieces are.
const PIECE: usize = 32 << 10;
const PIECES: usize = 32;

/// Codes numbers of a known type. `mix` is no choice for them: loading one tensor has to be fast.
fn numbers(raw: &[u8], hint: Hint, base: Option<BasePiece<'_>>, level: u8) -> Result<EncodedBlock> {
    let alone = tensor::encode_block(raw, hint, level)?;
    let delta = base.map(|base| tensor::encode_delta(raw, hint, base, level)).transpose()?.flatten();
    // The first of equal ones: that which needs no base.
    let coded = [alone, delta].into_iter().flatten().min_by_key(EncodedBlock::cost);
    let Some(coded) = coded else { return plain(raw, level) };
    if raw.len() > SMALL_TENSOR && !repeats(raw, coded.cost())? {
        return Ok(coded);
    }
    let other = plain(raw, level)?;
    Ok(if other.cost() < coded.cost() { other } else { coded })
}

/// Whether a sample says that a codec which finds repetitions might leave less than `cost` bytes.
fn repeats(raw: &[u8], cost: usize) -> Result<bool> {
    let step = (PIECE * PIECES).min(raw.len());
    let (mut seen, mut left) = (0, 0);
    for piece in raw.chunks(step).map(|c| &c[..c.len().min(PIECE)]) {
        seen += piece.len();
        left += zstd::compress(piece, 1)?.len();
    }
    Ok(left as u64 * (raw.len() as u64) < cost as u64 * seen as u64)
}

/// A windowed codec with its model and the sizes of its blocks and windows.
#[derive(Clone)]
pub struct Windowed {
    /// Which codec.
    pub codec: Codec,
    /// Hash of the model.
    pub model: [u8; 32],
    /// The codec, joined to the model.
    pub coder: Arc<dyn WindowCoder>,
    /// Where windows end.
    pub limits: WindowLimits,
    /// Raw bytes of a block.
    pub block: usize,
    /// Whether windows follow one another.
    pub chained: bool,
}

/// Raw bytes that are coded together.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    pub raw: &'a [u8],
    /// How they lie in whole records of the windowed codec; what does not (a header, a record that is cut) is coded
    /// otherwise.
    pub records: Option<Arrangement>,
}

/// Raw bytes that become one block.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    pub raw: &'a [u8],
    /// What is known of them.
    pub hint: Option<Hint>,
    /// What they may be coded against.
    pub base: Option<BasePiece<'a>>,
}

/// What may be used to code chunks.
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
}

impl Plan {
    /// The windowed codec, where it takes records.
    pub fn records(&self) -> Option<&Windowed> {
        self.windowed.as_ref().filter(|w| w.coder.record() > 1)
    }

    fn guide(&self) -> Guide<'_> {
        match &self.guide {
            Some(model) if self.insist => Guide::All(model),
            Some(model) => Guide::WhereItPays(model),
            None => Guide::None,
        }
    }

    /// Whether `mix` may be used.
    pub fn mixes(&self) -> bool {
        let allowed = matches!(self.only, None | Some(Codec::Mix));
        allowed && self.windowed.is_none() && MIX_LEVELS[usize::from(self.level.clamp(1, 9)) - 1] > 0
    }

    /// Whether blocks may need a model.
    pub fn has_models(&self) -> bool {
        self.windowed.is_some() || self.guide.is_some()
    }

    /// The same without any models.
    pub fn without_models(&self) -> Self {
        Self { windowed: None, guide: None, ..*self }
    }

    /// Codes chunks, in parallel. Where they make up all of a small `whole`, that may become one plain block.
    pub fn blocks(&self, chunks: &[Chunk<'_>], whole: Option<&[u8]>) -> Result<Vec<EncodedBlock>> {
        let blocks: Vec<EncodedBlock> = self.encode(chunks)?.into_iter().flatten().collect();
        match whole {
            Some(raw) => self.or_whole(raw, blocks),
            None => Ok(blocks),
        }
    }

    /// Codes chunks, in parallel; the blocks of a chunk depend on nothing but the chunk.
    fn encode(&self, chunks: &[Chunk<'_>]) -> Result<Vec<Vec<EncodedBlock>>> {
        match (&self.windowed, self.only) {
            (Some(w), None) if w.codec == Codec::Llm => chunks.iter().map(|c| self.split(w, c.raw)).collect(),
            (Some(w), only) => {
                let windowed = self.windowed_blocks(w, chunks)?;
                let work = chunks.par_iter().zip(windowed);
                work.map(|(chunk, blocks)| match only {
                    Some(_) if chunk.records.is_some() => Ok(blocks),
                    Some(_) => Ok(vec![plain(chunk.raw, self.level)?]),
                    None if blocks.is_empty() => Ok(vec![self.smallest(chunk.raw)?]),
                    None => self.combine(chunk.raw, blocks),
                })
                .collect()
            }
            (None, Some(codec)) => {
                chunks.par_iter().map(|c| Ok(vec![forced(c.raw, codec, self.level, self.guide())?])).collect()
            }
            (None, None) => chunks.par_iter().map(|c| Ok(vec![self.smallest(c.raw)?])).collect(),
        }
    }

    fn smallest(&self, raw: &[u8]) -> Result<EncodedBlock> {
        smallest(raw, self.level, self.guide())
    }

    /// The smaller of one plain block, and a slow windowed codec for what looks like text, with plain blocks
    /// for the rest and wherever those pay.
    fn split(&self, w: &Windowed, raw: &[u8]) -> Result<Vec<EncodedBlock>> {
        let whole = self.smallest(raw)?;
        let runs = text_runs(raw);
        let texts: Vec<&[u8]> =
            runs.iter().filter(|r| r.1).flat_map(|r| raw[r.0.clone()].chunks(w.block)).collect();
        let mut coded = w.encode_pieces(&texts, &Arrangement::Bytes)?.into_iter();
        let mut parts = Vec::new();
        for (run, is_text) in runs {
            let run = &raw[run];
            if !is_text {
                parts.push(self.smallest(run)?);
                continue;
            }
            for (piece, block) in run.chunks(w.block).zip(coded.by_ref()) {
                let plain = self.smallest(piece)?;
                parts.push(if block.cost() < plain.cost() { block } else { plain });
            }
        }
        let whole = vec![whole];
        Ok(if total(&parts) < total(&whole) { parts } else { whole })
    }

    /// Codes chunks of which the types are known, in parallel, as one block each. Where the others are `few` beside
    /// these, they are coded so that they do not hold up those who load tensors.
    pub fn encode_numbers(&self, chunks: &[Numbers<'_>], few: bool) -> Result<Vec<EncodedBlock>> {
        let guide = self.guide();
        let quick = self.only == Some(Codec::Tensor) || few && self.level < THOROUGH;
        let encode = |n: &Numbers<'_>| match n.hint {
            Some(hint) => numbers(n.raw, hint, n.base, self.level),
            None if quick => plain(n.raw, self.level),
            None => smallest(n.raw, self.level, guide),
        };
        chunks.par_iter().map(encode).collect()
    }

    /// The windowed codec's blocks of each chunk; none where it cannot code a chunk and need not.
    fn windowed_blocks(&self, w: &Windowed, chunks: &[Chunk<'_>]) -> Result<Vec<Vec<EncodedBlock>>> {
        let fitting: Vec<&[u8]> = chunks.iter().filter(|c| c.records.is_some()).map(|c| c.raw).collect();
        // A file has one arrangement.
        let arrangement = chunks.iter().find_map(|c| c.records).unwrap_or(Arrangement::Bytes);
        let coded = match w.encode(&fitting, &arrangement) {
            // Symbols that the model does not have.
            Err(e) if self.only.is_none() && e.kind() == ErrorKind::BadArgument => Vec::new(),
            coded => coded?,
        };
        let mut coded = coded.into_iter();
        Ok(chunks.iter().map(|c| c.records.and_then(|_| coded.next()).unwrap_or_default()).collect())
    }

    /// The smaller of one plain block, and windowed blocks with plain runs where those pay.
    fn combine(&self, raw: &[u8], windowed: Vec<EncodedBlock>) -> Result<Vec<EncodedBlock>> {
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
        self.or_whole(raw, parts)
    }

    /// The smaller of blocks and one plain block of the same bytes.
    fn or_whole(&self, raw: &[u8], parts: Vec<EncodedBlock>) -> Result<Vec<EncodedBlock>> {
        let whole = vec![self.smallest(raw)?];
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

impl Windowed {
    fn encode_pieces(&self, pieces: &[&[u8]], arrangement: &Arrangement) -> Result<Vec<EncodedBlock>> {
        let (params, coded) = match arrangement.params() {
            Some(params) => {
                let raw = self.limits.raw.max(arrangement.unit(self.coder.record()));
                let limits = WindowLimits { raw, ..self.limits };
                (Some(params), self.coder.encode_records(arrangement, pieces, limits)?)
            }
            None if self.chained => {
                let (params, coded) = self.coder.encode_chains(pieces, self.limits)?;
                (Some(params), coded)
            }
            None => (None, self.coder.encode_blocks(pieces, self.limits)?),
        };
        let blocks = pieces.iter().zip(coded).map(|(raw, windows)| {
            let (units, payload) = assemble(raw, windows, self.limits, self.chained);
            let (codec, model, params) = (self.codec, Some(self.model), params.clone());
            EncodedBlock { codec, raw_len: raw.len() as u32, model, params, units, payload }
        });
        Ok(blocks.collect())
    }

    fn encode(&self, chunks: &[&[u8]], arrangement: &Arrangement) -> Result<Vec<Vec<EncodedBlock>>> {
        let unit = arrangement.unit(self.coder.record());
        let block = (self.block / unit * unit).max(unit);
        let pieces: Vec<&[u8]> = chunks.iter().flat_map(|c| c.chunks(block)).collect();
        let mut blocks = self.encode_pieces(&pieces, arrangement)?.into_iter();
        Ok(chunks.iter().map(|c| blocks.by_ref().take(c.len().div_ceil(block)).collect()).collect())
    }
}
