//! The mixer's inner loops, in AVX2 and in plain Rust with the same integers.

/// Rounding shift of a product of input and error.
const TRAIN_SHIFT: u32 = 14;
/// Weights stay within ±8.0 (Q16).
const WEIGHT_LIMIT: i32 = (1 << 19) - 1;

/// Sum of `(w * x) >> 8` over both slices. `|x| <= 4095` and `|w| < 2^19`, so a product fits 31 bits;
/// at most 256 terms, so the sum does too.
pub fn dot_scalar(weights: &[i32], inputs: &[i32]) -> i32 {
    weights.iter().zip(inputs).map(|(&w, &x)| w.wrapping_mul(x) >> 8).fold(0, i32::wrapping_add)
}

/// Moves each weight by `(x * error + 2^13) >> 14`, clamped. `|error| <= 2^18`.
pub fn train_scalar(weights: &mut [i32], inputs: &[i32], error: i32) {
    for (w, &x) in weights.iter_mut().zip(inputs) {
        let step = x.wrapping_mul(error).wrapping_add(1 << (TRAIN_SHIFT - 1)) >> TRAIN_SHIFT;
        *w = (*w + step).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT);
    }
}

/// Whether the AVX2 kernels may be used.
pub fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

#[cfg(target_arch = "x86_64")]
pub mod avx2 {
    //! AVX2 forms; lengths are multiples of eight, a rest is left to the scalar form.

    use std::arch::x86_64::*;

    use super::{TRAIN_SHIFT, WEIGHT_LIMIT, dot_scalar, train_scalar};

    /// See [`dot_scalar`].
    #[target_feature(enable = "avx2")]
    pub fn dot(weights: &[i32], inputs: &[i32]) -> i32 {
        let (w8, w_rest) = weights.as_chunks::<8>();
        let (x8, x_rest) = inputs.as_chunks::<8>();
        let mut sum = _mm256_setzero_si256();
        for (w, x) in w8.iter().zip(x8) {
            // SAFETY: both arrays hold 8 × 32 bits; unaligned loads are used.
            let (w, x) = unsafe {
                (_mm256_loadu_si256(w.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast()))
            };
            sum = _mm256_add_epi32(sum, _mm256_srai_epi32::<8>(_mm256_mullo_epi32(w, x)));
        }
        let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair));
        _mm_cvtsi128_si32(one).wrapping_add(dot_scalar(w_rest, x_rest))
    }

    /// See [`train_scalar`].
    #[target_feature(enable = "avx2")]
    pub fn train(weights: &mut [i32], inputs: &[i32], error: i32) {
        let (w8, w_rest) = weights.as_chunks_mut::<8>();
        let (x8, x_rest) = inputs.as_chunks::<8>();
        let e = _mm256_set1_epi32(error);
        let half = _mm256_set1_epi32(1 << (TRAIN_SHIFT - 1));
        let (low, high) = (_mm256_set1_epi32(-WEIGHT_LIMIT), _mm256_set1_epi32(WEIGHT_LIMIT));
        for (w, x) in w8.iter_mut().zip(x8) {
            // SAFETY: both arrays hold 8 × 32 bits; unaligned accesses are used.
            unsafe {
                let product = _mm256_mullo_epi32(_mm256_loadu_si256(x.as_ptr().cast()), e);
                let step = _mm256_srai_epi32::<{ TRAIN_SHIFT as i32 }>(_mm256_add_epi32(product, half));
                let moved = _mm256_add_epi32(_mm256_loadu_si256(w.as_ptr().cast()), step);
                let kept = _mm256_min_epi32(_mm256_max_epi32(moved, low), high);
                _mm256_storeu_si256(w.as_mut_ptr().cast(), kept);
            }
        }
        train_scalar(w_rest, x_rest, error);
    }
}

/// Hints that the cache line at `offset` will be read soon; out of range it does nothing.
#[inline(always)]
pub fn prefetch(memory: &[u8], offset: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(byte) = memory.get(offset) {
        // SAFETY: the address is inside the slice, and a prefetch changes nothing but caches.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (memory, offset);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn avx2_equals_scalar(
            pairs in prop::collection::vec((-WEIGHT_LIMIT..=WEIGHT_LIMIT, -4095i32..=4095), 0..90),
            error in -(1i32 << 18)..=(1 << 18),
        ) {
            if has_avx2() {
                let (mut w, x): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
                // SAFETY: AVX2 was detected.
                prop_assert_eq!(unsafe { avx2::dot(&w, &x) }, dot_scalar(&w, &x));
                let mut expected = w.clone();
                train_scalar(&mut expected, &x, error);
                // SAFETY: AVX2 was detected.
                unsafe { avx2::train(&mut w, &x, error) };
                prop_assert_eq!(w, expected);
            }
        }
    }
}
