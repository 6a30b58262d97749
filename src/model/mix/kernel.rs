//! The mixer's inner loops and the search in a bucket, in AVX2 or SSE2, in the vectors of WebAssembly, and in
//! plain Rust with the same integers.
//!
//! The choice between the two is a constant parameter of the functions around them, chosen once for a block: a choice
//! for every bit would cost more than the loops, and functions compiled for AVX2 are only inlined into
//! functions that are compiled for it too.
#![allow(unsafe_code)] // kernels

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
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), allow(dead_code))]
#[inline(always)]
pub fn mix_scalar<const V: usize>(rows: [&Row; FAMILIES], x: &Row) -> Short {
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
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), allow(dead_code))]
#[inline(always)]
pub fn mix_short_scalar(row: &Short, x: &Short) -> i16 {
    let (w, x) = (row.0.as_chunks::<2>().0, x.0.as_chunks::<2>().0);
    let pair = |(w, x): (&[i16; 2], &[i16; 2])| {
        (i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1])) >> PAIR_SHIFT
    };
    output(w.iter().zip(x).map(pair).sum())
}

/// Moves each weight by `(x * error + 2^14) >> 15`, saturating at 16 bits.
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), allow(dead_code))]
#[inline(always)]
pub fn train_scalar(weights: &mut [i16], inputs: &[i16], error: i16) {
    for (w, &x) in weights.iter_mut().zip(inputs) {
        let step = (i32::from(x) * i32::from(error) + (1 << 14)) >> 15;
        *w = w.saturating_add(step as i16);
    }
}

#[cfg(target_arch = "x86_64")]
pub mod avx2 {
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

    /// See [`super::train_scalar`], for the first `V` vectors.
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

    /// See [`super::train_scalar`].
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

    /// Writes the sixteen values of eight pairs, the low half of each pair first.
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

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod simd128 {
    //! The forms in the vectors of WebAssembly, for builds whose every function has them. That they give the
    //! same integers is shown by the golden files, which are decoded with them.

    use std::arch::wasm32::*;

    use super::{FAMILIES, LANES, PAIR_SHIFT, Row, Short, WIDTH, output};

    /// Eight of 16 bits.
    #[inline(always)]
    fn load(values: &[i16; WIDTH]) -> v128 {
        // SAFETY: the array holds 128 bits; loads need no alignment.
        unsafe { v128_load(values.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(values: &mut [i16; WIDTH], value: v128) {
        // SAFETY: the array holds 128 bits; stores need no alignment.
        unsafe { v128_store(values.as_mut_ptr().cast(), value) }
    }

    /// The halves of a vector of inputs or weights.
    #[inline(always)]
    fn halves(vector: &[i16; LANES]) -> &[[i16; WIDTH]; 2] {
        bytemuck::cast_ref(vector)
    }

    /// The sum of four numbers.
    #[inline(always)]
    fn sum(v: v128) -> i32 {
        let two = i32x4_add(v, i32x4_shuffle::<2, 3, 0, 1>(v, v));
        i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
    }

    /// See [`super::mix_scalar`].
    #[inline(always)]
    pub fn mix<const V: usize>(rows: [&Row; FAMILIES], x: &Row) -> Short {
        let mut out = Short([0; WIDTH]);
        for (row, out) in rows.iter().zip(&mut out.0) {
            let mut pairs = [i32x4_splat(0); 2];
            for (w, x) in row.0[..V].iter().zip(&x.0) {
                for (pair, (w, x)) in pairs.iter_mut().zip(halves(w).iter().zip(halves(x))) {
                    *pair = i32x4_add(*pair, i32x4_dot_i16x8(load(w), load(x)));
                }
            }
            let [low, high] = pairs.map(|pair| i32x4_shr(pair, PAIR_SHIFT));
            *out = output(sum(i32x4_add(low, high)));
        }
        out
    }

    /// See [`super::mix_short_scalar`].
    #[inline(always)]
    pub fn mix_short(row: &Short, x: &Short) -> i16 {
        output(sum(i32x4_shr(i32x4_dot_i16x8(load(&row.0), load(&x.0)), PAIR_SHIFT)))
    }

    /// Moves eight weights. The product only differs from the scalar one where both factors are -2^15, which
    /// no input is.
    #[inline(always)]
    fn step(weights: &mut [i16; WIDTH], x: &[i16; WIDTH], error: v128) {
        let moved = i16x8_add_sat(load(weights), i16x8_q15mulr_sat(load(x), error));
        store(weights, moved);
    }

    /// See [`super::train_scalar`], for the first `V` vectors.
    #[inline(always)]
    pub fn train<const V: usize>(row: &mut Row, x: &Row, error: i16) {
        let error = i16x8_splat(error);
        for (w, x) in row.0[..V].iter_mut().zip(&x.0) {
            let w: &mut [[i16; WIDTH]; 2] = bytemuck::cast_mut(w);
            for (w, x) in w.iter_mut().zip(halves(x)) {
                step(w, x, error);
            }
        }
    }

    /// See [`super::train_scalar`].
    #[inline(always)]
    pub fn train_short(row: &mut Short, x: &Short, error: i16) {
        step(&mut row.0, &x.0, i16x8_splat(error));
    }
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
    probe_scalar(bucket, check)
}

/// See [`probe`].
#[cfg(any(test, not(target_arch = "x86_64")))]
pub fn probe_scalar(bucket: &[[u8; 16]; 4], check: u8) -> (u32, [u8; 4]) {
    let mask = (0..4).map(|i| u32::from(bucket[i][0] == check) << i).sum();
    (mask, bucket.map(|slot| slot[1]))
}

#[cfg(all(test, target_arch = "x86_64"))]
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
        // SAFETY: the caller has detected AVX2.
        assert_eq!(unsafe { avx2::mix::<V>(refs, x) }, expected);
        // SAFETY: as above.
        assert_eq!(unsafe { avx2::mix_short(&short, &expected) }, mix_short_scalar(&short, &expected));
        let (mut left, mut right) = (rows[0], rows[0]);
        for v in 0..V {
            train_scalar(&mut left.0[v], &x.0[v], error);
        }
        // SAFETY: as above.
        unsafe { avx2::train::<V>(&mut right, x, error) };
        assert_eq!(left, right);
        let (mut left, mut right) = (short, short);
        train_scalar(&mut left.0, &expected.0, error);
        // SAFETY: as above.
        unsafe { avx2::train_short(&mut right, &expected, error) };
        assert_eq!(left, right);
    }

    proptest! {
        #[test]
        fn avx2_equals_scalar(
            rows in prop::array::uniform5(row(i16::MIN, i16::MAX)),
            x in row(-4095, 4095),
            short in prop::array::uniform8(any::<i16>()),
            error in -32767i16..=32767,
        ) {
            if Kernel::avx2().is_some() {
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
            if Kernel::avx2().is_some() {
                let mut to = [0; LANES];
                // SAFETY: AVX2 was detected.
                unsafe { avx2::spread(pairs, &mut to) };
                let expected = std::array::from_fn(|i| (pairs[i / 2] >> (16 * (i % 2))) as i16);
                prop_assert_eq!(to, expected);
            }
        }
    }
}
