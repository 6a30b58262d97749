//! The mixer's inner loops, in AVX2 and in plain Rust with the same integers.
#![allow(unsafe_code)] // kernels

/// Products of adjacent inputs and weights are added in pairs and shifted right by this.
const PAIR_SHIFT: u32 = 5;

/// Sum over adjacent pairs of `(w0 * x0 + w1 * x1) >> 5`. `|x| <= 4095` and at most 1024 terms keep
/// it below 2^31. Both lengths are equal and even.
pub fn dot_scalar(weights: &[i16], inputs: &[i16]) -> i32 {
    let (w, _) = weights.as_chunks::<2>();
    let (x, _) = inputs.as_chunks::<2>();
    w.iter()
        .zip(x)
        .map(|(w, x)| (i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1])) >> PAIR_SHIFT)
        .sum()
}

/// Moves each weight by `(x * error + 2^14) >> 15`, saturating at 16 bits.
pub fn train_scalar(weights: &mut [i16], inputs: &[i16], error: i16) {
    for (w, &x) in weights.iter_mut().zip(inputs) {
        let step = (i32::from(x) * i32::from(error) + (1 << 14)) >> 15;
        *w = w.saturating_add(step as i16);
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
    //! AVX2 forms; a rest of fewer than 16 terms is left to the scalar form.

    use std::arch::x86_64::*;

    use super::{PAIR_SHIFT, dot_scalar, train_scalar};

    /// See [`dot_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn dot<const N: usize>(weights: &[i16; N], inputs: &[i16; N]) -> i32 {
        let (w16, w_rest) = weights.as_chunks::<16>();
        let (x16, x_rest) = inputs.as_chunks::<16>();
        let mut sum = _mm256_setzero_si256();
        for (w, x) in w16.iter().zip(x16) {
            // SAFETY: both arrays hold 16 × 16 bits; unaligned loads are used.
            let (w, x) =
                unsafe { (_mm256_loadu_si256(w.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().cast())) };
            let pairs = _mm256_srai_epi32::<{ PAIR_SHIFT as i32 }>(_mm256_madd_epi16(w, x));
            sum = _mm256_add_epi32(sum, pairs);
        }
        let half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
        let one = _mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair));
        _mm_cvtsi128_si32(one) + dot_scalar(w_rest, x_rest)
    }

    /// See [`train_scalar`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn train<const N: usize>(weights: &mut [i16; N], inputs: &[i16; N], error: i16) {
        let (w16, w_rest) = weights.as_chunks_mut::<16>();
        let (x16, x_rest) = inputs.as_chunks::<16>();
        let e = _mm256_set1_epi16(error);
        for (w, x) in w16.iter_mut().zip(x16) {
            // SAFETY: both arrays hold 16 × 16 bits; unaligned accesses are used.
            unsafe {
                let step = _mm256_mulhrs_epi16(_mm256_loadu_si256(x.as_ptr().cast()), e);
                let moved = _mm256_adds_epi16(_mm256_loadu_si256(w.as_ptr().cast()), step);
                _mm256_storeu_si256(w.as_mut_ptr().cast(), moved);
            }
        }
        train_scalar(w_rest, x_rest, error);
    }
}

/// Hints that the item at `offset` will be read soon; out of range it does nothing.
#[inline(always)]
pub fn prefetch<T>(memory: &[T], offset: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = memory.get(offset) {
        // SAFETY: the address is inside the slice, and a prefetch changes nothing but caches.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast());
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
            (mut w, x) in (any::<[i16; 32]>(), prop::array::uniform32(-4095i16..=4095)),
            error in -32767i16..=32767,
        ) {
            if has_avx2() {
                // SAFETY: AVX2 was detected.
                prop_assert_eq!(unsafe { avx2::dot(&w, &x) }, dot_scalar(&w, &x));
                let mut expected = w;
                train_scalar(&mut expected, &x, error);
                // SAFETY: AVX2 was detected.
                unsafe { avx2::train(&mut w, &x, error) };
                prop_assert_eq!(w, expected);
            }
        }
    }
}
