//! How the encoder chooses a block's parameters. Not part of the format; integers only.

use super::Hint;
use super::params::{Context, FOLDED, Field, MAX_GROUP, MAX_TABLES, Planes, Transform};
use super::split::bits_of;
use crate::coder::rans::Freqs;
use crate::tensor::Dtype;
use crate::tensor::decimal::Decimal;
use crate::tensor::ggml::FieldKind;

/// Elements that are looked at to choose: at most, at least, and the share of a block that is taken between these.
const SAMPLE: usize = 1 << 16;
const LEAST_SAMPLE: usize = 1 << 14;
const SHARE: usize = 16;
/// Elements to a run of the sample.
const RUN: usize = 1 << 8;
/// What the pieces of low bits that are no whole byte cost in time, in 1/256 bits.
const PIECE: u64 = 3;
/// The level from which on time does not count.
const SLOW: u8 = 7;
/// What an exception costs beside its element, in bits.
const EXCEPTION: u64 = 12;

/// Parameters without frequencies and contexts; `None` where this codec has nothing to offer.
pub fn skeleton(raw: &[u8], hint: Hint, level: u8) -> Option<Planes> {
    planes(raw, hint, level, false)
}

/// The same for numbers that are predicted: of one field, with signs in the symbols and without masks; `None` where there are
/// several fields.
pub fn predicted(raw: &[u8], hint: Hint, level: u8) -> Option<Planes> {
    let planes = planes(raw, hint, level, true)?;
    let [field] = &planes.fields[..] else { return None };
    (field.width == planes.group && field.per_group() == 1).then_some(planes)
}

fn planes(raw: &[u8], hint: Hint, level: u8, predicted: bool) -> Option<Planes> {
    let (_, bytes) = hint.dtype.group();
    let (group, fields, mask) = match hint.dtype {
        Dtype::Ggml(block) => {
            let fields = block.fields().iter().map(|f| match f.kind {
                FieldKind::F16 => coded(field(f.bytes, 2, Transform::Float, 8, 0)),
                FieldKind::F32 => field(f.bytes, 4, Transform::Float, 24, 0),
                FieldKind::Nibbles if level > 2 => field(f.bytes, 1, Transform::Halves, 0, 0),
                _ => field(f.bytes, 1, Transform::Plain, 0, 0),
            });
            (bytes as usize, fields.collect::<Vec<_>>(), false)
        }
        Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => {
            numbers(raw, bytes as usize, Some(predicted), level)
        }
        Dtype::C64 => numbers(raw, 4, Some(predicted), level),
        Dtype::C128 => numbers(raw, 8, Some(predicted), level),
        _ if bytes == 1 || bytes == 3 => {
            (1, vec![field(1, 1, Transform::Plain, 0, 0)], !predicted && bytes == 1 && is_patterned(raw, 1))
        }
        _ => numbers(raw, bytes as usize, None, level),
    };
    if group as u64 > MAX_GROUP || raw.len() < group || !raw.len().is_multiple_of(group) {
        return None;
    }
    Some(Planes {
        kept: false,
        delta: None,
        group,
        fields,
        mask: mask.then(|| Freqs::from_counts(&[0; 256])),
        cut: None,
    })
}

pub fn field(width: usize, element: usize, transform: Transform, low_bits: u32, base: u64) -> Field {
    Field {
        width,
        element,
        transform,
        low_bits,
        base,
        fold: 0,
        signed: false,
        context: Context::None,
        tables: Vec::new(),
        low: None,
    }
}

/// Whether zeros stand in patterns (two of every four, say), so that a mask of eight elements together is smaller than
/// a symbol's share for zero in each of them.
fn is_patterned(raw: &[u8], size: usize) -> bool {
    let (mut masks, mut zeros) = ([0u32; 256], [0u32; 256]);
    for eight in raw.chunks_exact(8 * size).take(SAMPLE / 8) {
        let mask = eight.chunks_exact(size).fold(0, |m, e| m << 1 | usize::from(e.iter().any(|b| *b != 0)));
        masks[mask] += 1;
        zeros[1] += mask.count_ones();
        zeros[0] += 8 - mask.count_ones();
    }
    Freqs::estimate(&masks) * 10 < Freqs::estimate(&zeros) * 9
}

fn cut_field(size: usize, transform: Transform, cut: Cut, signed: bool) -> Field {
    Field { fold: cut.fold, signed, ..field(size, size, transform, cut.low_bits, cut.base) }
}

pub fn coded(mut f: Field) -> Field {
    f.low = Some((Box::new([0; 256]), Vec::new()));
    f
}

/// Plain numbers: group, fields and whether zeros are left out. Of floats it is given whether signs belong to the symbols.
fn numbers(raw: &[u8], size: usize, float: Option<bool>, level: u8) -> (usize, Vec<Field>, bool) {
    let piece = if level < SLOW { PIECE } else { 0 };
    let sample = sample(raw, size);
    let zeros = sample.iter().filter(|v| **v == 0).count();
    let mask = float != Some(true) && zeros * 64 > sample.len() && zeros < sample.len();
    if let Some(values) = palette(raw, size, &sample) {
        let mask = mask && is_patterned(raw, size);
        return (size, vec![field(size, size, Transform::Palette(values), 0, 0)], mask);
    }
    let some: Vec<u64> = sample.iter().copied().filter(|v| !mask || *v != 0).collect();
    let Some(signed) = float else {
        // Whole numbers: each byte has a plane.
        return (size, (0..size).map(|_| field(1, 1, Transform::Plain, 0, 0)).collect(), false);
    };
    if let Some((digits, ranks)) = digits(&some).filter(|_| size == 4) {
        let choices = [8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22];
        let cut = cut(&ranks, 32, &choices, piece, signed);
        return (4, vec![cut_field(4, Transform::Decimal(digits), cut, signed)], mask);
    }
    let bits = 8 * size as u32;
    let numbers: Vec<u64> =
        some.iter().map(|v| (v << 1 | v >> (bits - 1)) & (u64::MAX >> (64 - bits))).collect();
    let choices: &[u32] = match size {
        2 => &[8, 7, 6, 5, 4],
        4 => &[24, 23, 22, 21, 20],
        _ => &[56, 55, 54, 53, 52, 51, 50],
    };
    let cut = cut(&numbers, bits, choices, piece, signed);
    (size, vec![cut_field(size, Transform::Float, cut, signed)], mask)
}

/// Bits of elements from all over the block.
fn sample(raw: &[u8], size: usize) -> Vec<u64> {
    let run = RUN * size;
    let runs = raw.len().div_ceil(run);
    let wanted = (raw.len() / size / SHARE).clamp(LEAST_SAMPLE, SAMPLE);
    let step = runs.div_ceil(wanted / RUN).max(1);
    // One run of each `step`, now here, now there: rows may differ in some regular way.
    let runs: Vec<&[u8]> = raw.chunks(run).collect();
    let jump = |i: usize| ((i as u32).wrapping_mul(0x9E37_79B9) >> 8) as usize;
    let picked = runs.chunks(step).enumerate().map(|(i, some)| some[jump(i) % some.len()]);
    picked.flat_map(|r| r.chunks_exact(size).map(bits_of)).collect()
}

/// The values that occur, where they are at most 256 and fewer than a quarter of what is there.
fn palette(raw: &[u8], size: usize, sample: &[u64]) -> Option<Vec<u64>> {
    let few = |values: &mut Vec<u64>| {
        values.sort_unstable();
        values.dedup();
        values.len() <= 256
    };
    // A few hundred of the sample tell in most cases.
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

/// Whether nearly all numbers have few significant digits; how many, and the ranks with the signs below.
fn digits(sample: &[u64]) -> Option<(u32, Vec<u64>)> {
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

/// Where numbers are cut into symbol and low bits.
struct Cut {
    low_bits: u32,
    base: u64,
    fold: u8,
}

/// The choice of low bits, of the base of the symbols and of how many are folded that costs least for numbers of
/// `bits` bits, whose lowest one may belong to the symbol. `piece` is what a piece of low bits costs in time, in 1/256 bits.
fn cut(numbers: &[u64], bits: u32, choices: &[u32], piece: u64, signed: bool) -> Cut {
    let finest = choices.iter().copied().min().unwrap_or(0);
    let finest_tops = (!signed).then(|| tops(numbers, bits, finest));
    let mut best = (u64::MAX, Cut { low_bits: choices[0], base: 0, fold: 0 });
    for &low_bits in choices {
        let symbols: Vec<(u64, u32)> = match &finest_tops {
            Some(tops) => tops
                .chunk_by(|a, b| a.0 >> (low_bits - finest) == b.0 >> (low_bits - finest))
                .map(|run| (run[0].0 >> (low_bits - finest), run.iter().map(|r| r.1).sum()))
                .collect(),
            None => {
                let raised = |n: &u64| n >> (low_bits + 1) << 1 | n & 1;
                tops(&numbers.iter().map(raised).collect::<Vec<_>>(), bits - low_bits, 0)
            }
        };
        let pieces = u64::from((low_bits % 8).count_ones());
        let each = 256 * u64::from(low_bits) + piece * pieces;
        let folds: &[u8] = if piece > 0 { &FOLDS } else { &ALL_FOLDS };
        for &fold in folds {
            let (counts, base, folded, outside) = window(&symbols, fold);
            let cost = Freqs::estimate(&counts)
                + each * numbers.len() as u64
                + (4 * 256 + FOLDED_TIME) * folded
                + 256 * outside * (u64::from(bits) + EXCEPTION);
            if cost < best.0 {
                best = (cost, Cut { low_bits, base, fold });
            }
        }
    }
    best.1
}

/// Numbers of symbols that may be folded, at quick levels and at others.
const FOLDS: [u8; 5] = [0, 3, 6, 9, 12];
const ALL_FOLDS: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
/// What a folded symbol costs in time, in 1/256 bits.
const FOLDED_TIME: u64 = 64;

/// What is left of numbers of `bits` bits above their `low` low ones, in order, and how often.
fn tops(numbers: &[u64], bits: u32, low: u32) -> Vec<(u64, u32)> {
    if bits - low <= 16 {
        let mut counts = vec![0u32; 1 << (bits - low)];
        numbers.iter().for_each(|n| counts[(n >> low) as usize] += 1);
        let tops = counts.iter().enumerate().filter(|c| *c.1 > 0);
        return tops.map(|(top, count)| (top as u64, *count)).collect();
    }
    let mut sorted: Vec<u64> = numbers.iter().map(|n| n >> low).collect();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)).collect()
}

/// The neighbouring numbers that most are of, with symbols of which `fold` are folded: counts of symbols, the first of the
/// numbers, how many symbols are folded, and how many have none.
fn window(numbers: &[(u64, u32)], fold: u8) -> ([u32; 256], u64, u64, u64) {
    let fold = u64::from(fold);
    // One less than a fold is kept free, so that folds can begin where the numbers' bits do.
    let width = if fold > 0 { 256 + (FOLDED - 1) * (fold - 1) } else { 256 };
    let (mut most, mut base, mut inside, mut end) = (0, 0, 0, 0);
    for (first, count) in numbers {
        while end < numbers.len() && numbers[end].0 - first < width {
            inside += u64::from(numbers[end].1);
            end += 1;
        }
        if inside > most {
            (most, base) = (inside, *first);
        }
        inside -= u64::from(*count);
    }
    if fold > 0 {
        base = base / FOLDED * FOLDED;
    }
    let (mut counts, mut folded, mut outside) = ([0; 256], 0, 0);
    for (number, count) in numbers {
        let symbol = number.wrapping_sub(base);
        if symbol < FOLDED * fold {
            counts[(symbol / FOLDED) as usize] += count;
            folded += u64::from(*count);
        } else if symbol - (FOLDED - 1) * fold < 256 {
            counts[(symbol - (FOLDED - 1) * fold) as usize] += count;
        } else {
            counts[255] += count;
            outside += u64::from(*count);
        }
    }
    (counts, base, folded, outside)
}

/// Joins neighbouring classes as long as that saves: the table of each class, and the tables.
pub fn join(classes: &[[u32; 256]]) -> (Vec<u8>, Vec<Freqs>) {
    let runs = join_rows(classes, 1, MAX_TABLES);
    let map = runs.iter().enumerate().flat_map(|(t, r)| std::iter::repeat_n(t as u8, r.classes)).collect();
    (map, runs.into_iter().flat_map(|r| r.freqs).collect())
}

/// Neighbouring classes that share tables.
pub struct Run {
    /// How many.
    pub classes: usize,
    /// How often each symbol occurs, and frequencies, by the place in the class.
    pub counts: Vec<[u32; 256]>,
    freqs: Vec<Freqs>,
    cost: u64,
}

/// Joins neighbouring classes as long as that saves or they are too many. Each has a table for each of `places` places.
pub fn join_rows(classes: &[[u32; 256]], places: usize, most: usize) -> Vec<Run> {
    let run = |classes: usize, counts: Vec<[u32; 256]>| {
        let freqs: Vec<Freqs> = counts.iter().map(Freqs::from_counts).collect();
        let cost = freqs.iter().zip(&counts).map(|(f, c)| f.cost(c) + f.stored_cost()).sum();
        Run { classes, counts, freqs, cost }
    };
    let both = |a: &Run, b: &Run| {
        let mut counts = a.counts.clone();
        counts.iter_mut().flatten().zip(b.counts.iter().flatten()).for_each(|(x, y)| *x += y);
        run(a.classes + b.classes, counts)
    };
    let mut runs: Vec<Run> = classes.chunks(places).map(|c| run(1, c.to_vec())).collect();
    let mut joined: Vec<Run> = runs.windows(2).map(|w| both(&w[0], &w[1])).collect();
    while runs.len() > 1 {
        let gain = |i: &usize| runs[*i].cost as i64 + runs[i + 1].cost as i64 - joined[*i].cost as i64;
        let Some(i) = (0..joined.len()).max_by_key(|i| (gain(i), usize::MAX - i)) else { break };
        if gain(&i) <= 0 && runs.len() <= most {
            break;
        }
        runs[i] = joined.remove(i);
        runs.remove(i + 1);
        if i > 0 {
            joined[i - 1] = both(&runs[i - 1], &runs[i]);
        }
        if i + 1 < runs.len() {
            joined[i] = both(&runs[i], &runs[i + 1]);
        }
    }
    runs
}

/// Contexts for the quants of GGUF's blocks: the earlier fields that scale them.
pub fn scales(hint: Hint, number: usize) -> Option<(usize, Option<usize>)> {
    let Dtype::Ggml(block) = hint.dtype else { return None };
    let fields = block.fields();
    let quants = matches!(fields[number].kind, FieldKind::Nibbles | FieldKind::I8);
    let at = |name: &str| fields[..number].iter().position(|f| f.name == name);
    match (at("d"), at("m")) {
        _ if !quants || fields[number].name == "scales" => None,
        (Some(d), Some(m)) => Some((m, Some(d))),
        (Some(d), None) => Some((d, None)),
        _ => None,
    }
}
