//! The inner loops of mixtures, in AVX2, in vectors of 128 bits, and in plain Rust with the same integers.
#![allow(unsafe_code)] // kernels

use crate::kernel::kernels;

/// Symbols of a distribution.
pub const SYMBOLS: usize = 16;
/// The part of a mixture's interval that every symbol has at least, in 1/65536.
const FLOOR: u16 = 4;
/// log2 of how slowly weights follow the shares of their distributions.
const PACE: u32 = 6;
/// The least weight, in 1/65536.
const LEAST: u32 = 64;
/// The value towards which the bounds behind a coded symbol move.
const TOP: i16 = 32767;

/// A distribution that adapts. Entry i > 0 is the probability, in 1/32768, of the symbols below i; entry 0 is the number of
/// symbols seen, up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Row(pub [u16; SYMBOLS]);

impl Row {
    /// All symbols are equally likely, and none has been seen.
    pub const NEW: Self = {
        let (mut row, mut i) = ([0; SYMBOLS], 1);
        while i < SYMBOLS {
            row[i] = 2048 * i as u16;
            i += 1;
        }
        Self(row)
    };

    /// The probability of a symbol in 1/32768.
    #[inline(always)]
    pub fn share(&self, symbol: usize) -> u32 {
        let below = if symbol == 0 { 0 } else { self.0[symbol & 15] };
        let end = if symbol == 15 { 32768 } else { u32::from(self.0[(symbol + 1) & 15]) };
        end - u32::from(below)
    }
}

/// The weights of up to eight distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Weights {
    /// Weights less [`LEAST`], times 2^[`PACE`].
    held: [u32; 8],
    /// The weights, in 1/65536; entries without a distribution do not matter.
    now: [u16; SYMBOLS],
}

impl Weights {
    /// `count` equal weights. However they move, all of them sum up to less than 65536.
    pub fn new(count: usize) -> Self {
        let held = std::array::from_fn(|k| if k < count { (sum(count) / count as u32) << PACE } else { 0 });
        Self { held, now: std::array::from_fn(|k| held.get(k).map_or(0, |h| ((h >> PACE) + LEAST) as u16)) }
    }

    /// The weights, in 1/65536.
    #[cfg(test)]
    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.now.into_iter().map(u32::from)
    }
}

/// The sum of the shares by which `count` weights move. With the least weights, and all roundings, weights sum up to less
/// than 65536.
const fn sum(count: usize) -> u32 {
    65536 - (LEAST + 2) * count as u32 - 8
}

/// The bounds of symbols in an interval of 65536 parts: symbol i owns those from entry i on, below the next entry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Bounds(pub [u16; SYMBOLS]);

/// The bounds of distributions with weights.
#[inline(always)]
fn mix_scalar<const K: usize>(rows: &[&Row; K], weights: &Weights) -> Bounds {
    Bounds(std::array::from_fn(|i| {
        if i == 0 {
            return 0;
        }
        let sum: u32 = (0..K).map(|k| (u32::from(rows[k].0[i]) * u32::from(weights.now[k])) >> 16).sum();
        let twice = 2 * sum as u16;
        twice - (twice >> 10) + FLOOR * i as u16
    }))
}

/// Moves each weight towards the part of a symbol's probability that is its distribution's doing.
#[inline(always)]
fn follow_scalar<const K: usize>(weights: &mut Weights, rows: &[&Row; K], symbol: usize) {
    let parts: [u32; K] = std::array::from_fn(|k| (u32::from(weights.now[k]) * rows[k].share(symbol)) >> 16);
    let Some(scale) = (sum(K) << 15).checked_div(parts.iter().sum()) else { return };
    for ((held, now), part) in weights.held.iter_mut().zip(&mut weights.now).zip(parts) {
        *held = *held - (*held >> PACE) + ((part * scale) >> 15);
        *now = ((*held >> PACE) + LEAST) as u16;
    }
}

/// Moves the bounds of a distribution towards a symbol by `rate` / 32768 of the distance, rounded, and counts it up to
/// `limit`.
#[inline(always)]
fn learn_scalar(row: &mut Row, symbol: usize, rate: i16, limit: u16) {
    for (i, entry) in row.0.iter_mut().enumerate().skip(1) {
        let target = if i > symbol { TOP } else { 0 };
        let step = ((i32::from(target) - i32::from(*entry)) * i32::from(rate) + (1 << 14)) >> 15;
        *entry = (i32::from(*entry) + step) as u16;
    }
    row.0[0] += u16::from(row.0[0] < limit);
}

/// The symbol that owns a part.
#[inline(always)]
fn find_scalar(bounds: &Bounds, part: u16) -> usize {
    bounds.0.iter().filter(|&&b| b <= part).count() - 1
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! The forms in AVX2.

    use std::arch::x86_64::*;

    use super::{Bounds, FLOOR, LEAST, PACE, Row, TOP, Weights};
    use crate::kernel::avx2::{load, store};

    /// The numbers of the entries.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn numbers() -> __m256i {
        _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    }

    /// See [`super::mix_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn mix<const K: usize>(rows: &[&Row; K], weights: &Weights) -> Bounds {
        let mut sum = _mm256_setzero_si256();
        for (row, weight) in rows.iter().zip(weights.now) {
            let weight = _mm256_set1_epi16(weight as i16);
            sum = _mm256_add_epi16(sum, _mm256_mulhi_epu16(load(&row.0), weight));
        }
        let twice = _mm256_blend_epi16::<1>(_mm256_add_epi16(sum, sum), _mm256_setzero_si256());
        // The blend has also cleared entry 8, since it works on halves.
        let twice = _mm256_blend_epi32::<0xF0>(twice, _mm256_add_epi16(sum, sum));
        let floor = _mm256_mullo_epi16(numbers(), _mm256_set1_epi16(FLOOR as i16));
        let mut bounds = Bounds([0; 16]);
        let less = _mm256_sub_epi16(twice, _mm256_srli_epi16::<10>(twice));
        store(&mut bounds.0, _mm256_add_epi16(less, floor));
        bounds
    }

    /// See [`super::follow_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn follow<const K: usize>(weights: &mut Weights, rows: &[&Row; K], symbol: usize) {
        // In registers: a wide load would have to wait for narrow stores.
        let share = |k: usize| if k < K { rows[k].share(symbol) as i32 } else { 0 };
        let shares =
            _mm256_setr_epi32(share(0), share(1), share(2), share(3), share(4), share(5), share(6), share(7));
        let held = load(&weights.held);
        let least = _mm256_set1_epi32(LEAST as i32);
        let now = _mm256_add_epi32(_mm256_srli_epi32::<{ PACE as i32 }>(held), least);
        let parts = _mm256_srli_epi32::<16>(_mm256_mullo_epi32(now, shares));
        let four = _mm_add_epi32(_mm256_castsi256_si128(parts), _mm256_extracti128_si256::<1>(parts));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
        let all = _mm_cvtsi128_si32(one) as u32;
        let Some(scale) = (super::sum(K) << 15).checked_div(all) else { return };
        let gain = _mm256_mullo_epi32(parts, _mm256_set1_epi32(scale as i32));
        let gain = _mm256_srli_epi32::<15>(gain);
        let held = _mm256_sub_epi32(held, _mm256_srli_epi32::<{ PACE as i32 }>(held));
        let held = _mm256_add_epi32(held, gain);
        store(&mut weights.held, held);
        let now = _mm256_add_epi32(_mm256_srli_epi32::<{ PACE as i32 }>(held), least);
        let now = _mm256_packus_epi32(now, now);
        store(&mut weights.now, _mm256_permute4x64_epi64::<0b11_01_10_00>(now));
    }

    /// See [`super::learn_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn learn(row: &mut Row, symbol: usize, rate: i16, limit: u16) {
        let count = row.0[0];
        let above = _mm256_cmpgt_epi16(numbers(), _mm256_set1_epi16(symbol as i16));
        let target = _mm256_and_si256(above, _mm256_set1_epi16(TOP));
        let old = load(&row.0);
        let step = _mm256_mulhrs_epi16(_mm256_sub_epi16(target, old), _mm256_set1_epi16(rate));
        let new = _mm256_add_epi16(old, step);
        store(&mut row.0, _mm256_insert_epi16::<0>(new, (count + u16::from(count < limit)) as i16));
    }

    /// See [`super::find_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn find(bounds: &Bounds, part: u16) -> usize {
        let flip = _mm256_set1_epi16(i16::MIN);
        let bounds = _mm256_xor_si256(load(&bounds.0), flip);
        let above = _mm256_cmpgt_epi16(bounds, _mm256_set1_epi16((part ^ 0x8000) as i16));
        (_mm256_movemask_epi8(above) as u32).trailing_zeros() as usize / 2 - 1
    }
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
mod v128 {
    //! The forms in vectors of 128 bits.

    use super::{Bounds, FLOOR, LEAST, PACE, Row, SYMBOLS, TOP, Weights};
    use crate::kernel::v128::{V128, load, store};

    /// The numbers of the entries.
    const NUMBERS: [u16; SYMBOLS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    /// See [`super::mix_scalar`].
    #[inline(always)]
    pub fn mix<const K: usize>(rows: &[&Row; K], weights: &Weights) -> Bounds {
        let mut sums = [V128::splat32(0); 2];
        for (row, weight) in rows.iter().zip(weights.now) {
            let (row, weight) = (load(&row.0), V128::splat16(weight as i16));
            sums = std::array::from_fn(|i| sums[i].add16(row[i].high16(weight)));
        }
        let floors = load(&NUMBERS.map(|i| FLOOR * i));
        let [low, high] = sums.map(|sum| sum.add16(sum));
        let twice = [low.with_first16(0), high];
        let mut bounds = Bounds([0; SYMBOLS]);
        let of = |i: usize| twice[i].sub16(twice[i].shift_right_u16::<10>()).add16(floors[i]);
        store(&mut bounds.0, [of(0), of(1)]);
        bounds
    }

    /// See [`super::follow_scalar`].
    #[inline(always)]
    pub fn follow<const K: usize>(weights: &mut Weights, rows: &[&Row; K], symbol: usize) {
        let shares: [u32; 8] = std::array::from_fn(|k| if k < K { rows[k].share(symbol) } else { 0 });
        let (shares, held) = (load(&shares), load(&weights.held));
        let now = |held: V128| held.shift_right_u32::<{ PACE as i32 }>().add32(V128::splat32(LEAST as i32));
        let parts: [V128; 2] = std::array::from_fn(|i| now(held[i]).mul32(shares[i]).shift_right_u32::<16>());
        let all = parts[0].add32(parts[1]).sum32() as u32;
        let Some(scale) = (super::sum(K) << 15).checked_div(all) else { return };
        let moved = std::array::from_fn(|i| {
            let gain = parts[i].mul32(V128::splat32(scale as i32)).shift_right_u32::<15>();
            held[i].sub32(held[i].shift_right_u32::<{ PACE as i32 }>()).add32(gain)
        });
        store(&mut weights.held, moved);
        let now = V128::narrow_u32(now(moved[0]), now(moved[1]));
        now.store(&mut weights.now.as_chunks_mut::<8>().0[0]);
    }

    /// See [`super::learn_scalar`].
    #[inline(always)]
    pub fn learn(row: &mut Row, symbol: usize, rate: i16, limit: u16) {
        let count = row.0[0];
        let (old, numbers, rate) = (load(&row.0), load(&NUMBERS), V128::splat16(rate));
        let [low, high] = std::array::from_fn(|i| {
            let target = numbers[i].above16(V128::splat16(symbol as i16)).and(V128::splat16(TOP));
            old[i].add16(target.sub16(old[i]).scale16(rate))
        });
        store(&mut row.0, [low.with_first16(count + u16::from(count < limit)), high]);
    }

    /// See [`super::find_scalar`].
    #[inline(always)]
    pub fn find(bounds: &Bounds, part: u16) -> usize {
        let [low, high] = load(&bounds.0);
        V128::count_up_to16(low, high, part) as usize - 1
    }
}

kernels! {
    /// See [`mix_scalar`].
    mix<K>(rows: &[&Row; K], weights: &Weights) -> Bounds: mix_scalar(rows, weights);
    /// See [`follow_scalar`].
    follow<K>(weights: &mut Weights, rows: &[&Row; K], symbol: usize): follow_scalar(weights, rows, symbol);
    /// See [`learn_scalar`].
    learn(row: &mut Row, symbol: usize, rate: i16, limit: u16): learn_scalar(row, symbol, rate, limit);
    /// See [`find_scalar`].
    find(bounds: &Bounds, part: u16) -> usize: find_scalar(bounds, part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Kernel;

    /// Rows of symbols that were learned.
    fn row(symbols: &[usize]) -> Row {
        let mut row = Row::NEW;
        symbols.iter().for_each(|&s| learn_scalar(&mut row, s, 16384, 100));
        row
    }

    proptest! {
        #[test]
        fn vectors_equal_scalar(
            symbols in prop::array::uniform6(prop::collection::vec(0usize..16, 0..40)),
            followed in prop::collection::vec(0usize..16, 0..40),
            symbol in 0usize..16,
            rate in 100i16..22000,
            part: u16,
        ) {
            if Kernel::best() != Kernel::Scalar {
                let rows = symbols.map(|s| row(&s));
                let rows = rows.each_ref();
                let mut weights = Weights::new(6);
                let mut same = weights;
                for symbol in followed {
                    follow_scalar(&mut weights, &rows, symbol);
                    follow::<true, 6>(&mut same, &rows, symbol);
                }
                prop_assert_eq!(weights.held, same.held);
                prop_assert_eq!(&weights.now[..6], &same.now[..6]);
                let bounds = mix_scalar(&rows, &weights);
                prop_assert!(bounds.0.windows(2).all(|w| w[0] < w[1]));
                let (mut left, mut right) = (*rows[0], *rows[0]);
                learn_scalar(&mut left, symbol, rate, 100);
                prop_assert!(left.0[1..].is_sorted() && left.0[15] < 32768);
                prop_assert_eq!(mix::<true, 6>(&rows, &same), bounds);
                learn::<true>(&mut right, symbol, rate, 100);
                prop_assert_eq!(find::<true>(&bounds, part), find_scalar(&bounds, part));
                prop_assert_eq!(left, right);
                let owner = find_scalar(&bounds, part);
                prop_assert!(bounds.0[owner] <= part && (owner == 15 || part < bounds.0[owner + 1]));
            }
        }
    }
}
