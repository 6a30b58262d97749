//! Detects which kind of data a `mix` block holds. Integer statistics propose kinds; trials on samples
//! decide.

use crate::model::mix::context::Kind;
use crate::model::mix::shipped;
use crate::{Error, ErrorKind, Result};

/// Records and rows of this many bytes or more are not looked for.
const MAX_PERIOD: usize = 4096;
/// The samples of which the differences are measured to find the length of a row.
const SEEN: usize = 2048;
/// The length in bytes of each of the three pieces that trials code.
const PIECE: usize = 8 << 10;

/// The number and the parameter by which the codec header names a kind.
pub fn kind_to(kind: Kind) -> (u8, u16) {
    match kind {
        Kind::Text => (0, 0),
        Kind::Binary => (1, 0),
        Kind::Records { period } => (2, period as u16),
        Kind::Code => (3, 0),
        Kind::Words { stride } => (4, stride as u16),
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
        (3, 0) => Ok(Kind::Code),
        (4, 4..) if n % 2 == 0 => Ok(Kind::Words { stride: n }),
        (5 | 7 | 8, 2..) if n > usize::from(kind - 4) => {
            Ok(Kind::Bytes { width: usize::from(kind - 4), stride: n })
        }
        (0..=8, _) => Err(Error::corrupt(format!("mix kind {kind} with parameter {parameter}"))),
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

/// Three pieces from different parts of a block, one after the other; the whole block if it is short.
fn sample(raw: &[u8]) -> Vec<u8> {
    if raw.len() <= 3 * PIECE {
        return raw.to_vec();
    }
    let at = |i: usize| ((raw.len() - PIECE) / 5 * i) & !3;
    [at(1), at(3), at(4)].iter().flat_map(|&from| raw[from..from + PIECE].iter().copied()).collect()
}

/// The distance in bytes at which byte pairs recur most often, which is taken for the record length. `None`
/// unless it accounts for more than a twentieth of the bytes.
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
    (seen[best] as usize * 20 > raw.len()).then_some(best)
}

/// The same kind, with the period of its records measured on these bytes; `None` for a kind of records
/// without a period that stands out.
pub fn periodic(kind: Kind, raw: &[u8]) -> Option<Kind> {
    match kind {
        Kind::Records { .. } => recurrence(raw).map(|period| Kind::Records { period }),
        _ => Some(kind),
    }
}

/// The lag at which a signal of `unit`-byte samples resembles itself most, in bytes, which is taken for the
/// length of a row. `None` unless it beats a lag of four samples. The lags that suit the middle of the block best are
/// compared on samples from all of it.
fn row(raw: &[u8], unit: usize) -> Option<usize> {
    let from = raw.len() / 3 / unit * unit;
    let near = from..raw.len().min(from + SEEN * unit + MAX_PERIOD + 2);
    let cost = |lag| difference(&raw[near.clone()], unit, lag, 1);
    let lags = (8..MAX_PERIOD / unit).map(|lag| lag * unit);
    let mut lags: Vec<_> = lags.map(|lag| Some((cost(lag)?, lag))).collect::<Option<_>>()?;
    lags.sort_unstable();
    let step = (raw.len() / unit / (4 * SEEN)).max(1);
    let cost = |lag| difference(raw, unit, lag, step);
    let rivals = lags[..16].iter().map(|&(_, lag)| Some((cost(lag)?, lag)));
    let (least, best) = rivals.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    (least < cost(4 * unit)?).then_some(best)
}

/// The mean difference, in 1/256, of samples of `unit` bytes from those `lag` bytes before them. Every `step`-th one is
/// looked at. Differences above 256 count as 256. `None` where there are no more samples than the longest lag.
fn difference(raw: &[u8], unit: usize, lag: usize, step: usize) -> Option<u64> {
    let value = |i: usize| i32::from(raw[i]) + if unit == 2 { i32::from(raw[i + 1]) << 8 } else { 0 };
    let count = raw.len().checked_sub(MAX_PERIOD + 2)? / unit / step;
    let at = (0..count).map(|i| i * step * unit);
    let sum: u64 = at.map(|at| u64::from(value(at + lag).abs_diff(value(at)).min(256))).sum();
    (sum << 8).checked_div(count as u64)
}

/// The kind that models rows of samples with this width and stride, if there is one.
fn kind_of_rows(width: usize, stride: usize) -> Option<Kind> {
    let fits = stride > width && stride <= usize::from(u16::MAX);
    (fits && matches!(width, 1 | 3 | 4)).then_some(Kind::Bytes { width, stride })
}

/// Chooses the kind that codes a sample of a block smallest. `trial` returns the coded size of bytes for a
/// kind. Text is recognised by its bytes alone, without a trial. `rows` holds the bytes of a pixel and of a
/// row where the block is a picture's raster.
pub fn choose(
    raw: &[u8],
    rows: Option<(usize, usize)>,
    trial: impl Fn(&[u8], Kind) -> Result<usize>,
) -> Result<Kind> {
    let known = rows.and_then(|(width, stride)| kind_of_rows(width, stride));
    // The sample of a picture consists of whole rows next to each other.
    let rows = rows.filter(|_| known.is_some()).map(|(_, stride)| (3 * PIECE).max(4 * stride));
    let sample = match rows {
        Some(len) if len < raw.len() => raw[(raw.len() - len) / 2..][..len].to_vec(),
        _ => sample(raw),
    };
    if sample.is_empty() || looks_like_text(&sample) {
        return Ok(Kind::Text);
    }
    let middle = &raw[raw.len() / 3..];
    let middle = &middle[..middle.len().min(64 << 10)];
    let mut kinds = vec![Kind::Binary, Kind::Code];
    kinds.extend(known);
    kinds.extend(recurrence(middle).map(|period| Kind::Records { period }));
    if let Some(stride) = row(raw, 1) {
        kinds.push(Kind::Records { period: stride });
        kinds.push(Kind::Bytes { width: 1, stride });
        kinds.extend((stride % 3 == 0).then_some(Kind::Bytes { width: 3, stride }));
        kinds.extend((stride % 4 == 0).then_some(Kind::Bytes { width: 4, stride }));
    }
    kinds.extend(row(raw, 2).map(|stride| Kind::Words { stride }));
    let plain = sample.iter().filter(|&&b| (32..127).contains(&b)).count();
    kinds.extend((plain * 3 >= sample.len() * 2).then_some(Kind::Text));
    // A build without the built-in models only has priors for samples.
    kinds.retain(|kind| shipped::has(*kind));
    let mut best = (usize::MAX, Kind::Binary);
    for kind in kinds {
        let size = trial(&sample, kind)?;
        if size < best.0 {
            best = (size, kind);
        }
    }
    Ok(best.1)
}
