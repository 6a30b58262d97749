//! How far a tensor is from one that it may be coded against, told from samples.

use crate::error::Result;
use crate::tensor::bases::BaseTensor;
use std::ops::Range;

/// The pieces of a sample, and the bytes of each.
const PIECES: u64 = 16;
const PIECE: u64 = 4 << 10;

/// The mean difference between the elements of two tensors, in 1/256 bits: how many bits it takes to write it without
/// its sign.
///
/// `None` where the elements have nothing to do with each other.
///
/// # Errors
///
/// Those of reading.
pub(super) fn distance(tensor: &BaseTensor, base: &BaseTensor) -> Result<Option<u64>> {
    let Some(reach) = base.reach(tensor.dtype, &tensor.shape) else { return Ok(None) };
    let size = tensor.dtype.group().1;
    let start = tensor.read(0, tensor.len().min(PIECE * 4) as usize)?;
    let rounding = base.rounding(tensor.dtype, &start);
    let (mut bits, mut count) = (0u64, 0u64);
    for range in samples(reach, size) {
        let a = tensor.read(range.start, (range.end - range.start) as usize)?;
        let Some((from, to)) = rounding.base_len(range.start).zip(rounding.base_len(range.end)) else {
            return Ok(None);
        };
        let b = rounding.apply(base.read(from, (to - from) as usize)?);
        for (a, b) in a.chunks_exact(size as usize).zip(b.chunks_exact(size as usize)) {
            bits += u64::from(difference(a, b));
            count += 1;
        }
    }
    // What the base does not reach is as far as it can be.
    let (near, far) = (u128::from(reach), u128::from(tensor.len() - reach));
    let mean =
        |bits: u64| u128::from(bits * 256) * near / u128::from(count) + far * u128::from(256 * 8 * size);
    Ok((count > 0).then(|| (mean(bits) / (near + far)) as u64))
}

/// Whether a distance is so short that coding against the base may pay. Numbers that have nothing to do with each other
/// differ in three quarters of their bits.
pub(super) fn is_near(distance: u64, element: u64) -> bool {
    distance < 256 * 8 * element / 8 * 5
}

/// The ranges of whole elements that are looked at, of a tensor of `len` bytes.
fn samples(len: u64, element: u64) -> Vec<Range<u64>> {
    let piece = (PIECE / element).max(1) * element;
    if len <= PIECES * piece {
        return std::iter::once(0..len).collect();
    }
    let step = (len - piece) / (PIECES - 1) / element * element;
    (0..PIECES).map(|i| i * step..i * step + piece).collect()
}

/// The bits of the difference of two little-endian elements of up to 8 bytes; for longer ones those of their last 8.
fn difference(a: &[u8], b: &[u8]) -> u32 {
    let number = |e: &[u8]| e.iter().rev().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let (a, b) = (number(a), number(b));
    64 - a.abs_diff(b).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;
    use std::sync::Arc;

    fn tensor(dtype: Dtype, bytes: Vec<u8>) -> BaseTensor {
        let shape = vec![bytes.len() as u64 / dtype.group().1];
        let range = 0..bytes.len() as u64;
        BaseTensor { name: "t".into(), dtype, shape, hash: [0; 32], content: Arc::new(bytes), range }
    }

    #[test]
    fn near_tensors_are_nearer() {
        let numbers = |change: u32| {
            let bits = (0..50_000u32).map(|i| (i as f32 * 0.001 - 3.0).sin().to_bits());
            bits.enumerate().flat_map(|(i, n)| n.wrapping_add(i as u32 % 7 * change).to_le_bytes()).collect()
        };
        let all: Vec<_> = [0, 1, 1000].map(|change| tensor(Dtype::F32, numbers(change))).into();
        let from = |i: usize| distance(&all[0], &all[i]).unwrap().unwrap();
        assert_eq!(from(0), 0);
        assert!(0 < from(1) && from(1) < from(2), "{} {}", from(1), from(2));
        assert!(is_near(from(2), 4) && !is_near(20 * 256, 4));
        let wide: Vec<u8> =
            all[0].read(0, 200_000).unwrap().as_chunks::<4>().0.iter().flat_map(|n| [n[2], n[3]]).collect();
        let narrow = tensor(Dtype::Bf16, wide);
        // Cut off instead of rounded: at most one from the nearest.
        assert!(distance(&narrow, &all[0]).unwrap().unwrap() < 256);
        assert_eq!(distance(&narrow, &tensor(Dtype::F16, vec![0; 100_000])).unwrap(), None);
        // A base of three quarters of the rows.
        let most = tensor(Dtype::F32, numbers(0)[..150_000].to_vec());
        assert_eq!(distance(&all[0], &most).unwrap(), Some(8 * 256));
        assert_eq!(distance(&most, &all[0]).unwrap(), Some(0));
    }

    #[test]
    fn samples_are_whole_elements() {
        for (len, element) in [(8, 8), (65_536, 2), (65_540, 4), (1 << 20, 16), (210_000, 210)] {
            let ranges = samples(len, element);
            assert!(ranges.iter().all(|r| r.start % element == 0 && r.end % element == 0 && r.end <= len));
            assert!(ranges.windows(2).all(|w| w[0].end <= w[1].start));
        }
    }
}
