//! Detects which kind of data a `mix` block holds. Integer statistics propose kinds; trials on samples
//! decide.

use super::machine::machine;
use crate::model::mix::context::{Kind, Machine};
use crate::model::mix::shipped;
use crate::{Error, ErrorKind, Result};
use std::ops::Range;

/// Records of this many bytes or more are not looked for, nor are rows of this many, except in long blocks, where the
/// second number counts.
const MAX_PERIOD: usize = 4096;
const MAX_ROW: usize = 32768;
/// Bytes that resemble each other at a shorter distance are more often records than rows of a picture.
const MIN_ROW: usize = 64;
/// The samples of which the differences are measured to find the length of a row.
const SEEN: usize = 2048;
/// The length in bytes of each of the three pieces that trials code.
const PIECE: usize = 8 << 10;
/// How many times as long the pieces of careful trials are.
const LONGER: usize = 4;

/// The number and the parameter by which the codec header names a kind.
pub fn kind_to(kind: Kind) -> (u8, u16) {
    match kind {
        Kind::Text => (0, 0),
        Kind::Binary => (1, 0),
        Kind::Records { period } => (2, period as u16),
        Kind::Code(Machine::X86) => (3, 0),
        Kind::Code(Machine::X64) => (9, 0),
        Kind::Code(Machine::Arm64) => (10, 0),
        Kind::Words { stride } => (4, stride as u16),
        Kind::Audio { channels } => (6, 2 * channels as u16),
        Kind::Bytes { width, stride } => (4 + width as u8, stride as u16),
    }
}

/// The inverse of [`kind_to`].
///
/// # Errors
/// `Corrupt` for a parameter that the kind cannot have; `NewerVersion` for an unknown kind.
pub fn kind_from(kind: u8, parameter: u16) -> Result<Kind> {
    let n = usize::from(parameter);
    match (kind, n) {
        (0, 0) => Ok(Kind::Text),
        (1, 0) => Ok(Kind::Binary),
        (2, 1..) => Ok(Kind::Records { period: n }),
        (3, 0) => Ok(Kind::Code(Machine::X86)),
        (9, 0) => Ok(Kind::Code(Machine::X64)),
        (10, 0) => Ok(Kind::Code(Machine::Arm64)),
        (4, 4..) if n % 2 == 0 => Ok(Kind::Words { stride: n }),
        (6, 2 | 4) => Ok(Kind::Audio { channels: n / 2 }),
        (5 | 7 | 8, 2..) if n > usize::from(kind - 4) => {
            Ok(Kind::Bytes { width: usize::from(kind - 4), stride: n })
        }
        (0..=10, _) => Err(Error::corrupt(format!("mix kind {kind} with parameter {parameter}"))),
        _ => Err(Error::new(ErrorKind::NewerVersion, format!("mix kind {kind} needs a newer nzip"))),
    }
}

/// Whether the bytes look like text: at least 98 % of them are no control characters other than tab, line
/// feed, form feed and carriage return, and at least half are ASCII letters, digits or spaces.
fn looks_like_text(raw: &[u8]) -> bool {
    let plain =
        raw.iter().filter(|&&b| b >= 32 && b != 127 || matches!(b, b'\n' | b'\r' | b'\t' | 12)).count();
    let letters = raw.iter().filter(|b| b.is_ascii_alphanumeric() || **b == b' ').count();
    plain * 50 >= raw.len() * 49 && letters * 2 >= raw.len()
}

/// Whether bytes differ little from those before them, as samples do: in text, the mean difference is mostly above 16.
fn is_smooth(raw: &[u8]) -> bool {
    let from = raw.len() / 3;
    let piece = &raw[from..raw.len().min(from + PIECE)];
    let sum: usize = piece.windows(2).map(|pair| usize::from(pair[0].abs_diff(pair[1]))).sum();
    sum < 16 * piece.len()
}

/// Three pieces of some `len` bytes from different parts of a block, one after the other; the whole block if it is short.
/// Pieces consist of whole rows, at least three, where there may be any.
fn sample(raw: &[u8], len: usize, row: Option<usize>) -> Vec<u8> {
    // Pieces start where 16-bit samples of two channels do.
    let row = row.unwrap_or(4);
    let row = if row < len / 12 { row * [1, 4, 2, 4][row % 4] } else { row };
    let piece = if row < len / 3 { len / row * row } else { 3 * row };
    // Pieces of long rows are so long that one is enough.
    let places: &[usize] = if piece > 3 * len { &[3] } else { &[1, 3, 4] };
    if raw.len() <= places.len() * piece {
        return raw.to_vec();
    }
    let at = |i: &usize| (raw.len() - piece) / 5 * i / row * row;
    places.iter().map(at).flat_map(|from| raw[from..from + piece].iter().copied()).collect()
}

/// The distance in bytes at which byte pairs recur most often, which is taken for the record length. `None`
/// unless it accounts for more than one byte in eighty.
fn recurrence(raw: &[u8]) -> Option<usize> {
    let mut last = vec![0u32; 65536];
    let mut seen = vec![0u32; MAX_PERIOD];
    for (i, pair) in raw.windows(2).enumerate() {
        let key = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
        let distance = (i + 1) as u32 - last[key];
        if let Some(count) = seen.get_mut(distance as usize) {
            *count += 1;
        }
        last[key] = (i + 1) as u32;
    }
    let best = (3..MAX_PERIOD).max_by_key(|&d| seen[d])?;
    (seen[best] as usize * 80 > raw.len()).then_some(best)
}

/// The same kind, with the period of its records measured on these bytes; `None` for a kind of records
/// without a period that stands out.
pub fn periodic(kind: Kind, raw: &[u8]) -> Option<Kind> {
    match kind {
        Kind::Records { .. } => recurrence(raw).map(|period| Kind::Records { period }),
        _ => Some(kind),
    }
}

/// The lags at which a signal of `unit`-byte samples resembles itself most, in bytes, which are taken for the length of a
/// row: the best one of a picture's, and shorter and longer ones that are better. None where a lag of four samples is far
/// better.
fn row_lengths(raw: &[u8], unit: usize) -> Vec<usize> {
    let Some((row, least)) = best_lag(raw, unit, MIN_ROW..MAX_PERIOD, SEEN) else { return Vec::new() };
    let short = best_lag(raw, unit, 8 * unit..MIN_ROW, SEEN).filter(|(_, cost)| *cost < least);
    // Among this many lags, some resemble a row by chance.
    let long =
        best_lag(raw, unit, MAX_PERIOD..MAX_ROW, SEEN / 8).filter(|(_, cost)| *cost < least - least / 8);
    let near = difference(raw, unit, 4 * unit);
    let all = [short, Some((row, least)), long].into_iter().flatten();
    all.filter(|(_, cost)| *cost < 2 * near).map(|(lag, _)| lag).collect()
}

/// The lag with the least difference, and this difference. Those that suit `seen` samples best are compared on more
/// samples. `None` where the block is too short.
fn best_lag(raw: &[u8], unit: usize, lags: Range<usize>, seen: usize) -> Option<(usize, u64)> {
    let reach = raw.len().checked_sub(lags.end).filter(|reach| *reach >= lags.end / 2)?;
    let mut costs = vec![0u32; lags.len().div_ceil(unit)];
    for at in (0..reach).step_by((reach / seen).max(1).next_multiple_of(unit)) {
        let (here, there) = (sample_at(raw, unit, at), &raw[at + lags.start..at + lags.end]);
        // The loop over single bytes by itself becomes one over vectors.
        if unit == 1 {
            costs.iter_mut().zip(there).for_each(|(cost, b)| *cost += u32::from(b.abs_diff(here as u8)));
        } else {
            let differ = |pair: &[u8; 2]| u32::from(u16::from_le_bytes(*pair)).abs_diff(here).min(256);
            costs.iter_mut().zip(there.as_chunks::<2>().0).for_each(|(cost, pair)| *cost += differ(pair));
        }
    }
    let mut costs: Vec<_> = costs.into_iter().zip(lags.step_by(unit)).collect();
    costs.sort_unstable();
    let rivals = costs.iter().take(16).map(|&(_, lag)| (difference(raw, unit, lag), lag));
    rivals.min().map(|(cost, lag)| (lag, cost))
}

/// The mean difference, in 1/256, of samples from those `lag` bytes before them, of some 8,000 samples from all of a
/// block, which must be longer than the lag. Differences above 256 count as 256.
fn difference(raw: &[u8], unit: usize, lag: usize) -> u64 {
    let value = |at: usize| sample_at(raw, unit, at);
    let reach = raw.len() - lag - (unit - 1);
    let places = (0..reach).step_by((reach / (4 * SEEN)).max(1).next_multiple_of(unit));
    let count = places.len() as u64;
    let sum: u64 = places.map(|at| u64::from(value(at + lag).abs_diff(value(at)).min(256))).sum();
    (sum << 8) / count
}

/// The sample of one or two bytes that starts at a place.
fn sample_at(raw: &[u8], unit: usize, at: usize) -> u32 {
    u32::from(raw[at]) | if unit == 2 { u32::from(raw[at + 1]) << 8 } else { 0 }
}

/// Whether bytes may be signed 16-bit samples of sound: the high bytes resemble those of the sample before far more than the
/// low bytes do, which are mostly noise.
fn is_audio(raw: &[u8]) -> bool {
    let step = (raw.len() / (2 * SEEN)).max(1) * 2;
    let (mut low, mut high, mut count) = (0, 0, 0);
    // Of two channels, samples are compared with those of the same one.
    for at in (0..raw.len().saturating_sub(5)).step_by(step) {
        let differ = |i: usize| u64::from(raw[i].wrapping_sub(raw[i + 4]).cast_signed().unsigned_abs());
        (low, high, count) = (low + differ(at), high + differ(at + 1), count + 1);
    }
    high * 3 < low && low > 8 * count
}

/// The kind that models rows of samples with this width and stride, if there is one.
fn kind_of_rows(width: usize, stride: usize) -> Option<Kind> {
    let fits = stride > width && stride <= usize::from(u16::MAX);
    (fits && matches!(width, 1 | 3 | 4)).then_some(Kind::Bytes { width, stride })
}

/// Whether samples of this kind are expected from their neighbours: where rows are long enough to tell how.
pub fn is_expected(kind: Kind) -> bool {
    match kind {
        Kind::Bytes { stride, .. } => stride >= 16,
        Kind::Words { stride } => stride >= MIN_ROW,
        Kind::Audio { .. } => true,
        _ => false,
    }
}

/// How a trial codes a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// With few contexts, and nothing learned before: quickly.
    Quick,
    /// As a block would be coded.
    Careful,
}

/// Chooses the kind that codes a sample of a block smallest. `trial` returns the coded size of bytes for a
/// kind, or a number in proportion to it. Most text is recognised by its bytes alone, without a trial. `rows` holds the
/// bytes of a pixel and of a row where the block is a picture's raster.
pub fn choose(
    raw: &[u8],
    rows: Option<(usize, usize)>,
    trial: impl Fn(&[u8], Kind, Trial) -> Result<usize>,
) -> Result<Kind> {
    let known = rows.and_then(|(width, stride)| kind_of_rows(width, stride));
    let is_text = known.is_none() && looks_like_text(&sample(raw, PIECE, None));
    if is_text && !(is_smooth(raw) && shipped::has(Kind::Text)) {
        return Ok(Kind::Text);
    }
    let strides = match rows {
        Some((_, stride)) if known.is_some() => vec![stride],
        _ => row_lengths(raw, 1),
    };
    let longest = strides.iter().copied().max();
    let quick = sample(raw, PIECE, longest);
    let kinds = candidates(raw, &quick, known, &strides, is_text);
    let sized = |kind: Kind| Ok((trial(&quick, kind, Trial::Quick)?, kind));
    let sizes = kinds.into_iter().map(sized).collect::<Result<Vec<_>>>()?;
    // The first one of several that are as good.
    let best_of = |allowed: fn(Kind) -> bool| {
        sizes.iter().filter(|(_, kind)| allowed(*kind)).min_by_key(|(size, _)| *size).map(|(_, kind)| *kind)
    };
    let best = best_of(|_| true).unwrap_or(Kind::Binary);
    let Some(other) = best_of(|kind| !is_short_row(kind)).filter(|other| *other != best) else {
        return Ok(best);
    };
    // Records often look like short rows of samples until more is learned of them.
    let longer = sample(raw, LONGER * PIECE, longest);
    let [size, bar] = [best, other].map(|kind| trial(&longer, kind, Trial::Careful));
    Ok(if size? < bar? { best } else { other })
}

/// Whether these are rows of samples that may as well be records.
fn is_short_row(kind: Kind) -> bool {
    matches!(kind, Kind::Bytes { stride, .. } if stride < MIN_ROW)
}

/// The kinds that a block may have, each once; `quick` is a sample of it, `known` the kind of a picture's raster.
fn candidates(raw: &[u8], quick: &[u8], known: Option<Kind>, strides: &[usize], is_text: bool) -> Vec<Kind> {
    let rows_of = |stride: &usize| {
        let fits = |width| (*stride >= MIN_ROW || width == 1) && stride.is_multiple_of(width);
        [1, 3, 4]
            .map(|width| fits(width).then(|| kind_of_rows(width, *stride)).flatten())
            .into_iter()
            .flatten()
    };
    let mut kinds = Vec::new();
    if is_text {
        // Only a picture of medium grey looks like text as well.
        kinds.extend(strides.iter().flat_map(rows_of).chain([Kind::Text]));
    } else {
        let middle = &raw[raw.len() / 3..];
        let middle = &middle[..middle.len().min(64 << 10)];
        kinds.extend([Kind::Binary, Kind::Code(machine(raw))].into_iter().chain(known));
        kinds.extend(recurrence(middle).map(|period| Kind::Records { period }));
        for stride in strides {
            kinds.push(Kind::Records { period: *stride });
            kinds.extend(rows_of(stride));
        }
        kinds.extend(row_lengths(raw, 2).into_iter().map(|stride| Kind::Words { stride }));
        if is_audio(raw) {
            kinds.extend([1, 2].map(|channels| Kind::Audio { channels }));
        }
        let plain = quick.iter().filter(|&&b| (32..127).contains(&b)).count();
        kinds.extend((plain * 3 >= quick.len() * 2).then_some(Kind::Text));
    }
    // A build without the built-in models only has priors for samples.
    kinds.retain(|kind| shipped::has(*kind));
    let mut once = Vec::with_capacity(kinds.len());
    kinds.into_iter().for_each(|kind| {
        if !once.contains(&kind) {
            once.push(kind)
        }
    });
    once
}
