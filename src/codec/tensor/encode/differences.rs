//! Chooses the distances of differences from a sample.

use super::plan::FAST;
use crate::codec::hints::Hint;
use crate::codec::tensor::kernel::subtract_earlier;
use crate::codec::tensor::stored::{Differences, MAX_DISTANCE};
use crate::coder::rans::Freqs;
use crate::tensor::Dtype;

/// The least and the most bytes of each slice of the block that is looked at; a quarter of the least where time counts.
const SLICE: (usize, usize) = (16 << 10, 64 << 10);
/// The number of rows that a slice should have.
const ROWS: usize = 4;
/// There is a slice in so many bytes, but there are at least two.
const APART: usize = 1 << 20;
/// The first level at which there are at least four.
const THOROUGH: u8 = 4;

/// Whether differences take enough off a `cost` in bytes to be worth it: a 64th, or a 16th where time counts. Blocks
/// without differences decode faster, and can be decoded on GPUs.
pub fn takes_off_much(differences: usize, cost: usize, level: u8) -> bool {
    let part = if level <= FAST { 16 } else { 64 };
    differences as u64 * part < cost as u64 * (part - 1)
}

/// The differences with which the elements of a block take the fewest bytes, judged by a sample. `None` where
/// no differences promise less than `cost`, which is what the elements take without any.
///
/// The candidates are the difference from the element before (constants and slow changes), the difference of
/// these differences (steady steps), the difference from the row above, and both together (pictures).
pub fn choose_differences(raw: &[u8], hint: Hint, cost: usize, level: u8) -> Option<Differences> {
    let (element, apart) = match hint.dtype {
        Dtype::C64 => (4, 2),
        Dtype::C128 => (8, 2),
        dtype => match dtype.group() {
            (1, bytes @ (1 | 2 | 4 | 8)) => (bytes as usize, 1),
            _ => return None,
        },
    };
    let row = hint.row_bytes as usize / element;
    let mut candidates = vec![vec![apart], vec![apart, apart]];
    let has_rows = row > apart && ROWS * row * element <= raw.len();
    if has_rows && row as u64 <= MAX_DISTANCE && 2 * row * element <= SLICE.1 {
        candidates.extend([vec![row], vec![apart, row]]);
    }
    let shortest = if level <= FAST { SLICE.0 / 4 } else { SLICE.0 };
    let len = (ROWS * row * element).clamp(shortest, SLICE.1).min(raw.len()) / element * element;
    let least = if level < THOROUGH { 2 } else { 4 };
    let slices = (raw.len() / APART).max(least);
    let step = (raw.len() / slices).max(len).next_multiple_of(element);
    let slices: Vec<&[u8]> = raw.chunks(step.max(1)).map(|c| &c[..c.len().min(len)]).collect();
    let sampled: usize = slices.iter().map(|s| s.len()).sum();
    let estimated =
        candidates.into_iter().map(|distances| (estimate(&slices, element, &distances), distances));
    // Contexts may save tables, so these only count once the distances are chosen.
    let ((symbols, tables), distances) = estimated.min_by_key(|e| e.0.0)?;
    // The symbols of the whole block, in proportion to those of the slices.
    let bits = u128::from(symbols) * raw.len() as u128 / sampled.max(1) as u128 + u128::from(tables);
    let bytes = usize::try_from(bits / (8 * 256)).ok()?;
    takes_off_much(bytes, cost, level).then_some(Differences { element, distances })
}

/// Estimates the cost of slices as differences, in 1/256 bits, with one table for each byte of an element: that of their
/// symbols, and that of the tables.
fn estimate(slices: &[&[u8]], element: usize, distances: &[usize]) -> (u64, u64) {
    let (mut counts, mut counted) = (vec![[0u32; 256]; element], 0);
    for slice in slices {
        let mut numbers = slice.to_vec();
        subtract_earlier(element, distances, &mut numbers);
        // The first elements have none before them.
        let skip = (distances.iter().sum::<usize>() * element).min(numbers.len() / 2 / element * element);
        for number in numbers[skip..].chunks_exact(element) {
            counts.iter_mut().zip(number).for_each(|(c, byte)| c[usize::from(*byte)] += 1);
        }
        counted += (numbers.len() - skip) / element;
    }
    let all: usize = slices.iter().map(|s| s.len() / element).sum();
    let symbols: u64 = counts.iter().map(Freqs::estimate).sum();
    let tables = counts.iter().map(|c| Freqs::from_counts(c).stored_cost()).sum();
    (symbols * all as u64 / counted.max(1) as u64, tables)
}
