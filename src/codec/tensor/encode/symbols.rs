//! Chooses how many low bits numbers have, and which numbers get symbols.

use crate::codec::tensor::stored::FOLDED;
use crate::coder::rans::Freqs;

/// The cost of an exception in addition to its element, in bits.
const EXCEPTION: u64 = 12;
/// The numbers of folded symbols that are tried, at quick levels and at others.
const FOLDS: [u8; 5] = [0, 3, 6, 9, 12];
const ALL_FOLDS: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
/// The price of the time to decode a folded symbol, in 1/256 bits.
const FOLDED_TIME: u64 = 64;

/// The range of numbers that symbols code.
pub struct SymbolRange {
    /// The number of low bits of a number, which do not belong to its symbol.
    pub low_bits: u32,
    /// The number, without its low bits, that symbol 0 stands for.
    pub base: u64,
    /// The number of symbols that are folded.
    pub fold: u8,
}

/// The distinct values of numbers without their low bits, in rising order, and how often each occurs.
type Tops = Vec<(u64, u32)>;

/// What decoding time is worth.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// The price of the time that each packed piece of low bits takes, in 1/256 bits per number; 0 where time does not
    /// count.
    pub piece: u64,
    /// Unless it is 0: the first choice of low bits, without folded symbols, is taken where no other takes off one in
    /// so many bits.
    pub simple: u64,
}

/// Finds the range that codes a sample of numbers of `bits` bits at the least cost: every choice of low bits
/// is tried with every number of folded symbols. `signed` says that the lowest bit of a number, its sign,
/// belongs to the symbol.
pub fn choose_symbols(
    numbers: &[u64],
    bits: u32,
    choices: &[u32],
    prices: Prices,
    signed: bool,
) -> SymbolRange {
    let Prices { piece, simple } = prices;
    let finest = choices.iter().copied().min().unwrap_or(0);
    // With the sign in the low bits, the counts of coarser choices are sums of the finest one's.
    let finest_tops = (!signed).then(|| count_tops(numbers, bits, finest));
    let mut best = (u64::MAX, SymbolRange { low_bits: choices[0], base: 0, fold: 0 });
    for &low_bits in choices {
        let tops: Tops = match &finest_tops {
            Some(tops) => tops
                .chunk_by(|a, b| a.0 >> (low_bits - finest) == b.0 >> (low_bits - finest))
                .map(|run| (run[0].0 >> (low_bits - finest), run.iter().map(|r| r.1).sum()))
                .collect(),
            None => {
                let with_sign = |n: &u64| n >> (low_bits + 1) << 1 | n & 1;
                count_tops(&numbers.iter().map(with_sign).collect::<Vec<_>>(), bits - low_bits, 0)
            }
        };
        let pieces = u64::from((low_bits % 8).count_ones());
        let each = 256 * u64::from(low_bits) + piece * pieces;
        let folds: &[u8] = if piece > 0 { &FOLDS } else { &ALL_FOLDS };
        for &fold in folds {
            let found = best_range(&tops, fold);
            let cost = Freqs::estimate(&found.counts)
                + each * numbers.len() as u64
                + (4 * 256 + FOLDED_TIME) * found.folded
                + 256 * found.outside * (u64::from(bits) + EXCEPTION);
            let is_simple = low_bits == choices[0] && fold == 0;
            let cost = if is_simple { cost - cost.checked_div(simple).unwrap_or(0) } else { cost };
            if cost < best.0 {
                best = (cost, SymbolRange { low_bits, base: found.base, fold });
            }
        }
    }
    best.1
}

/// Counts the numbers of `bits` bits without their `low` lowest bits.
fn count_tops(numbers: &[u64], bits: u32, low: u32) -> Tops {
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

/// A range of numbers that have symbols.
struct FoundRange {
    /// How often each symbol occurs. Numbers outside the range count as symbol 255.
    counts: [u32; 256],
    /// The first number.
    base: u64,
    /// How many of the symbols in use are folded ones.
    folded: u64,
    /// How many numbers lie outside the range: they become exceptions.
    outside: u64,
}

/// The range that holds most numbers when `fold` symbols are folded. The frequent numbers are mostly the
/// highest ones (floats have many magnitudes below the usual one), so the folded symbols are the lowest of
/// the range.
fn best_range(tops: &Tops, fold: u8) -> FoundRange {
    let fold = u64::from(fold);
    // The width of one folded symbol is kept free, so that the base can move down to a multiple of it.
    let width = if fold > 0 { 256 + (FOLDED - 1) * (fold - 1) } else { 256 };
    // A window slides over the numbers: `inside` is how many lie in it from `first` on.
    let (mut most, mut base, mut inside, mut end) = (0, 0, 0, 0);
    for (first, count) in tops {
        while end < tops.len() && tops[end].0 - first < width {
            inside += u64::from(tops[end].1);
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
    let mut found = FoundRange { counts: [0; 256], base, folded: 0, outside: 0 };
    for (number, count) in tops {
        let place = number.wrapping_sub(base);
        if place < FOLDED * fold {
            found.counts[(place / FOLDED) as usize] += count;
            found.folded += u64::from(*count);
        } else if place - (FOLDED - 1) * fold < 256 {
            found.counts[(place - (FOLDED - 1) * fold) as usize] += count;
        } else {
            found.counts[255] += count;
            found.outside += u64::from(*count);
        }
    }
    found
}
