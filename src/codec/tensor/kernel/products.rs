//! Sums of products of numbers and coefficients, for all rows of a tile at once.
#![allow(unsafe_code)] // a kernel

use crate::kernel::{Kernel, dispatch};

/// Computes for each row the sum of the products of its numbers with the coefficients of their columns. There
/// are as many rows as `sums`. `numbers` holds the columns in pairs: both numbers of each row for the first
/// two columns, then the same for the next two. If the number of coefficients is odd, the second numbers of
/// the last pair do not count.
///
/// Coefficients whose absolute values sum up to at most 2^16, and numbers above −2^15, keep all sums below
/// 2^31.
pub fn products(kernel: Kernel, numbers: &[i16], coefficients: &[i8], sums: &mut [i32]) {
    sums.fill(0);
    let rows = sums.len();
    if rows == 0 {
        return;
    }
    assert!(numbers.len() >= coefficients.len().next_multiple_of(2) * rows);
    // SAFETY of the vector form: there are two numbers of each row for every pair of coefficients.
    dispatch!(
        kernel,
        scalar: scalar(numbers, coefficients, sums),
        avx2: avx2(numbers, coefficients, sums),
        v128: v128(numbers, coefficients, sums),
    )
}

/// The same sums in plain Rust.
fn scalar(numbers: &[i16], coefficients: &[i8], sums: &mut [i32]) {
    for (pair, numbers) in coefficients.chunks(2).zip(numbers.chunks_exact(2 * sums.len())) {
        add_pair(numbers, pair_of(pair), sums);
    }
}

/// Two coefficients; the second is 0 where only one is left.
fn pair_of(coefficients: &[i8]) -> [i16; 2] {
    [coefficients[0].into(), coefficients.get(1).copied().unwrap_or(0).into()]
}

/// Adds the products of two columns to the sums.
fn add_pair(numbers: &[i16], pair: [i16; 2], sums: &mut [i32]) {
    let [a, b] = pair.map(i32::from);
    for (sum, n) in sums.iter_mut().zip(numbers.chunks_exact(2)) {
        *sum += a * i32::from(n[0]) + b * i32::from(n[1]);
    }
}

/// The number of pairs of columns whose products are added before the sums are stored.
#[cfg(target_arch = "x86_64")]
const PAIRS: usize = 4;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(numbers: &[i16], coefficients: &[i8], sums: &mut [i32]) {
    use std::arch::x86_64::*;
    let rows = sums.len();
    let whole = rows / 8 * 8;
    for (i, coefficients) in coefficients.chunks(2 * PAIRS).enumerate() {
        let numbers = &numbers[i * 2 * PAIRS * rows..];
        let pairs = coefficients.len().div_ceil(2);
        let mut factors = [_mm256_setzero_si256(); PAIRS];
        for (factor, pair) in factors.iter_mut().zip(coefficients.chunks(2)) {
            let [a, b] = pair_of(pair);
            *factor = _mm256_set1_epi32(i32::from(a as u16) | i32::from(b) << 16);
        }
        for at in (0..whole).step_by(8) {
            // SAFETY: eight sums from `at` on are there, and eight pairs of numbers in each of `pairs`
            // columns' pairs.
            unsafe {
                let place = sums.as_mut_ptr().add(at).cast();
                let mut sum = _mm256_loadu_si256(place);
                for (k, factor) in factors[..pairs].iter().enumerate() {
                    let n = _mm256_loadu_si256(numbers.as_ptr().add(2 * (k * rows + at)).cast());
                    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(n, *factor));
                }
                _mm256_storeu_si256(place, sum);
            }
        }
        for (pair, numbers) in coefficients.chunks(2).zip(numbers.chunks_exact(2 * rows)) {
            add_pair(&numbers[2 * whole..], pair_of(pair), &mut sums[whole..]);
        }
    }
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
fn v128(numbers: &[i16], coefficients: &[i8], sums: &mut [i32]) {
    use crate::kernel::v128::V128;
    let whole = sums.len() / 4 * 4;
    for (pair, numbers) in coefficients.chunks(2).zip(numbers.chunks_exact(2 * sums.len())) {
        let [a, b] = pair_of(pair);
        let factor = V128::splat32(i32::from(a as u16) | i32::from(b) << 16);
        for (sum, n) in sums.as_chunks_mut::<4>().0.iter_mut().zip(numbers.as_chunks::<8>().0) {
            V128::load(sum).add32(V128::load(n).dot16(factor)).store(sum);
        }
        add_pair(&numbers[2 * whole..], pair_of(pair), &mut sums[whole..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    #[test]
    fn vectors_agree_with_the_definition() {
        let mut rng = SplitMix(1);
        let mut next = || rng.next_u32();
        for (rows, columns) in [(1, 1), (7, 2), (8, 3), (37, 9), (64, 40), (0, 5)] {
            let numbers: Vec<i16> =
                (0..2 * rows * (columns + 1)).map(|_| (next() as i16).max(-i16::MAX)).collect();
            let coefficients: Vec<i8> = (0..columns).map(|_| next() as i8).collect();
            let number = |row: usize, column: usize| numbers[column / 2 * 2 * rows + 2 * row + column % 2];
            let wanted: Vec<i32> = (0..rows)
                .map(|r| {
                    let products = (0..columns).map(|c| i32::from(coefficients[c]) * i32::from(number(r, c)));
                    products.sum()
                })
                .collect();
            for kernel in [Kernel::Scalar, Kernel::best()] {
                let mut sums = vec![7; rows];
                products(kernel, &numbers, &coefficients, &mut sums);
                assert_eq!(sums, wanted, "{rows} {columns} {kernel:?}");
            }
        }
    }
}
