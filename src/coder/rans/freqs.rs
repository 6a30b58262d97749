//! Frequencies of symbols: computed from counts, written as bytes and read back.

use super::{BITS, TOTAL};
use crate::coder::log2::log2;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Frequencies of 256 symbols that sum to [`TOTAL`]. At least two of them are above 0, so none reaches the
/// total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freqs(pub [u16; 256]);

impl Freqs {
    /// Makes frequencies in proportion to counts. Every symbol that was counted gets at least 1.
    pub fn from_counts(counts: &[u32; 256]) -> Self {
        let n: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        let mut freqs = [0u16; 256];
        if n == 0 {
            (freqs[0], freqs[1]) = (TOTAL as u16 - 1, 1);
            return Self(freqs);
        }
        let per_n = u64::MAX / n;
        for (f, &c) in freqs.iter_mut().zip(counts) {
            if c > 0 {
                // A division, rounded to nearest: the product is too small by one at most.
                let x = u64::from(c) * u64::from(TOTAL) + n / 2;
                let low = ((u128::from(x) * u128::from(per_n)) >> 64) as u64;
                let share = low + u64::from((low + 1) * n <= x);
                *f = share.clamp(1, u64::from(TOTAL) - 1) as u16;
            }
        }
        if freqs.iter().filter(|f| **f > 0).count() == 1 {
            let other = usize::from(freqs[0] > 0);
            freqs[other] = 1;
        }
        settle(&mut freqs, counts, n);
        Self(freqs)
    }

    /// The cost, in 1/256 bits, of coding symbols with these counts. A symbol without a frequency costs 16
    /// bits.
    pub fn cost(&self, counts: &[u32; 256]) -> u64 {
        counts.iter().zip(&self.0).map(|(&c, &f)| u64::from(c) * u64::from(bits(f))).sum()
    }

    /// Estimates the cost, in 1/256 bits, of coding symbols with frequencies made from their own counts.
    pub fn estimate(counts: &[u32; 256]) -> u64 {
        let n: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        let share = |c: u32| (u64::from(c) * u64::from(TOTAL) + n / 2).checked_div(n).unwrap_or(0).max(1);
        let (mut sum, mut cost) = (0, 0);
        for &c in counts.iter().filter(|c| **c > 0) {
            let f = share(c);
            sum += f;
            cost += u64::from(c) * u64::from((BITS << 8) - log2(f as u32, 8));
        }
        // If shares are rounded up to more than the total, all symbols become more expensive.
        let over = (u64::from(log2(sum.max(1) as u32, 8))).saturating_sub(u64::from(BITS) << 8);
        cost + n * over
    }

    /// The cost of storing the frequencies, in 1/256 bits.
    pub fn stored_cost(&self) -> u64 {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        8 * 256 * bytes.len() as u64
    }

    /// The cost of one symbol, in 1/256 bits; see [`Self::cost`].
    pub fn cost_of(&self, symbol: u8) -> u32 {
        bits(self.0[usize::from(symbol)])
    }

    /// Appends the stored form: the first symbol with a frequency, the distance to the last one, and the
    /// frequencies from the first to the last as varints. A zero is followed by a byte with the number of
    /// further zeros.
    pub fn put(&self, out: &mut Vec<u8>) {
        let first = self.0.iter().position(|f| *f > 0).unwrap_or(0);
        let last = self.0.iter().rposition(|f| *f > 0).unwrap_or(0);
        out.extend_from_slice(&[first as u8, (last - first) as u8]);
        let mut rest = &self.0[first..=last];
        while let Some((&f, after)) = rest.split_first() {
            varint::put(out, f.into());
            rest = after;
            if f == 0 {
                let zeros = rest.iter().take_while(|f| **f == 0).count();
                out.push(zeros as u8);
                rest = &rest[zeros..];
            }
        }
    }

    /// Reads the form that [`Self::put`] writes.
    ///
    /// # Errors
    ///
    /// `Corrupt` for frequencies that do not sum to [`TOTAL`] or lie outside of the 256 symbols; the end of
    /// the data.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let (first, more) = (usize::from(c.u8()?), usize::from(c.u8()?));
        if first + more > 255 {
            return Err(Error::corrupt("frequencies of more than 256 symbols").into());
        }
        let mut freqs = [0; 256];
        let mut at = first;
        while at <= first + more {
            let f = c.varint_in("frequency", 0..=u64::from(TOTAL) - 1)? as u16;
            freqs[at] = f;
            at += 1 + if f == 0 { usize::from(c.u8()?) } else { 0 };
        }
        in_range("symbols of a table", at as u64, 0..=first as u64 + more as u64 + 1)?;
        let sum: u64 = freqs.iter().map(|f| u64::from(*f)).sum();
        in_range("sum of frequencies", sum, TOTAL.into()..=TOTAL.into())?;
        Ok(Self(freqs))
    }
}

/// −log2(f / 2^12) in 1/256 bits, within 1/256.
fn bits(f: u16) -> u32 {
    BITS_OF[usize::from(f)].into()
}

/// [`bits`] of each frequency.
static BITS_OF: [u16; TOTAL as usize] = {
    let mut bits = [16 << 8; TOTAL as usize];
    let mut f = 1;
    while f < bits.len() {
        bits[f] = ((BITS << 8) - log2(f as u32, 8)) as u16;
        f += 1;
    }
    bits
};

/// Makes the frequencies sum to the total, in steps of 1, each where it brings a frequency closest to its
/// share.
fn settle(freqs: &mut [u16; 256], counts: &[u32; 256], n: u64) {
    let sum: i64 = freqs.iter().map(|f| i64::from(*f)).sum();
    let steps = sum.abs_diff(i64::from(TOTAL));
    if steps == 0 {
        return;
    }
    let down = sum > i64::from(TOTAL);
    let step = if down { -1 } else { 1 };
    let may_move = if down { 2..=TOTAL as u16 - 1 } else { 1..=TOTAL as u16 - 2 };
    // By how much each frequency exceeds its share, times the number of symbols; negative for steps up, so that
    // the greatest moves. Of equal ones, the last moves down and the first up.
    let above = |i: usize| i64::from(freqs[i]) * n as i64 - i64::from(counts[i]) * i64::from(TOTAL);
    let order = |i: usize| if down { i } else { 255 - i };
    let mut above: BinaryHeap<(i64, usize)> =
        (0..256).filter(|i| may_move.contains(&freqs[*i])).map(|i| (-step * above(i), order(i))).collect();
    for _ in 0..steps {
        // Some frequency can always move: at most 256 symbols share 4096.
        let Some(mut greatest) = above.peek_mut() else { return };
        let freq = &mut freqs[order(greatest.1)];
        *freq = freq.wrapping_add_signed(step as i16);
        if may_move.contains(freq) {
            greatest.0 -= n as i64;
        } else {
            PeekMut::pop(greatest);
        }
    }
}

/// Writes frequencies and reads them again.
#[cfg(test)]
pub fn reread(freqs: &Freqs) -> crate::Result<Freqs> {
    let mut out = Vec::new();
    freqs.put(&mut out);
    Freqs::parse(&mut Cursor::new(&out)).map_err(|e| e.at_end("frequencies"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frequencies by their definition: shares rounded to nearest, then single steps.
    fn by_definition(counts: &[u32; 256]) -> [u16; 256] {
        let n: i64 = counts.iter().map(|&c| i64::from(c)).sum();
        let total = i64::from(TOTAL);
        let mut freqs =
            counts.map(|c| if c > 0 { ((i64::from(c) * total + n / 2) / n).clamp(1, total - 1) } else { 0 });
        if freqs.iter().filter(|f| **f > 0).count() == 1 {
            freqs[usize::from(freqs[0] > 0)] = 1;
        }
        loop {
            let sum: i64 = freqs.iter().sum();
            let above = |i: usize| freqs[i] * n - i64::from(counts[i]) * total;
            let i = match sum.cmp(&total) {
                std::cmp::Ordering::Equal => return freqs.map(|f| f as u16),
                std::cmp::Ordering::Greater => {
                    (0..256).filter(|i| freqs[*i] > 1).max_by_key(|i| (above(*i), *i))
                }
                std::cmp::Ordering::Less => {
                    (0..256).filter(|i| (1..total - 1).contains(&freqs[*i])).min_by_key(|i| (above(*i), *i))
                }
            };
            freqs[i.unwrap()] += (total - sum).signum();
        }
    }

    #[test]
    fn frequencies_follow_their_definition() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for round in 0..2_000 {
            let (symbols, scale) = (1 + next() % 256, next() % 24);
            let mut counts = [0; 256];
            for _ in 0..symbols {
                counts[next() as usize % 256] += 1 + (next() >> scale);
            }
            assert_eq!(Freqs::from_counts(&counts).0, by_definition(&counts), "{round}");
        }
    }
}
