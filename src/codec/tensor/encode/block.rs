//! Encoding of blocks.

use super::classes::choose_by_classes;
use super::contexts::{choose_by_fields, choose_for_differences, choose_usual};
use super::differences::{choose_differences, takes_off_much};
use super::field_parts::FieldParts;
use super::packing::plan_packed;
use super::plan::{FAST, TableChoice, plan, plan_delta, plan_differences, plan_predicted};
use super::prediction::choose_prediction;
use super::tile::TileParts;
use super::write::TileWriter;
use crate::codec::Codec;
use crate::codec::encoding::EncodedBlock;
use crate::codec::hints::{BasePiece, Hint};
use crate::codec::tensor::kernel::{histogram, subtract_base, subtract_earlier};
use crate::codec::tensor::stored::{BaseReference, Differences, Operation, Params, Planes, SequenceWriter};
use crate::coder::rans::Freqs;
use crate::error::Result;
use crate::format::block::{Tile, Units};
use crate::format::checksum::check32;
use crate::format::consts::{MAX_PARAMS, MAX_TILE_RAW};
use crate::kernel::Kernel;
use crate::tensor::Dtype;
use crate::tensor::form::Packing;
use rayon::prelude::*;
use std::sync::Arc;

/// The approximate raw bytes of a tile at each of the levels 1..=9.
const TILES: [usize; 9] = [1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 18, 1 << 18, 1 << 19];
/// The first level at which numbers are predicted from others of their row.
const PREDICTED_LEVEL: u8 = 9;
/// Tiles with predictions have a multiple of this many rows, so that all lanes of the coder are busy.
const ROWS: usize = 32;

/// Codes a block of elements. Returns `None` where this codec can make nothing of them.
///
/// # Errors
///
/// None that depend on the bytes; those of [`SequenceWriter::put`].
pub fn encode_block(raw: &[u8], hint: Hint, level: u8) -> Result<Option<EncodedBlock>> {
    encode_with(raw, hint, level, Kernel::best())
}

/// Does the same with a kernel of the caller's choice, which only affects the speed.
pub fn encode_with(raw: &[u8], hint: Hint, level: u8, kernel: Kernel) -> Result<Option<EncodedBlock>> {
    let coding = Coding { hint, level, kernel, original: raw, base: None };
    let mut typed = match plan(raw, hint, level) {
        Some(planes) => coding.encode(raw, planes, &[])?,
        None => None,
    };
    if level >= PREDICTED_LEVEL
        && hint.row_bytes > 0
        && let Some(planes) = plan_predicted(raw, hint, level)
    {
        let predicted = coding.encode(raw, planes, &[TableChoice::Predicted])?;
        typed = [typed, predicted].into_iter().flatten().min_by_key(EncodedBlock::cost);
    }
    let form = hint.form.filter(|form| level > FAST || form.packing != Packing::Bits(8));
    if let Some((planes, choices)) = form.and_then(|form| plan_packed(raw, form)) {
        let packed = coding.encode(raw, planes, &choices)?;
        // Of equal ones, the first.
        typed = [typed, packed].into_iter().flatten().min_by_key(EncodedBlock::cost);
    }
    let cost = typed.as_ref().map_or(raw.len(), EncodedBlock::cost);
    if let Some(differences) = choose_differences(raw, hint, cost, level) {
        let coded = coding.encode_differences(raw, differences)?;
        typed = coded.filter(|coded| takes_off_much(coded.cost(), cost, level)).or(typed);
    }
    Ok(typed)
}

/// Codes a block against a base, by differences or by XOR, whichever is smaller. Returns `None` where the
/// block is empty or not a whole number of elements, or where the base's piece has another length.
///
/// # Errors
///
/// Those of [`encode_block`].
pub fn encode_delta(raw: &[u8], hint: Hint, base: BasePiece<'_>, level: u8) -> Result<Option<EncodedBlock>> {
    let element = match hint.dtype {
        Dtype::C64 => 4,
        Dtype::C128 => 8,
        dtype => match dtype.group() {
            (1, bytes @ (1 | 2 | 4 | 8)) => bytes as usize,
            _ => 1,
        },
    };
    if raw.len() != base.bytes.len() || raw.is_empty() || !raw.len().is_multiple_of(element) {
        return Ok(None);
    }
    let coding = Coding { hint, level, kernel: Kernel::best(), original: raw, base: Some(base.bytes) };
    let mut best = None;
    for operation in [Operation::Difference, Operation::Xor] {
        let mut numbers = raw.to_vec();
        subtract_base(element, operation, base.bytes, &mut numbers);
        let BasePiece { rounding, hash, offset, .. } = base;
        let reference = BaseReference { element, operation, rounding, hash, offset };
        let coded = coding.encode(&numbers, plan_delta(reference), &[])?;
        best = [best, coded].into_iter().flatten().min_by_key(EncodedBlock::cost);
    }
    Ok(best)
}

/// Makes a block that repeats an earlier block of its stream, `source`, whose number is `number`. `None`
/// where `source` has no tiles.
pub fn copy(source: &EncodedBlock, number: u64) -> Option<EncodedBlock> {
    let Units::Tiles { raw, tiles } = &source.units else { return None };
    let mut params = Vec::new();
    Params::Copy { block: number }.put(&mut params);
    let tiles = tiles.iter().map(|t| Tile { payload_len: 0, check: t.check }).collect();
    Some(EncodedBlock {
        codec: Codec::Tensor,
        raw_len: source.raw_len,
        model: None,
        params: Some(params),
        units: Units::Tiles { raw: *raw, tiles },
        payload: Vec::new(),
    })
}

/// Marks a block as one that later blocks of its stream may copy, so that readers keep its payload. Returns
/// false and changes nothing for blocks of other codecs, for copies, and for blocks that are coded against a
/// base.
pub fn keep(block: &mut EncodedBlock) -> bool {
    block.codec == Codec::Tensor && block.params.as_deref_mut().is_some_and(Params::mark_kept)
}

/// The state that all ways to code a block share, whatever its planes.
struct Coding<'a> {
    hint: Hint,
    level: u8,
    kernel: Kernel,
    /// The bytes of the block.
    original: &'a [u8],
    /// The bytes of the base, as many as the block has, where it is coded against one.
    base: Option<&'a [u8]>,
}

impl Coding<'_> {
    /// Codes a block as differences between its elements, tile by tile.
    fn encode_differences(&self, raw: &[u8], differences: Differences) -> Result<Option<EncodedBlock>> {
        let Differences { element, ref distances } = differences;
        if !raw.len().is_multiple_of(element) {
            return Ok(None);
        }
        let mut numbers = raw.to_vec();
        let tiles = numbers.par_chunks_mut(self.tile_len(element));
        tiles.for_each(|tile| subtract_earlier(element, distances, tile));
        self.encode(&numbers, plan_differences(differences), &[])
    }

    /// The raw bytes of a tile: a multiple of `unit` close to the size that was asked for, or that of the level.
    fn tile_len(&self, unit: usize) -> usize {
        let wanted = match self.hint.tile {
            0 => TILES[usize::from(self.level.clamp(1, 9)) - 1],
            tile => tile as usize,
        };
        (wanted / unit).max(1) * unit
    }

    /// Codes a block with these planes, whose contexts and tables are chosen here. `choices` tells how to
    /// choose them for each field; fields that it does not cover are chosen in the usual way. `None` where
    /// the block or its parameters do not fit the planes.
    fn encode(
        &self,
        numbers: &[u8],
        mut planes: Planes,
        choices: &[TableChoice],
    ) -> Result<Option<EncodedBlock>> {
        let predicted = choices.first() == Some(&TableChoice::Predicted);
        let unit = if predicted { self.hint.row_bytes as usize } else { planes.unit() };
        if unit as u64 > MAX_TILE_RAW || !numbers.len().is_multiple_of(unit) {
            return Ok(None);
        }
        let units = match self.tile_len(unit) / unit {
            rows if predicted && rows > ROWS => rows / ROWS * ROWS,
            units => units,
        };
        let size = units * unit;
        let mut tiles: Vec<TileParts<'_>> = numbers
            .par_chunks(size)
            .enumerate()
            .map(|(i, raw)| {
                TileParts::new(&planes, self.kernel, raw, i * size / planes.group, self.hint.row_bytes)
            })
            .collect();
        if !self.choose_tables(&mut planes, choices, &mut tiles) {
            return Ok(None);
        }
        let tile_writer = TileWriter::new(&planes);
        let mut writer = SequenceWriter::new(Vec::with_capacity(numbers.len()), self.kernel);
        let mut table = Vec::with_capacity(tiles.len());
        for (tile, raw) in tiles.iter().zip(self.original.chunks(size)) {
            let start = writer.out.len();
            tile_writer.put(tile, &mut writer)?;
            table.push(Tile { payload_len: (writer.out.len() - start) as u32, check: check32(raw) });
        }
        let mut params = Vec::new();
        Params::Planes(Arc::new(planes)).put(&mut params);
        if params.len() as u64 > MAX_PARAMS {
            return Ok(None);
        }
        Ok(Some(EncodedBlock {
            codec: Codec::Tensor,
            raw_len: numbers.len() as u32,
            model: None,
            params: Some(params),
            units: Units::Tiles { raw: size as u32, tiles: table },
            payload: writer.out,
        }))
    }

    /// Chooses the contexts and tables of all fields, and the table of masks. Returns false where numbers
    /// should be predicted but cannot be.
    fn choose_tables(
        &self,
        planes: &mut Planes,
        choices: &[TableChoice],
        tiles: &mut [TileParts<'_>],
    ) -> bool {
        let (group, is_difference) = (planes.group, planes.differences.is_some());
        for (number, field) in planes.fields.iter_mut().enumerate() {
            if self.base.is_some() || is_difference {
                choose_for_differences(field, number, tiles, group, self.base);
                continue;
            }
            let choice = choices.get(number).copied().unwrap_or(TableChoice::Usual);
            if choice == TableChoice::Predicted {
                if !choose_prediction(field, tiles, self.hint, self.kernel) {
                    return false;
                }
                continue;
            }
            choose_usual(field, number, tiles, self.hint, self.level, group);
            match choice {
                TableChoice::Classes(stripes) => {
                    choose_by_classes(field, &mut parts_of(tiles, number), stripes, self.level);
                }
                TableChoice::EarlierField(earlier) => {
                    choose_by_fields(field, number, tiles, earlier, None);
                }
                TableChoice::Usual | TableChoice::Predicted => {}
            }
        }
        if let Some(mask) = &mut planes.mask {
            *mask = Freqs::from_counts(&histogram(tiles.iter().filter_map(|t| t.mask.as_deref())));
        }
        true
    }
}

/// The parts of one field in all tiles that have any.
fn parts_of<'t>(tiles: &'t mut [TileParts<'_>], number: usize) -> Vec<&'t mut FieldParts> {
    tiles.iter_mut().filter(|t| !t.constant).map(|t| &mut t.fields[number]).collect()
}
