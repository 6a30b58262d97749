//! Frequencies of symbols: computed from counts, written as bytes and read back.

use super::{BITS, TOTAL};
use crate::coder::log2::log2;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;

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
        for (f, &c) in freqs.iter_mut().zip(counts) {
            if c > 0 {
                let share = (u64::from(c) * u64::from(TOTAL) + n / 2) / n;
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
    if f == 0 { 16 << 8 } else { (BITS << 8) - log2(f.into(), 8) }
}

/// Makes the frequencies sum to the total, in steps of 1, each where it brings a frequency closest to its
/// share.
fn settle(freqs: &mut [u16; 256], counts: &[u32; 256], n: u64) {
    let mut sum: i64 = freqs.iter().map(|f| i64::from(*f)).sum();
    while sum != i64::from(TOTAL) {
        let down = sum > i64::from(TOTAL);
        // By how much a frequency exceeds its share, times the number of symbols.
        let above = |i: usize| i64::from(freqs[i]) * n as i64 - i64::from(counts[i]) * i64::from(TOTAL);
        let (low, high) = if down { (2, TOTAL as u16 - 1) } else { (1, TOTAL as u16 - 2) };
        let may = (0..256).filter(|&i| (low..=high).contains(&freqs[i]));
        let i = if down { may.max_by_key(|&i| (above(i), i)) } else { may.min_by_key(|&i| (above(i), i)) };
        // Some frequency can always move: at most 256 symbols share 4096.
        let Some(i) = i else { return };
        freqs[i] = if down { freqs[i] - 1 } else { freqs[i] + 1 };
        sum += if down { -1 } else { 1 };
    }
}

/// Writes frequencies and reads them again.
#[cfg(test)]
pub fn reread(freqs: &Freqs) -> crate::Result<Freqs> {
    let mut out = Vec::new();
    freqs.put(&mut out);
    Freqs::parse(&mut Cursor::new(&out)).map_err(|e| e.at_end("frequencies"))
}
