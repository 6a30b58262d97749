//! Chooses the fields of a block of typed elements from a sample.

use super::symbols::{Prices, choose_symbols};
use crate::codec::hints::Hint;
use crate::codec::tensor::kernel::{NumberMap, histogram, pair};
use crate::codec::tensor::stored::{
    BaseReference, Differences, FieldParams, MAX_GROUP, PieceLayout, Planes, Transform, bits_of,
};
use crate::coder::rans::Freqs;
use crate::kernel::Kernel;
use crate::tensor::Dtype;
use crate::tensor::decimal::Decimal;
use crate::tensor::ggml::FieldKind;

/// The most and the least elements of a sample, and the share of the block (one in this many) between these; a quarter
/// of the least where time counts.
const MAX_SAMPLE: usize = 1 << 16;
const MIN_SAMPLE: usize = 1 << 14;
const SHARE: usize = 16;
/// The number of neighbouring elements that a sample takes at a time.
const SAMPLE_RUN: usize = 1 << 8;
/// The number and the length in bytes of the slices that tell whether 8-bit floats may share symbols.
const PAIRED_SLICES: usize = 4;
const PAIRED_SLICE: usize = 1 << 12;
/// The price of the time to decode a packed piece of low bits, in 1/256 bits per number.
const PIECE: u64 = 3;
/// The last level at which speed is worth a few hundredths of the size.
pub const FAST: u8 = 1;
/// The first level at which decoding time does not count.
const SLOW: u8 = 7;

/// How the tables of a field's symbols may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableChoice {
    /// By rows and columns, or by the scales of block-quantised types, where the block has them.
    Usual,
    /// By classes that each group stores, in this many stripes.
    Classes(usize),
    /// By the symbol of an earlier field.
    EarlierField(usize),
    /// By what the earlier numbers of the row predict; only for blocks with a single field.
    Predicted,
}

/// Chooses the fields of a block, without contexts and tables. `None` where this codec has nothing to offer.
pub fn plan(raw: &[u8], hint: Hint, level: u8) -> Option<Planes> {
    plan_numbers(raw, hint, level, false)
}

/// Chooses the field of a block whose numbers are predicted, with signs in the symbols and without a mask.
/// `None` where the block has several fields.
pub fn plan_predicted(raw: &[u8], hint: Hint, level: u8) -> Option<Planes> {
    let planes = plan_numbers(raw, hint, level, true)?;
    let [field] = &planes.fields[..] else { return None };
    (field.width == planes.group && field.per_group() == 1).then_some(planes)
}

/// The planes of a block that is coded as differences from a base: each byte of an element has a field.
pub fn plan_delta(reference: BaseReference) -> Planes {
    let element = reference.element;
    let fields = vec![FieldParams::new(1, 1, Transform::Plain, 0, 0); element];
    Planes { delta: Some(reference), ..plain_planes(element, fields) }
}

/// The planes of a block that is coded as differences between its elements: each byte of an element has a
/// field.
pub fn plan_differences(differences: Differences) -> Planes {
    let element = differences.element;
    let fields = vec![FieldParams::new(1, 1, Transform::Plain, 0, 0); element];
    Planes { differences: Some(differences), ..plain_planes(element, fields) }
}

/// The planes of a block that has fields and nothing else.
fn plain_planes(group: usize, fields: Vec<FieldParams>) -> Planes {
    Planes { kept: false, delta: None, differences: None, group, fields, mask: None, pieces: None }
}

/// The planes of a block whose fields are pieces.
pub fn plan_pieces(group: usize, fields: Vec<FieldParams>, layout: PieceLayout) -> Planes {
    Planes { pieces: Some(layout), ..plain_planes(group, fields) }
}

/// A field whose eight low bits are coded too, with tables that are still to be chosen.
pub fn with_coded_low_bits(field: FieldParams) -> FieldParams {
    FieldParams { low: Some((Box::new([0; 256]), Vec::new())), ..field }
}

/// How the groups of a block consist of fields.
struct GroupPlan {
    group: usize,
    fields: Vec<FieldParams>,
    /// Whether groups that are zero may be left out.
    mask: bool,
}

fn plan_numbers(raw: &[u8], hint: Hint, level: u8, predicted: bool) -> Option<Planes> {
    let (_, bytes) = hint.dtype.group();
    let plain = |bytes| FieldParams::new(bytes, 1, Transform::Plain, 0, 0);
    let GroupPlan { group, fields, mask } = match hint.dtype {
        Dtype::Ggml(block) => {
            let fields = block.fields().iter().map(|f| match f.kind {
                FieldKind::F16 => with_coded_low_bits(FieldParams::new(f.bytes, 2, Transform::Float, 8, 0)),
                FieldKind::F32 => FieldParams::new(f.bytes, 4, Transform::Float, 24, 0),
                FieldKind::Nibbles if level > 2 => FieldParams::new(f.bytes, 1, Transform::Halves, 0, 0),
                _ => plain(f.bytes),
            });
            GroupPlan { group: bytes as usize, fields: fields.collect(), mask: false }
        }
        Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => {
            plan_floats(raw, bytes as usize, predicted, level)
        }
        Dtype::C64 => plan_floats(raw, 4, predicted, level),
        Dtype::C128 => plan_floats(raw, 8, predicted, level),
        dtype if level <= FAST && !predicted && dtype.is_small_float() && pairs_suffice(raw) => {
            let pairs = FieldParams::new(2, 2, Transform::Pairs, 8, 0);
            GroupPlan { group: 2, fields: vec![pairs], mask: false }
        }
        _ if bytes == 1 || bytes == 3 => {
            let mask = !predicted && bytes == 1 && is_patterned(raw, 1);
            GroupPlan { group: 1, fields: vec![plain(1)], mask }
        }
        _ => plan_integers(raw, bytes as usize, level),
    };
    if group as u64 > MAX_GROUP || raw.len() < group || !raw.len().is_multiple_of(group) {
        return None;
    }
    // The table is a placeholder until the masks are known.
    let mask = mask.then(|| Freqs::from_counts(&[0; 256]));
    Some(Planes { mask, ..plain_planes(group, fields) })
}

/// Whether 8-bit floats, of which few are zero, take at most a 32nd more where two share a symbol, by which they code
/// twice as fast.
fn pairs_suffice(raw: &[u8]) -> bool {
    if !raw.len().is_multiple_of(2) {
        return false;
    }
    let step = raw.len().div_ceil(PAIRED_SLICES).next_multiple_of(2);
    let mut sample: Vec<u8> = Vec::with_capacity(PAIRED_SLICES * PAIRED_SLICE);
    raw.chunks(step).for_each(|c| sample.extend_from_slice(&c[..c.len().min(PAIRED_SLICE)]));
    let alone = histogram(std::iter::once(&sample[..]));
    if alone[0] as usize * 64 > sample.len() {
        return false;
    }
    pair(Kernel::best(), &mut sample);
    let mut exponents = [0u32; 256];
    sample.chunks_exact(2).for_each(|n| exponents[usize::from(n[1])] += 1);
    let others = 256 * 4 * sample.len() as u64;
    (Freqs::estimate(&exponents) + others) * 32 <= Freqs::estimate(&alone) * 33
}

/// Plans integers of several bytes: a palette, or a field for each byte.
fn plan_integers(raw: &[u8], size: usize, level: u8) -> GroupPlan {
    let sample = sample(raw, size, level);
    plan_palette(raw, size, &sample, has_some_zeros(&sample)).unwrap_or_else(|| {
        let fields = (0..size).map(|_| FieldParams::new(1, 1, Transform::Plain, 0, 0)).collect();
        GroupPlan { group: size, fields, mask: false }
    })
}

/// Plans floats: a palette, decimals, or floats with separate low bits. With `signed`, signs belong to the
/// symbols, and groups are never left out.
fn plan_floats(raw: &[u8], size: usize, signed: bool, level: u8) -> GroupPlan {
    let piece = if level < SLOW { PIECE } else { 0 };
    let sample = sample(raw, size, level);
    let mask = !signed && has_some_zeros(&sample);
    if let Some(plan) = plan_palette(raw, size, &sample, mask) {
        return plan;
    }
    let coded: Vec<u64> = sample.into_iter().filter(|v| !mask || *v != 0).collect();
    let bits = 8 * size as u32;
    let (transform, numbers, choices): (_, _, &[u32]) = match (size == 4).then(|| decimals(&coded)).flatten()
    {
        Some((digits, ranks)) => {
            (Transform::Decimal(digits), ranks, &[8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22])
        }
        None => {
            let choices: &[u32] = match size {
                2 => &[8, 7, 6, 5, 4],
                4 => &[24, 23, 22, 21, 20],
                _ => &[56, 55, 54, 53, 52, 51, 50],
            };
            let map = NumberMap::new(&FieldParams::new(size, size, Transform::Float, 0, 0), 0);
            (Transform::Float, coded.iter().map(|v| map.number(*v)).collect::<Vec<_>>(), choices)
        }
    };
    let prices = Prices { piece, simple: if level <= FAST { 32 } else { 0 } };
    let range = choose_symbols(&numbers, bits, choices, prices, signed);
    let field = FieldParams::new(size, size, transform, range.low_bits, range.base);
    GroupPlan { group: size, fields: vec![FieldParams { fold: range.fold, signed, ..field }], mask }
}

/// Whether more than one in 64 numbers is zero, but not all are.
fn has_some_zeros(sample: &[u64]) -> bool {
    let zeros = sample.iter().filter(|v| **v == 0).count();
    zeros * 64 > sample.len() && zeros < sample.len()
}

/// Plans numbers with few values. `mask` tells whether zeros may be left out, which happens where they stand
/// in patterns.
fn plan_palette(raw: &[u8], size: usize, sample: &[u64], mask: bool) -> Option<GroupPlan> {
    let values = few_values(raw, size, sample)?;
    let field = FieldParams::new(size, size, Transform::Palette(values), 0, 0);
    Some(GroupPlan { group: size, fields: vec![field], mask: mask && is_patterned(raw, size) })
}

/// Whether zeros stand in patterns (two of every four, say): then a mask symbol for eight elements costs less
/// than the zeros would add to the symbols of all elements.
fn is_patterned(raw: &[u8], size: usize) -> bool {
    let (mut masks, mut zeros) = ([0u32; 256], [0u32; 256]);
    for eight in raw.chunks_exact(8 * size).take(MAX_SAMPLE / 8) {
        let mask = eight.chunks_exact(size).fold(0, |m, e| m << 1 | usize::from(e.iter().any(|b| *b != 0)));
        masks[mask] += 1;
        zeros[1] += mask.count_ones();
        zeros[0] += 8 - mask.count_ones();
    }
    Freqs::estimate(&masks) * 10 < Freqs::estimate(&zeros) * 9
}

/// The bits of elements from all over the block.
fn sample(raw: &[u8], size: usize, level: u8) -> Vec<u64> {
    let least = if level <= FAST { MIN_SAMPLE / 4 } else { MIN_SAMPLE };
    let run = SAMPLE_RUN * size;
    let runs = raw.len().div_ceil(run);
    let wanted = (raw.len() / size / SHARE).clamp(least, MAX_SAMPLE);
    let step = runs.div_ceil(wanted / SAMPLE_RUN).max(1);
    // One run out of each `step`, at changing offsets, because rows may differ in a regular way.
    let runs: Vec<&[u8]> = raw.chunks(run).collect();
    let jump = |i: usize| ((i as u32).wrapping_mul(0x9E37_79B9) >> 8) as usize;
    let picked = runs.chunks(step).enumerate().map(|(i, some)| some[jump(i) % some.len()]);
    let mut sample = Vec::with_capacity(runs.len().div_ceil(step) * SAMPLE_RUN);
    picked.for_each(|r| sample.extend(r.chunks_exact(size).map(bits_of)));
    sample
}

/// The values that occur in the block, in rising order, if there are at most 256 and fewer than a quarter as
/// many as elements.
fn few_values(raw: &[u8], size: usize, sample: &[u64]) -> Option<Vec<u64>> {
    let few = |values: &mut Vec<u64>| {
        values.sort_unstable();
        values.dedup();
        values.len() <= 256
    };
    // Usually the first elements of the sample already have too many values.
    let mut values: Vec<u64> = sample.iter().copied().take(1 << 10).collect();
    if !few(&mut values) {
        return None;
    }
    values = sample.to_vec();
    if !few(&mut values) || values.len() * 4 > raw.len() / size {
        return None;
    }
    let mut more = Vec::new();
    for element in raw.chunks_exact(size) {
        let bits = bits_of(element);
        if values.binary_search(&bits).is_err() {
            more.push(bits);
            if more.len() > 64 {
                values.append(&mut more);
                if !few(&mut values) {
                    return None;
                }
            }
        }
    }
    values.append(&mut more);
    few(&mut values).then_some(values)
}

/// The number of significant digits that suffices for nearly all numbers of a sample, and the ranks of these
/// with the sign as the lowest bit; `None` where they need many digits.
fn decimals(sample: &[u64]) -> Option<(u32, Vec<u64>)> {
    let few = &sample[..sample.len().min(256)];
    for digits in 3..=6 {
        let decimal = Decimal::new(digits);
        let rank = |v: &u64| decimal.rank(*v as u32 & i32::MAX as u32).map(|r| u64::from(r) << 1 | (v >> 31));
        let fit = |values: &[u64]| values.iter().filter(|v| rank(v).is_some()).count();
        if few.len() >= 64 && fit(few) * 32 > few.len() * 31 && fit(sample) * 32 > sample.len() * 31 {
            return Some((digits, sample.iter().filter_map(rank).collect()));
        }
    }
    None
}
