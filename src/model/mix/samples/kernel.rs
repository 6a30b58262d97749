//! The inner loops of expecting samples, in AVX2, in vectors of 128 bits, and in plain Rust with the same integers.
#![allow(unsafe_code)] // kernels

use crate::kernel::kernels;

/// The number of neighbours from which a sample is expected.
pub const TAPS: usize = 32;
/// One number for each neighbour.
pub type Taps = [i32; TAPS];
/// The number of places in a distribution of residuals.
pub const PLACES: usize = 512;
/// The probabilities, in 1/2^[`ONE_LOG2`], that a residual lies before each place.
pub type Sums = [i32; PLACES];
/// log2 of a probability of one.
pub const ONE_LOG2: u32 = 22;
/// log2 of the number of residuals over which distributions are averaged.
const RATE: u32 = 7;

kernels! {
    /// The sum of the products of two rows.
    dot(a: &Taps, b: &Taps) -> i64: dot_scalar(a, b);
    /// Moves each moment towards `factor * x` by 1/2^`window` of the distance, where `window` is 1..=11. All products and
    /// moments must be at most 2^30 − 1024 in magnitude.
    average(moments: &mut Taps, factor: i32, x: &Taps, window: u32): average_scalar(moments, factor, x, window);
    /// Moves the sums towards those of a residual at one place.
    shift(sums: &mut Sums, place: usize): shift_scalar(sums, place);
}

fn dot_scalar(a: &Taps, b: &Taps) -> i64 {
    a.iter().zip(b).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum()
}

fn average_scalar(moments: &mut Taps, factor: i32, x: &Taps, window: u32) {
    for (m, x) in moments.iter_mut().zip(x) {
        *m += (factor * x - *m + (1 << (window - 1))) >> window;
    }
}

fn shift_scalar(sums: &mut Sums, place: usize) {
    for (i, sum) in sums.iter_mut().enumerate() {
        let target = if i > place { 1 << ONE_LOG2 } else { 0 };
        *sum += (target - *sum) >> RATE;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{ONE_LOG2, RATE, Sums, Taps};
    use crate::kernel::avx2::{load, store};

    /// See [`super::dot`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn dot(a: &Taps, b: &Taps) -> i64 {
        let mut sum = _mm256_setzero_si256();
        for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
            let (a, b) = (load(a), load(b));
            let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
            sum = _mm256_add_epi64(sum, _mm256_add_epi64(_mm256_mul_epi32(a, b), odd));
        }
        let two = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
    }

    /// See [`super::average`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn average(moments: &mut Taps, factor: i32, x: &Taps, window: u32) {
        let (factor, half) = (_mm256_set1_epi32(factor), _mm256_set1_epi32(1 << (window - 1)));
        let window = _mm_cvtsi32_si128(window as i32);
        for (m, x) in moments.as_chunks_mut::<8>().0.iter_mut().zip(x.as_chunks::<8>().0) {
            let old = load(m);
            let distance = _mm256_sub_epi32(_mm256_mullo_epi32(factor, load(x)), old);
            let step = _mm256_sra_epi32(_mm256_add_epi32(distance, half), window);
            store(m, _mm256_add_epi32(old, step));
        }
    }

    /// See [`super::shift`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn shift(sums: &mut Sums, place: usize) {
        let (place, one) = (_mm256_set1_epi32(place as i32), _mm256_set1_epi32(1 << ONE_LOG2));
        let mut at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        for sum in sums.as_chunks_mut::<8>().0 {
            let old = load(sum);
            let target = _mm256_and_si256(_mm256_cmpgt_epi32(at, place), one);
            let step = _mm256_srai_epi32::<{ RATE as i32 }>(_mm256_sub_epi32(target, old));
            store(sum, _mm256_add_epi32(old, step));
            at = _mm256_add_epi32(at, _mm256_set1_epi32(8));
        }
    }
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
mod v128 {
    //! The forms in vectors of 128 bits.

    use super::{ONE_LOG2, RATE, Sums, Taps};
    use crate::kernel::v128::V128;

    /// See [`super::dot`].
    #[inline(always)]
    pub fn dot(a: &Taps, b: &Taps) -> i64 {
        let mut sum = V128::splat32(0);
        for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
            let [low, high] = V128::load(a).products64(V128::load(b));
            sum = sum.add64(low.add64(high));
        }
        let mut two = [0i64; 2];
        sum.store(&mut two);
        two[0] + two[1]
    }

    /// See [`super::average`].
    #[inline(always)]
    pub fn average(moments: &mut Taps, factor: i32, x: &Taps, window: u32) {
        let (factor, half) = (V128::splat32(factor), V128::splat32(1 << (window - 1)));
        for (m, x) in moments.as_chunks_mut::<4>().0.iter_mut().zip(x.as_chunks::<4>().0) {
            let old = V128::load(m);
            let distance = factor.mul32(V128::load(x)).sub32(old);
            old.add32(distance.add32(half).shift_right_by32(window)).store(m);
        }
    }

    /// See [`super::shift`].
    #[inline(always)]
    pub fn shift(sums: &mut Sums, place: usize) {
        let (place, one) = (V128::splat32(place as i32), V128::splat32(1 << ONE_LOG2));
        let mut at = V128::load(&[0i32, 1, 2, 3]);
        for sum in sums.as_chunks_mut::<4>().0 {
            let old = V128::load(sum);
            let target = at.above32(place).and(one);
            old.add32(target.sub32(old).shift_right32::<{ RATE as i32 }>()).store(sum);
            at = at.add32(V128::splat32(4));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Kernel;

    fn taps(limit: i32) -> impl Strategy<Value = Taps> {
        prop::array::uniform32(-limit..=limit)
    }

    proptest! {
        #[test]
        fn vectors_equal_scalar(
            moments in taps((1 << 30) - 1024),
            weights in taps(1 << 19),
            x in taps(4095),
            factor in -4095i32 * 64..=4095 * 64,
            sums in prop::collection::vec(0i32..=1 << ONE_LOG2, PLACES),
            place in 0..PLACES,
            window in 1u32..=11,
        ) {
            if Kernel::best() == Kernel::Scalar {
                return Ok(());
            }
            prop_assert_eq!(dot::<true>(&moments, &weights), dot_scalar(&moments, &weights));
            let (mut left, mut right) = (moments, moments);
            average_scalar(&mut left, factor, &x, window);
            average::<true>(&mut right, factor, &x, window);
            prop_assert_eq!(left, right);
            let mut left: Sums = sums.try_into().expect("as many as there are places");
            let mut right = left;
            shift_scalar(&mut left, place);
            shift::<true>(&mut right, place);
            prop_assert_eq!(left, right);
        }
    }
}
