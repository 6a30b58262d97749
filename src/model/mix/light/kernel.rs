//! The inner loops of the light predictor, in AVX2, in vectors of 128 bits, and in plain Rust with the same integers.
//!
//! All eight sources of a bit's probability take every step side by side, one in each 32-bit lane.
#![allow(unsafe_code)] // kernels

use crate::kernel::kernels;
use crate::model::mix::logistic::line;

/// The sources of a bit's probability: six contexts, the newest byte, and the match model.
pub const SOURCES: usize = 8;
/// How slowly each source's probability follows the bits of codes, as a shift.
pub const RATES: [u32; SOURCES] = [7, 7, 7, 7, 7, 7, 5, 6];
/// Probabilities are clamped to at least this, and at most 65536 minus this (Q16), before they become logits.
const LEAST: u32 = 16;
const MOST: u32 = 65536 - LEAST;
/// The shift of the sum of a source's two products, before the sources are added up.
const PAIR_SHIFT: u32 = 5;
/// The further shift from a sum to a logit; weights are Q14.
const SUM_SHIFT: u32 = 14 - PAIR_SHIFT;
/// The largest magnitude of a mixed logit, in Q8 octaves.
const LIMIT: i32 = 4095;

/// The weights of a mixer's row, or its inputs: two per source, the confidence and the logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Row(pub [i16; 2 * SOURCES]);

/// The probabilities (Q16, 0..=65535) that a bit is a 1, by source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Probabilities(pub [u32; SOURCES]);

/// The two inputs of each source: the distance of its probability from one half in 1/2048, and its logit in
/// Q8 octaves.
#[inline(always)]
fn inputs_scalar(p: &Probabilities) -> Row {
    let mut x = Row([0; 2 * SOURCES]);
    for (pair, &p) in x.0.as_chunks_mut::<2>().0.iter_mut().zip(&p.0) {
        let q = p.clamp(LEAST, MOST);
        *pair = [((p as i32 - 32768) >> 5) as i16, (line(q) - line(65536 - q)) as i16];
    }
    x
}

/// The logit that a row gives for inputs. Inputs are at most 3072 in magnitude, so the two products of a
/// source and the sum of all shifted pairs stay below 2^31.
#[inline(always)]
fn mix_scalar(row: &Row, x: &Row) -> i32 {
    let pairs = row.0.as_chunks::<2>().0.iter().zip(x.0.as_chunks::<2>().0);
    let pair = |(w, x): (&[i16; 2], &[i16; 2])| {
        (i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1])) >> PAIR_SHIFT
    };
    (pairs.map(pair).sum::<i32>() >> SUM_SHIFT).clamp(-LIMIT, LIMIT)
}

/// Moves each weight by `(x * error + 2^14) >> 15`, saturating at 16 bits.
#[inline(always)]
fn train_scalar(row: &mut Row, x: &Row, error: i16) {
    for (w, &x) in row.0.iter_mut().zip(&x.0) {
        let step = (i32::from(x) * i32::from(error) + (1 << 14)) >> 15;
        *w = w.saturating_add(step as i16);
    }
}

/// Moves each probability towards `bit` by 2^-rate of the distance, and by at least one.
#[inline(always)]
fn learn_scalar(p: &Probabilities, bit: u32, rates: &[u32; SOURCES]) -> Probabilities {
    let target = if bit != 0 { 65535 } else { 0 };
    Probabilities(std::array::from_fn(|i| {
        let round = if bit != 0 { (1 << rates[i]) - 1 } else { 0 };
        (p.0[i] as i32 + ((target - p.0[i] as i32 + round) >> rates[i])) as u32
    }))
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! The forms in AVX2.

    use std::arch::x86_64::*;

    use super::{LEAST, LIMIT, MOST, PAIR_SHIFT, Probabilities, Row, SOURCES, SUM_SHIFT};
    use crate::kernel::avx2::{load, store};

    /// The same as [`super::line`], up to another constant. Conversion to floating point is exact below 2^24,
    /// so the bits of the result are the exponent and the bits after the leading one.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn line(v: __m256i) -> __m256i {
        _mm256_srli_epi32::<15>(_mm256_castps_si256(_mm256_cvtepi32_ps(v)))
    }

    /// Eight numbers as one vector, gathered in registers: a wide load would have to wait for eight narrow
    /// stores.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn gather(p: [u32; SOURCES]) -> Probabilities {
        let [a, b, c, d, e, f, g, h] = p.map(|p| p as i32);
        let mut all = Probabilities([0; SOURCES]);
        store(&mut all.0, _mm256_setr_epi32(a, b, c, d, e, f, g, h));
        all
    }

    /// See [`super::inputs_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn inputs(p: &Probabilities) -> Row {
        let p = load(&p.0);
        let q = _mm256_max_epi32(p, _mm256_set1_epi32(LEAST as i32));
        let q = _mm256_min_epi32(q, _mm256_set1_epi32(MOST as i32));
        let logit = _mm256_sub_epi32(line(q), line(_mm256_sub_epi32(_mm256_set1_epi32(65536), q)));
        let confidence = _mm256_srai_epi32::<5>(_mm256_sub_epi32(p, _mm256_set1_epi32(32768)));
        let mut x = Row([0; 2 * SOURCES]);
        store(&mut x.0, _mm256_blend_epi16::<0xAA>(confidence, _mm256_slli_epi32::<16>(logit)));
        x
    }

    /// See [`super::mix_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn mix(row: &Row, x: &Row) -> i32 {
        let pairs = _mm256_srai_epi32::<{ PAIR_SHIFT as i32 }>(_mm256_madd_epi16(load(&row.0), load(&x.0)));
        let four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
        (_mm_cvtsi128_si32(one) >> SUM_SHIFT).clamp(-LIMIT, LIMIT)
    }

    /// See [`super::train_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn train(row: &mut Row, x: &Row, error: i16) {
        let step = _mm256_mulhrs_epi16(load(&x.0), _mm256_set1_epi16(error));
        let moved = _mm256_adds_epi16(load(&row.0), step);
        store(&mut row.0, moved);
    }

    /// See [`super::learn_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn learn(p: &Probabilities, bit: u32, rates: &[u32; SOURCES]) -> Probabilities {
        let (p, rates) = (load(&p.0), load(rates));
        let mask = _mm256_set1_epi32(0i32.wrapping_sub((bit & 1) as i32));
        let target = _mm256_srli_epi32::<16>(mask);
        let round = _mm256_sub_epi32(_mm256_sllv_epi32(_mm256_set1_epi32(1), rates), _mm256_set1_epi32(1));
        let distance = _mm256_add_epi32(_mm256_sub_epi32(target, p), _mm256_and_si256(mask, round));
        let mut moved = Probabilities([0; SOURCES]);
        store(&mut moved.0, _mm256_add_epi32(p, _mm256_srav_epi32(distance, rates)));
        moved
    }
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
mod v128 {
    //! The forms in vectors of 128 bits.

    use super::{LEAST, LIMIT, MOST, PAIR_SHIFT, Probabilities, Row, SOURCES, SUM_SHIFT};
    use crate::kernel::v128::{V128, load, store};

    #[inline(always)]
    pub fn gather(p: [u32; SOURCES]) -> Probabilities {
        Probabilities(p)
    }

    /// The same as [`super::line`], up to another constant: see the form in AVX2.
    #[inline(always)]
    fn line(v: V128) -> V128 {
        v.float_bits32().shift_right_u32::<15>()
    }

    /// See [`super::inputs_scalar`].
    #[inline(always)]
    pub fn inputs(p: &Probabilities) -> Row {
        let mut x = Row([0; 2 * SOURCES]);
        let halves = load(&p.0).map(|p| {
            let q = p.max32(V128::splat32(LEAST as i32)).min32(V128::splat32(MOST as i32));
            let logit = line(q).sub32(line(V128::splat32(65536).sub32(q)));
            let confidence = p.sub32(V128::splat32(32768)).shift_right32::<5>();
            confidence.and(V128::splat32(0xFFFF)).or(logit.shift_left32::<16>())
        });
        store(&mut x.0, halves);
        x
    }

    /// See [`super::mix_scalar`].
    #[inline(always)]
    pub fn mix(row: &Row, x: &Row) -> i32 {
        let ([a, b], [x, y]) = (load(&row.0), load(&x.0));
        let pairs = |w: V128, x| w.dot16(x).shift_right32::<{ PAIR_SHIFT as i32 }>();
        (pairs(a, x).add32(pairs(b, y)).sum32() >> SUM_SHIFT).clamp(-LIMIT, LIMIT)
    }

    /// See [`super::train_scalar`].
    #[inline(always)]
    pub fn train(row: &mut Row, x: &Row, error: i16) {
        let ([a, b], [x, y], error) = (load(&row.0), load(&x.0), V128::splat16(error));
        store(&mut row.0, [a.add_sat16(x.scale16(error)), b.add_sat16(y.scale16(error))]);
    }

    /// See [`super::learn_scalar`]; rates are at most 8. A shift to the left by what is missing to 8 and one by 8 to the
    /// right are one by the rate.
    #[inline(always)]
    pub fn learn(p: &Probabilities, bit: u32, rates: &[u32; SOURCES]) -> Probabilities {
        let (factors, rounds) = (load(&rates.map(|r| 256u32 >> r)), load(&rates.map(|r| (1u32 << r) - 1)));
        let ones = V128::splat32(0i32.wrapping_sub((bit & 1) as i32));
        let target = ones.shift_right_u32::<16>();
        let old = load(&p.0);
        let moved = std::array::from_fn(|i| {
            let distance = target.sub32(old[i]).add32(ones.and(rounds[i]));
            old[i].add32(distance.mul32(factors[i]).shift_right32::<8>())
        });
        let mut p = Probabilities([0; SOURCES]);
        store(&mut p.0, moved);
        p
    }
}

kernels! {
    /// Puts the probabilities of all sources next to each other.
    gather(p: [u32; SOURCES]) -> Probabilities: Probabilities(p);
    /// See [`inputs_scalar`].
    inputs(p: &Probabilities) -> Row: inputs_scalar(p);
    /// See [`mix_scalar`].
    mix(row: &Row, x: &Row) -> i32: mix_scalar(row, x);
    /// See [`train_scalar`].
    train(row: &mut Row, x: &Row, error: i16): train_scalar(row, x, error);
    /// See [`learn_scalar`].
    learn(p: &Probabilities, bit: u32, rates: &[u32; SOURCES]) -> Probabilities: learn_scalar(p, bit, rates);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Kernel;

    proptest! {
        #[test]
        fn vectors_equal_scalar(
            p in prop::array::uniform8(0u32..65536),
            weights in prop::array::uniform16(any::<i16>()),
            error in -32767i16..=32767,
            bit in 0u32..2,
            rates in prop::array::uniform8(1u32..9),
        ) {
            if Kernel::best() != Kernel::Scalar {
                let p = Probabilities(p);
                let (x, row) = (inputs_scalar(&p), Row(weights));
                prop_assert_eq!(gather::<true>(p.0), p);
                prop_assert_eq!(inputs::<true>(&p), x);
                prop_assert_eq!(mix::<true>(&row, &x), mix_scalar(&row, &x));
                prop_assert_eq!(learn::<true>(&p, bit, &rates), learn_scalar(&p, bit, &rates));
                let (mut left, mut right) = (row, row);
                train_scalar(&mut left, &x, error);
                train::<true>(&mut right, &x, error);
                prop_assert_eq!(left, right);
            }
        }
    }

    #[test]
    fn probabilities_reach_both_ends() {
        let mut p = Probabilities([32768; SOURCES]);
        for (bit, end) in [(1, 65535), (0, 0)] {
            (0..10_000).for_each(|_| p = learn_scalar(&p, bit, &RATES));
            assert_eq!(p.0, [end; SOURCES]);
        }
    }
}
