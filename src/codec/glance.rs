//! Quick looks at bytes that tell where slow coding would gain nothing. They are estimates in integers and
//! choose no codec themselves.

use super::zstd;
use crate::coder::rans::Freqs;
use crate::error::Result;
use std::collections::HashSet;
use std::ops::Range;

/// The zstd level of quick looks.
const QUICK: i32 = 1;
/// Bytes of which zstd leaves less than one in this many are settled: a model has little left to gain.
const REPETITIVE: usize = 2000;
/// The number of pieces in a sample, and the length of each in bytes.
const PIECES: usize = 16;
const PIECE: usize = 8 << 10;
/// The shortest block, in bytes, that may be called random: fewer bytes do not tell.
const LEAST_RANDOM: usize = 32 << 10;
/// The least estimated cost of a random byte, in 1/256 bits.
const RANDOM: u64 = 2043;
/// Distances at which differences between bytes must look random too.
const DISTANCES: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// Whether the plain codecs do as well as any other, because the bytes look random or zstd leaves next to
/// nothing of them.
///
/// # Errors
///
/// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn is_settled(raw: &[u8]) -> Result<bool> {
    if raw.len() < REPETITIVE {
        return Ok(false);
    }
    if looks_random(raw) {
        return Ok(true);
    }
    // Where a sample does not shrink that much, the whole does not either.
    let piece = &raw[raw.len() / 2..][..(64 << 10).min(raw.len() / 2)];
    if zstd::compress(piece, QUICK)?.len() * REPETITIVE > 16 * raw.len() {
        return Ok(false);
    }
    Ok(zstd::compress(raw, QUICK)?.len() * REPETITIVE < raw.len())
}

/// Whether the bytes and the differences between them are spread evenly, and zstd finds no repetition in a
/// sample.
fn looks_random(raw: &[u8]) -> bool {
    if raw.len() < LEAST_RANDOM {
        return false;
    }
    let pieces: Vec<&[u8]> = sample(raw).collect();
    let even = |distance: usize| {
        let mut counts = [0; 256];
        for piece in &pieces {
            let shifted = piece.get(distance..).unwrap_or_default();
            shifted.iter().zip(*piece).for_each(|(a, b)| {
                let byte = if distance == 0 { *a } else { a.wrapping_sub(*b) };
                counts[usize::from(byte)] += 1;
            });
        }
        let total: u64 = counts.iter().map(|c| u64::from(*c)).sum();
        Freqs::estimate(&counts) >= RANDOM * total
    };
    even(0)
        && DISTANCES.into_iter().all(even)
        && pieces.iter().all(|p| zstd::compress(p, QUICK).is_ok_and(|c| c.len() >= p.len()))
        && far_share(raw) == 0
}

/// The pieces of a sample, taken from all over the bytes.
fn sample(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = raw.len().div_ceil(PIECES).max(PIECE);
    raw.chunks(step).map(|c| &c[..c.len().min(PIECE)])
}

/// The shortest text, in bytes, of which it can be told that it is plain; the level of zstd that tells; and the least
/// share of far repetitions, in 1/256, that plain text does not have.
const LEAST_PLAIN: usize = 8 << 10;
const PLAIN_LEVEL: i32 = 3;
const PLAIN_SHARE: usize = 16;

/// Whether the bytes are text in which words recur, but neither long parts nor evenly spread symbols: the more a codec with
/// contexts knows, the less it leaves of them.
///
/// # Errors
/// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn is_plain_text(raw: &[u8]) -> Result<bool> {
    let sample: Vec<u8> = sample(raw).flatten().copied().collect();
    if sample.len() < LEAST_PLAIN || !looks_like_text(&sample) {
        return Ok(false);
    }
    let mut counts = [0; 256];
    sample.iter().for_each(|b| counts[usize::from(*b)] += 1);
    // In bytes.
    let alone = (Freqs::estimate(&counts) >> 11) as usize;
    let left = zstd::compress(&sample, PLAIN_LEVEL)?.len();
    Ok(left > sample.len() / 5 && left < alone - alone / 8 && far_share(raw) < PLAIN_SHARE)
}

/// One position in 2^this is looked at to find repetitions.
const CHOSEN_BITS: u32 = 6;
/// The number of bytes that must repeat.
const REPEAT: usize = 32;

/// The share of positions, in 1/256, whose next 32 bytes also occur somewhere before, at any distance.
///
/// Positions are selected by a hash of the eight bytes that stand there, so that both places of a repetition
/// are selected or neither. Only multiples of four are looked at; a repetition at another distance is still
/// found if it is long, because its bytes are then looked at in some other place.
pub fn far_share(raw: &[u8]) -> usize {
    far_share_of(raw, 4)
}

/// The same of numbers, of which only multiples of eight are looked at: distances between repeated rows mostly are such.
pub fn far_share_of_numbers(raw: &[u8]) -> usize {
    far_share_of(raw, 8)
}

fn far_share_of(raw: &[u8], step: usize) -> usize {
    let mut hashes = Vec::new();
    chosen(raw, step, |_, hash| hashes.push(hash));
    let all = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    (all - hashes.len()) * 256 / all.max(1)
}

/// The share of positions from `middle` on, in 1/256, whose next 32 bytes occur before `middle`, but not between the two.
pub fn repeats_across(raw: &[u8], middle: usize) -> usize {
    let (mut first, mut second, mut all, mut repeated) = (HashSet::new(), HashSet::new(), 0usize, 0usize);
    // Every position is looked at, so that repetitions at any distance are seen.
    chosen(raw, 1, |at, hash| {
        if at < middle {
            first.insert(hash);
        } else {
            all += 1;
            repeated += usize::from(second.insert(hash) && first.contains(&hash));
        }
    });
    repeated * 256 / all.max(1)
}

/// Gives `look` each selected position among the multiples of `step`, and the hash of what stands there.
fn chosen(raw: &[u8], step: usize, mut look: impl FnMut(usize, u64)) {
    let mut before = 0;
    for start in (0..raw.len().saturating_sub(REPEAT)).step_by(step) {
        let Some(Ok(eight)) = raw.get(start..start + 8).map(<[u8; 8]>::try_from) else { break };
        let word = u64::from_le_bytes(eight);
        if word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - CHOSEN_BITS) != 0 || word == before {
            continue;
        }
        before = word;
        look(start, twox_hash::XxHash3_64::oneshot(&raw[start..start + REPEAT]));
    }
}

/// A codec with contexts may pay if a number before saves at least one bit in this many.
const NEIGHBOURS: u64 = 24;
/// The number of numbers that are looked at.
const NUMBERS: usize = 1 << 14;
/// The extra cost of a symbol that is new to its context, in 1/256 bits, and the same among few noisy numbers, where
/// nearly every symbol is new.
const NEW: u64 = 3 * 256;
const NEW_OF_FEW: u64 = 8 * 256;

/// Whether numbers of `size` bytes depend on the number `back` before, so that a codec with contexts may pay.
/// Compares the cost of each byte alone with its cost after the upper half of the same byte of that number. `noisy` says
/// that most bits of a number may be noise, as those of floats are.
pub fn neighbours_tell(raw: &[u8], size: usize, back: usize, noisy: bool) -> bool {
    let middle = raw.len() / 2 / size * size;
    let half = (NUMBERS / 2 * size).min(middle);
    let part = &raw[middle - half..(middle + half).min(raw.len())];
    let new = if noisy && part.len() < NUMBERS / 2 * size { NEW_OF_FEW } else { NEW };
    let (mut alone, mut together) = (0, 0);
    for k in 0..size {
        let mut counts = vec![[0u32; 256]; 16];
        let bytes = || part.iter().skip(k).step_by(size);
        for (before, byte) in bytes().zip(bytes().skip(back)) {
            counts[usize::from(*before >> 4)][usize::from(*byte)] += 1;
        }
        let mut all = [0; 256];
        counts.iter().for_each(|c| all.iter_mut().zip(c).for_each(|(a, c)| *a += c));
        let cost = |c: &[u32; 256]| Freqs::estimate(c) + new * c.iter().filter(|n| **n > 0).count() as u64;
        let by_itself = cost(&all);
        alone += by_itself;
        // Low bytes may be noise, to which contexts only add costs.
        together += counts.iter().map(cost).sum::<u64>().min(by_itself);
    }
    together + together / NEIGHBOURS < alone
}

/// The length in bytes of the pieces that are classified as text or other data.
const CLASSIFIED: usize = 16 << 10;

/// Cuts bytes into runs of text and runs of other data; true stands for text.
pub fn text_runs(raw: &[u8]) -> Vec<(Range<usize>, bool)> {
    let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
    for (i, piece) in raw.chunks(CLASSIFIED).enumerate() {
        let (start, is_text) = (i * CLASSIFIED, looks_like_text(piece));
        match runs.last_mut() {
            Some((run, kind)) if *kind == is_text => run.end = start + piece.len(),
            _ => runs.push((start..start + piece.len(), is_text)),
        }
    }
    runs
}

/// Whether at most one byte in sixteen is a control character or not valid UTF-8.
pub fn looks_like_text(piece: &[u8]) -> bool {
    let control = |b: &u8| matches!(b, 0..=8 | 11 | 12 | 14..=31 | 127);
    let odd =
        |c: std::str::Utf8Chunk<'_>| c.valid().bytes().filter(|b| control(b)).count() + c.invalid().len();
    piece.utf8_chunks().map(odd).sum::<usize>() * 16 <= piece.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    fn random(len: usize) -> Vec<u8> {
        let mut rng = SplitMix(3);
        (0..len).map(|_| rng.next_u64() as u8).collect()
    }

    /// Sums of small random steps.
    fn walk(steps: &[u8]) -> Vec<u8> {
        let sum = |at: &mut u8, b: &u8| {
            *at = at.wrapping_add(b & 15);
            Some(*at)
        };
        steps.iter().scan(0, sum).collect()
    }

    #[test]
    fn random_and_repetitive_bytes_are_settled() {
        let noise = random(1 << 17);
        assert!(is_settled(&noise).unwrap());
        assert!(is_settled(&vec![0; 1 << 20]).unwrap());
        assert!(is_settled(&b"Nothing but toil and no rest.\n".repeat(20_000)).unwrap());
        let text: Vec<u8> = (0..20_000u32).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
        assert!(!is_settled(&text).unwrap());
        // Random steps of words: every byte by itself is spread evenly, differences of words are not.
        assert!(!is_settled(&walk(&noise)).unwrap());
        // Noise that occurs twice.
        assert!(!is_settled(&[&noise[..], &noise].concat()).unwrap());
    }

    #[test]
    fn far_repetitions_are_seen() {
        let noise = random(1 << 20);
        assert_eq!(far_share(&noise), 0);
        let twice = [&noise[..], &noise].concat();
        assert!(far_share(&twice) > 100);
        assert_eq!(repeats_across(&noise, 1 << 19), 0);
        assert!(repeats_across(&twice, 1 << 20) > 250);
        // What repeats bytes from `middle` on does not count.
        assert!((45..58).contains(&repeats_across(&[&noise[..], &twice].concat(), 1 << 19)));
    }

    #[test]
    fn plain_text_is_told_from_other_text() {
        let plain = |raw: &[u8]| is_plain_text(raw).unwrap();
        let page = include_bytes!("../../formats/mix.md");
        assert!(plain(page) && !plain(&page[..4000]));
        assert!(!plain(&page.repeat(2)), "long repetitions");
        let digits: Vec<u8> =
            random(1 << 15).into_iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect();
        assert!(!plain(&digits), "nothing but digits");
        assert!(!plain(&random(1 << 15)), "no text");
    }

    #[test]
    fn slow_changes_tell() {
        let noise = random(1 << 16);
        assert!(!neighbours_tell(&noise, 1, 1, false) && !neighbours_tell(&noise, 4, 1, true));
        assert!(neighbours_tell(&walk(&noise), 1, 1, false));
        // Two walks in turn.
        let other: Vec<u8> = noise.iter().rev().copied().collect();
        let both: Vec<u8> = walk(&noise).into_iter().zip(walk(&other)).flat_map(|(a, b)| [a, b]).collect();
        assert!(neighbours_tell(&both, 1, 2, false) && !neighbours_tell(&both, 1, 1, false));
        // Noise below slow changes.
        let words: Vec<u8> = noise.iter().zip(walk(&other)).flat_map(|(a, b)| [*a, b]).collect();
        assert!(neighbours_tell(&words, 2, 1, false));
        // Noise seems to tell where there is little of it.
        assert!(!neighbours_tell(&noise[..800], 2, 1, true));
    }
}
