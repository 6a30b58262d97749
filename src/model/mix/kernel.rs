//! The mixer's inner loops and the search in a bucket, in AVX2 or SSE2, in vectors of 128 bits or words, and in plain Rust
//! with the same integers.
//!
//! The choice between the two is a constant parameter of the functions around them, chosen once for a block: a choice
//! for every bit would cost more than the loops, and functions compiled for AVX2 are only inlined into
//! functions that are compiled for it too.
#![allow(unsafe_code)] // kernels

use crate::kernel::kernels;

/// The number of values in a vector of inputs.
pub const LANES: usize = 16;
/// The number of vectors in a row.
pub const VECTORS: usize = 4;
/// The number of families of rows in the first layer.
pub const FAMILIES: usize = 5;
/// The number of values in a row of the second layer, of which the first [`FAMILIES`] count.
pub const WIDTH: usize = 8;
/// The shift of the sums of products in each pair of lanes, before the pairs are added up.
const PAIR_SHIFT: u32 = 5;
/// The further shift from a sum to a logit; weights are Q14.
const SUM_SHIFT: u32 = 14 - PAIR_SHIFT;
/// The largest magnitude of an output, a logit in Q8 octaves.
const LIMIT: i32 = 4095;

/// The inputs of the first layer, or the weights of one of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Row(pub [[i16; LANES]; VECTORS]);

/// The inputs of the second layer, or the weights of one of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Short(pub [i16; WIDTH]);

impl Row {
    /// A row of equal values.
    pub const fn splat(value: i16) -> Self {
        Self([[value; LANES]; VECTORS])
    }
}

/// The logit of a shifted sum.
fn output(sum: i32) -> i16 {
    (sum >> SUM_SHIFT).clamp(-LIMIT, LIMIT) as i16
}

/// The logits that rows give for the first `V` vectors of inputs; the other values are 0. Inputs are at most
/// 4095 in magnitude, so the sum in each pair of lanes stays below 2^31, and so does the sum of all pairs
/// after the shift.
#[inline(always)]
fn mix_scalar<const V: usize>(rows: [&Row; FAMILIES], x: &Row) -> Short {
    let mut out = Short([0; WIDTH]);
    for (row, out) in rows.iter().zip(&mut out.0) {
        let mut pairs = [0i32; LANES / 2];
        for (w, x) in row.0[..V].iter().zip(&x.0) {
            for (pair, (w, x)) in pairs.iter_mut().zip(w.as_chunks::<2>().0.iter().zip(x.as_chunks::<2>().0))
            {
                *pair += i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1]);
            }
        }
        *out = output(pairs.iter().map(|pair| pair >> PAIR_SHIFT).sum());
    }
    out
}

/// The logit that a row of the second layer gives.
#[inline(always)]
fn mix_short_scalar(row: &Short, x: &Short) -> i16 {
    let (w, x) = (row.0.as_chunks::<2>().0, x.0.as_chunks::<2>().0);
    let pair = |(w, x): (&[i16; 2], &[i16; 2])| {
        (i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1])) >> PAIR_SHIFT
    };
    output(w.iter().zip(x).map(pair).sum())
}

/// Moves each weight by `(x * error + 2^14) >> 15`, saturating at 16 bits.
#[inline(always)]
fn train_values(weights: &mut [i16], inputs: &[i16], error: i16) {
    for (w, &x) in weights.iter_mut().zip(inputs) {
        let step = (i32::from(x) * i32::from(error) + (1 << 14)) >> 15;
        *w = w.saturating_add(step as i16);
    }
}

/// See [`train`].
#[inline(always)]
fn train_scalar<const V: usize>(row: &mut Row, x: &Row, error: i16) {
    for (w, x) in row.0[..V].iter_mut().zip(&x.0) {
        train_values(w, x, error);
    }
}

/// See [`train_short`].
#[inline(always)]
fn train_short_scalar(row: &mut Short, x: &Short, error: i16) {
    train_values(&mut row.0, &x.0, error);
}

/// See [`spread`].
#[inline(always)]
fn spread_scalar(pairs: [u32; 8], to: &mut [i16; LANES]) {
    for (pair, to) in pairs.iter().zip(to.as_chunks_mut::<2>().0) {
        *to = [*pair as i16, (*pair >> 16) as i16];
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! The forms in AVX2.

    use std::arch::x86_64::*;

    use super::{FAMILIES, LANES, LIMIT, PAIR_SHIFT, Row, SUM_SHIFT, Short, WIDTH};

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(values: &[i16; LANES]) -> __m256i {
        // SAFETY: the array holds 16 × 16 bits; an unaligned load is used.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }

    /// The shifted sums of one row's products in each pair of lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pairs<const V: usize>(row: &Row, x: &[__m256i; V]) -> __m256i {
        let mut sum = _mm256_setzero_si256();
        for (w, x) in row.0.iter().zip(x) {
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(w), *x));
        }
        _mm256_srai_epi32::<{ PAIR_SHIFT as i32 }>(sum)
    }

    /// See [`super::mix_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn mix<const V: usize>(rows: [&Row; FAMILIES], x: &Row) -> Short {
        let mut inputs = [_mm256_setzero_si256(); V];
        for (input, values) in inputs.iter_mut().zip(&x.0) {
            *input = load(values);
        }
        let [a, b, c, d, e] = rows;
        let ab = _mm256_hadd_epi32(pairs(a, &inputs), pairs(b, &inputs));
        let cd = _mm256_hadd_epi32(pairs(c, &inputs), pairs(d, &inputs));
        let abcd = _mm256_hadd_epi32(ab, cd);
        let e = pairs(e, &inputs);
        let four = _mm_add_epi32(_mm256_castsi256_si128(abcd), _mm256_extracti128_si256::<1>(abcd));
        let half = _mm_add_epi32(_mm256_castsi256_si128(e), _mm256_extracti128_si256::<1>(e));
        let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair));
        let one = _mm_and_si128(one, _mm_set_epi32(0, 0, 0, -1));
        // Packing saturates to 16 bits, which is outside the limit.
        let packed = _mm_packs_epi32(
            _mm_srai_epi32::<{ SUM_SHIFT as i32 }>(four),
            _mm_srai_epi32::<{ SUM_SHIFT as i32 }>(one),
        );
        let limit = _mm_set1_epi16(LIMIT as i16);
        let logits = _mm_max_epi16(_mm_min_epi16(packed, limit), _mm_sub_epi16(_mm_setzero_si128(), limit));
        let mut out = Short([0; WIDTH]);
        // SAFETY: the array holds 8 × 16 bits; an unaligned store is used.
        unsafe { _mm_storeu_si128(out.0.as_mut_ptr().cast(), logits) };
        out
    }

    /// See [`super::mix_short_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn mix_short(row: &Short, x: &Short) -> i16 {
        // SAFETY: both arrays hold 8 × 16 bits; unaligned loads are used.
        let (w, x) =
            unsafe { (_mm_loadu_si128(row.0.as_ptr().cast()), _mm_loadu_si128(x.0.as_ptr().cast())) };
        let sums = _mm_srai_epi32::<{ PAIR_SHIFT as i32 }>(_mm_madd_epi16(w, x));
        let pair = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b01_00_11_10>(sums));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair));
        (_mm_cvtsi128_si32(one) >> SUM_SHIFT).clamp(-LIMIT, LIMIT) as i16
    }

    /// See [`super::train`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn train<const V: usize>(row: &mut Row, x: &Row, error: i16) {
        let e = _mm256_set1_epi16(error);
        for v in 0..V {
            let step = _mm256_mulhrs_epi16(load(&x.0[v]), e);
            let moved = _mm256_adds_epi16(load(&row.0[v]), step);
            // SAFETY: the array holds 16 × 16 bits; an unaligned store is used.
            unsafe { _mm256_storeu_si256(row.0[v].as_mut_ptr().cast(), moved) };
        }
    }

    /// See [`super::train_short`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn train_short(row: &mut Short, x: &Short, error: i16) {
        // SAFETY: all arrays hold 8 × 16 bits; unaligned accesses are used.
        unsafe {
            let step = _mm_mulhrs_epi16(_mm_loadu_si128(x.0.as_ptr().cast()), _mm_set1_epi16(error));
            let moved = _mm_adds_epi16(_mm_loadu_si128(row.0.as_ptr().cast()), step);
            _mm_storeu_si128(row.0.as_mut_ptr().cast(), moved);
        }
    }

    /// See [`super::spread`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn spread(pairs: [u32; 8], to: &mut [i16; LANES]) {
        let [a, b, c, d, e, f, g, h] = pairs.map(|p| p as i32);
        // The values are gathered in registers: a wide load would have to wait for eight narrow stores.
        let all = _mm256_setr_epi32(a, b, c, d, e, f, g, h);
        // SAFETY: the array holds 16 × 16 bits; an unaligned store is used.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), all) };
    }
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
mod v128 {
    //! The forms in vectors of 128 bits.

    use super::{FAMILIES, LANES, LIMIT, PAIR_SHIFT, Row, SUM_SHIFT, Short, WIDTH, output};
    use crate::kernel::v128::{PairSums, V128, load, store};

    /// The shifted sums of one row's products in each pair of lanes, and of the next four lanes.
    #[inline(always)]
    fn pairs<const V: usize>(row: &Row, x: &[[V128; 2]; V]) -> V128 {
        let mut sums = [PairSums::ZERO; 2];
        for (w, x) in row.0.iter().zip(x) {
            let w = load(w);
            sums[0].add(w[0], x[0]);
            sums[1].add(w[1], x[1]);
        }
        let [low, high] = sums.map(|sums| sums.finish().shift_right32::<{ PAIR_SHIFT as i32 }>());
        low.add32(high)
    }

    /// See [`super::mix_scalar`].
    #[inline(always)]
    pub fn mix<const V: usize>(rows: [&Row; FAMILIES], x: &Row) -> Short {
        let x: [[V128; 2]; V] = std::array::from_fn(|v| load(&x.0[v]));
        let [a, b, c, d, e] = rows.map(|row| pairs(row, &x));
        let zero = V128::splat32(0);
        let shift = |sums: V128| sums.shift_right32::<{ SUM_SHIFT as i32 }>();
        let (four, one) = (shift(V128::sums32([a, b, c, d])), shift(V128::sums32([e, zero, zero, zero])));
        let mut out = Short([0; WIDTH]);
        // Narrowing limits to 16 bits, which is outside the limit.
        V128::narrow32(four, one).clamp16(-LIMIT as i16, LIMIT as i16).store(&mut out.0);
        out
    }

    /// See [`super::mix_short_scalar`].
    #[inline(always)]
    pub fn mix_short(row: &Short, x: &Short) -> i16 {
        let sums = V128::load(&row.0).dot16(V128::load(&x.0));
        output(sums.shift_right32::<{ PAIR_SHIFT as i32 }>().sum32())
    }

    /// See [`super::train`].
    #[inline(always)]
    pub fn train<const V: usize>(row: &mut Row, x: &Row, error: i16) {
        let error = V128::splat16(error);
        for (w, x) in row.0[..V].iter_mut().zip(&x.0) {
            let ([a, b], [x, y]) = (load(w), load(x));
            store(w, [a.add_sat16(x.scale16(error)), b.add_sat16(y.scale16(error))]);
        }
    }

    /// See [`super::train_short`].
    #[inline(always)]
    pub fn train_short(row: &mut Short, x: &Short, error: i16) {
        let step = V128::load(&x.0).scale16(V128::splat16(error));
        V128::load(&row.0).add_sat16(step).store(&mut row.0);
    }

    /// See [`super::spread`].
    #[inline(always)]
    pub fn spread(pairs: [u32; 8], to: &mut [i16; LANES]) {
        super::spread_scalar(pairs, to);
    }
}

kernels! {
    /// See [`mix_scalar`].
    mix<V>(rows: [&Row; FAMILIES], x: &Row) -> Short: mix_scalar::<V>(rows, x);
    /// See [`mix_short_scalar`].
    mix_short(row: &Short, x: &Short) -> i16: mix_short_scalar(row, x);
    /// Moves the weights of the first `V` vectors: see [`train_values`].
    train<V>(row: &mut Row, x: &Row, error: i16): train_scalar::<V>(row, x, error);
    /// Moves the weights of a row of the second layer: see [`train_values`].
    train_short(row: &mut Short, x: &Short, error: i16): train_short_scalar(row, x, error);
    /// Writes eight pairs of values into a vector of inputs, the low half of each pair first.
    spread(pairs: [u32; 8], to: &mut [i16; LANES]): spread_scalar(pairs, to);
}

/// A bit mask of those of a bucket's four slots that start with `check`, and the second bytes of all four.
#[inline(always)]
pub fn probe(bucket: &[[u8; 16]; 4], check: u8) -> (u32, [u8; 4]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to every x86-64 processor; the loads read the bucket's 64 bytes.
    unsafe {
        use std::arch::x86_64::*;
        let at = |i: usize| _mm_loadl_epi64(bucket[i].as_ptr().cast());
        let (low, high) = (_mm_unpacklo_epi8(at(0), at(1)), _mm_unpacklo_epi8(at(2), at(3)));
        let both = _mm_unpacklo_epi16(low, high);
        let equal = _mm_cmpeq_epi8(both, _mm_set1_epi8(check as i8));
        let seconds = _mm_cvtsi128_si32(_mm_srli_epi64::<32>(both)) as u32;
        (_mm_movemask_epi8(equal) as u32 & 15, seconds.to_le_bytes())
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // The four bytes in one word, in which those that are equal become zero, and then their highest bits ones.
        let other = u32::from_le_bytes(bucket.map(|slot| slot[0])) ^ u32::from(check) * 0x0101_0101;
        let equal = !(((other & 0x7F7F_7F7F) + 0x7F7F_7F7F) | other) & 0x8080_8080;
        // The product brings them next to each other: no two of its terms meet.
        let mask = (equal >> 7).wrapping_mul(0x0102_0408) >> 24 & 15;
        (mask, bucket.map(|slot| slot[1]))
    }
}

/// See [`probe`].
#[cfg(test)]
fn probe_scalar(bucket: &[[u8; 16]; 4], check: u8) -> (u32, [u8; 4]) {
    let mask = (0..4).map(|i| u32::from(bucket[i][0] == check) << i).sum();
    (mask, bucket.map(|slot| slot[1]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Kernel;

    fn row(low: i16, high: i16) -> impl Strategy<Value = Row> {
        let vector = || prop::array::uniform16(low..=high);
        (vector(), vector(), vector(), vector()).prop_map(|(a, b, c, d)| Row([a, b, c, d]))
    }

    fn agree<const V: usize>(rows: &[Row; 5], x: &Row, short: Short, error: i16) {
        let [a, b, c, d, e] = rows;
        let refs = [a, b, c, d, e];
        let expected = mix_scalar::<V>(refs, x);
        assert_eq!(mix::<true, V>(refs, x), expected);
        assert_eq!(mix_short::<true>(&short, &expected), mix_short_scalar(&short, &expected));
        let (mut left, mut right) = (rows[0], rows[0]);
        train_scalar::<V>(&mut left, x, error);
        train::<true, V>(&mut right, x, error);
        assert_eq!(left, right);
        let (mut left, mut right) = (short, short);
        train_short_scalar(&mut left, &expected, error);
        train_short::<true>(&mut right, &expected, error);
        assert_eq!(left, right);
    }

    proptest! {
        #[test]
        fn vectors_equal_scalar(
            rows in prop::array::uniform5(row(i16::MIN, i16::MAX)),
            x in row(-4095, 4095),
            short in prop::array::uniform8(any::<i16>()),
            error in -32767i16..=32767,
        ) {
            if Kernel::best() != Kernel::Scalar {
                agree::<2>(&rows, &x, Short(short), error);
                agree::<3>(&rows, &x, Short(short), error);
                agree::<4>(&rows, &x, Short(short), error);
            }
        }

        #[test]
        fn probes_agree(bucket in prop::array::uniform4(prop::array::uniform16(0u8..4)), check in 0u8..4) {
            prop_assert_eq!(probe(&bucket, check), probe_scalar(&bucket, check));
        }

        #[test]
        fn pairs_spread(pairs: [u32; 8]) {
            if Kernel::best() != Kernel::Scalar {
                let mut to = [0; LANES];
                spread::<true>(pairs, &mut to);
                let expected = std::array::from_fn(|i| (pairs[i / 2] >> (16 * (i % 2))) as i16);
                prop_assert_eq!(to, expected);
            }
        }
    }
}
