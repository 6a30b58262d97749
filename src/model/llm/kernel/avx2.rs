//! The product in AVX2.

use super::{BLOCK, Blocked, Columns, Outputs, PAIR};
use std::arch::x86_64::*;

/// The most columns of a tile whose sums are held in registers: twelve registers, beside two for weights and
/// one for activations.
const TILE: usize = 6;

/// See [`super::product`].
///
/// # Safety
/// The processor has AVX2, and the sizes have passed the checks of [`super::product`].
#[target_feature(enable = "avx2")]
pub unsafe fn product(
    matrix: &Blocked,
    blocks: usize,
    pairs: usize,
    columns: Columns<'_>,
    out: &mut Outputs<'_>,
) {
    // Tiles of similar size, so that no tile is left with a single column.
    let tiles = columns.count.div_ceil(TILE);
    for block in 0..blocks {
        let mut first = 0;
        for tile in 0..tiles {
            let end = (tile + 1) * columns.count / tiles;
            let job = Job { matrix, block, pairs, columns, first };
            // SAFETY: as for this function; the columns first..end exist.
            unsafe {
                match end - first {
                    1 => job.run::<1>(out),
                    2 => job.run::<2>(out),
                    3 => job.run::<3>(out),
                    4 => job.run::<4>(out),
                    5 => job.run::<5>(out),
                    _ => job.run::<6>(out),
                }
            }
            first = end;
        }
    }
}

/// A block of rows, and the first of the columns by which it is multiplied.
struct Job<'a> {
    matrix: &'a Blocked,
    block: usize,
    pairs: usize,
    columns: Columns<'a>,
    first: usize,
}

impl Job<'_> {
    /// The product of the block with `C` columns, accumulated in registers.
    ///
    /// # Safety
    /// As for [`product`]; the block and the columns `first..first + C` exist.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn run<const C: usize>(&self, out: &mut Outputs<'_>) {
        // SAFETY: the caller has checked that the block holds `pairs` pairs of `PAIR` bytes, every column
        // 2 * pairs entries, and that `out` has room for a block of every column. Loads are unaligned.
        unsafe {
            let weights = self.matrix.data.as_ptr().add(self.block * self.matrix.pairs * PAIR);
            let x: [*const i16; C] =
                std::array::from_fn(|c| self.columns.x.as_ptr().add((self.first + c) * self.columns.stride));
            let mut sums = [[_mm256_setzero_si256(); 2]; C];
            for k in 0..self.pairs {
                let w = weights.add(k * PAIR).cast::<__m128i>();
                let low = _mm256_cvtepi8_epi16(_mm_loadu_si128(w));
                let high = _mm256_cvtepi8_epi16(_mm_loadu_si128(w.add(1)));
                for (sums, x) in sums.iter_mut().zip(&x) {
                    let pair = _mm256_set1_epi32(x.add(2 * k).cast::<i32>().read_unaligned());
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, pair));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, pair));
                }
            }
            for (c, sums) in sums.iter().enumerate() {
                let at = out.sums.as_mut_ptr().add((self.first + c) * out.stride + self.block * BLOCK);
                _mm256_storeu_si256(at.cast(), sums[0]);
                _mm256_storeu_si256(at.add(8).cast(), sums[1]);
            }
        }
    }
}
