//! Looks up one of sixteen values for each of many numbers.
#![allow(unsafe_code)] // a function that needs AVX2

use crate::kernel::{Kernel, dispatch};

/// Appends `values[n % 16]` for each number n.
pub fn look_up(values: &[u8; 16], numbers: &[u8], kernel: Kernel, out: &mut Vec<u8>) {
    dispatch!(
        kernel,
        scalar: scalar(values, numbers, out),
        avx2: avx2(values, numbers, out),
        v128: v128(values, numbers, out),
    )
}

fn scalar(values: &[u8; 16], numbers: &[u8], out: &mut Vec<u8>) {
    out.extend(numbers.iter().map(|n| values[usize::from(n % 16)]));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(values: &[u8; 16], numbers: &[u8], out: &mut Vec<u8>) {
    use std::arch::x86_64::*;
    let (steps, rest) = numbers.as_chunks::<32>();
    let start = out.len();
    out.resize(start + 32 * steps.len(), 0);
    let mask = _mm256_set1_epi8(15);
    // SAFETY: the array has the 16 bytes that are read.
    let table = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(values.as_ptr().cast())) };
    for (step, to) in steps.iter().zip(out[start..].as_chunks_mut::<32>().0) {
        // SAFETY: both arrays have the 32 bytes that are read and written.
        unsafe {
            let n = _mm256_and_si256(_mm256_loadu_si256(step.as_ptr().cast()), mask);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_shuffle_epi8(table, n));
        }
    }
    scalar(values, rest, out);
}

#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
fn v128(values: &[u8; 16], numbers: &[u8], out: &mut Vec<u8>) {
    use crate::kernel::v128::V128;
    let (steps, rest) = numbers.as_chunks::<16>();
    let start = out.len();
    out.resize(start + 16 * steps.len(), 0);
    let (table, mask) = (V128::load(values), V128::load(&[15u8; 16]));
    for (step, to) in steps.iter().zip(out[start..].as_chunks_mut::<16>().0) {
        V128::load(step).and(mask).look_up(table).store(to);
    }
    scalar(values, rest, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree() {
        let values = std::array::from_fn(|i| (i * 37 % 251) as u8);
        for len in [0, 1, 31, 32, 33, 100, 256] {
            let numbers: Vec<u8> = (0..len).map(|i| (i * 101) as u8).collect();
            let (mut plain, mut vector) = (vec![9], vec![9]);
            look_up(&values, &numbers, Kernel::Scalar, &mut plain);
            look_up(&values, &numbers, Kernel::best(), &mut vector);
            assert_eq!(plain, vector);
            assert!(plain[1..].iter().zip(&numbers).all(|(v, n)| *v == values[usize::from(n % 16)]));
        }
    }
}
