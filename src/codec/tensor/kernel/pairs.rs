//! Pairs of 8-bit floats as single numbers, so that one symbol holds the exponents of both. Compilers make vectors of the
//! plain loops; for AVX2 they are compiled again.

use crate::kernel::{Kernel, dispatch};

/// Turns each pair of bytes into a number, which is stored lowest byte first: bits 3 to 6 of both bytes stand above
/// the other bits of both; of each kind, those of the second byte are higher.
pub fn pair(kernel: Kernel, bytes: &mut [u8]) {
    dispatch!(
        kernel,
        scalar: map(bytes, number),
        avx2: pair_avx2(bytes),
    )
}

/// Undoes [`pair`].
pub fn unpair(kernel: Kernel, numbers: &mut [u8]) {
    dispatch!(
        kernel,
        scalar: map(numbers, bits),
        avx2: unpair_avx2(numbers),
    )
}

#[inline(always)]
fn number(x: u16) -> u16 {
    (x & 0x7800) << 1 | (x & 0x0078) << 5 | (x & 0x8000) >> 8 | (x & 0x0700) >> 4 | (x & 0x0080) >> 4 | x & 7
}

#[inline(always)]
fn bits(n: u16) -> u16 {
    (n & 0xF000) >> 1 | (n & 0x0F00) >> 5 | (n & 0x0080) << 8 | (n & 0x0070) << 4 | (n & 0x0008) << 4 | n & 7
}

#[inline(always)]
fn map(bytes: &mut [u8], to: impl Fn(u16) -> u16) {
    bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|two| *two = to(u16::from_le_bytes(*two)).to_le_bytes());
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pair_avx2(bytes: &mut [u8]) {
    map(bytes, number);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn unpair_avx2(numbers: &mut [u8]) {
    map(numbers, bits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree_on_all_pairs() {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let paired = [Kernel::Scalar, Kernel::best()].map(|kernel| {
            let mut numbers = all.clone();
            pair(kernel, &mut numbers);
            let mut back = numbers.clone();
            unpair(kernel, &mut back);
            assert!(back == all);
            numbers
        });
        assert!(paired[0] == paired[1]);
        for (two, n) in all.chunks_exact(2).zip(paired[0].chunks_exact(2)) {
            assert_eq!(n[1], (two[1] >> 3 & 15) << 4 | two[0] >> 3 & 15);
            let other = |b: u8| b >> 7 << 3 | b & 7;
            assert_eq!(n[0], other(two[1]) << 4 | other(two[0]));
        }
    }
}
