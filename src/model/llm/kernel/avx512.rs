//! The product in AVX-512, with dot products of pairs (VNNI).

use super::{BLOCK, Blocked, Columns, Outputs, PAIR};
use std::arch::x86_64::*;

/// The most columns of a tile with two blocks of rows whose sums are held in registers: 24 registers, beside
/// two for weights and one for activations.
const TILE: usize = 12;
/// The most columns of a tile with four blocks of rows.
const NARROW: usize = 6;

/// See [`super::product`].
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI, and the sizes have passed the checks of [`super::product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn product(
    matrix: &Blocked,
    blocks: usize,
    pairs: usize,
    columns: Columns<'_>,
    out: &mut Outputs<'_>,
) {
    // Tiles of similar size, so that no tile is left with a single column.
    let tiles = columns.count.div_ceil(TILE);
    let tall = if columns.count <= NARROW { 4 } else { 2 };
    let mut block = 0;
    while block < blocks {
        let height = if blocks - block >= tall { tall } else { 1 };
        for tile in 0..tiles {
            let (first, end) = (tile * columns.count / tiles, (tile + 1) * columns.count / tiles);
            let job = Job { matrix, block, pairs, columns, first };
            // SAFETY: as for this function; the blocks and the columns first..end exist.
            unsafe {
                match height {
                    4 => job.run_narrow::<4>(end - first, out),
                    2 => job.run::<2>(end - first, out),
                    _ => job.run::<1>(end - first, out),
                }
            }
        }
        block += height;
    }
}

/// The first block of rows, and the first of the columns by which it is multiplied.
struct Job<'a> {
    matrix: &'a Blocked,
    block: usize,
    pairs: usize,
    columns: Columns<'a>,
    first: usize,
}

impl Job<'_> {
    /// The product of `R` blocks of rows with 1..=12 columns.
    ///
    /// # Safety
    /// As for [`Self::tile`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn run<const R: usize>(&self, count: usize, out: &mut Outputs<'_>) {
        // SAFETY: as for this function.
        unsafe {
            match count {
                7 => self.tile::<R, 7>(out),
                8 => self.tile::<R, 8>(out),
                9 => self.tile::<R, 9>(out),
                10 => self.tile::<R, 10>(out),
                11 => self.tile::<R, 11>(out),
                12 => self.tile::<R, 12>(out),
                _ => self.run_narrow::<R>(count, out),
            }
        }
    }

    /// The product of `R` blocks of rows with 1..=6 columns.
    ///
    /// # Safety
    /// As for [`Self::tile`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn run_narrow<const R: usize>(&self, count: usize, out: &mut Outputs<'_>) {
        // SAFETY: as for this function.
        unsafe {
            match count {
                1 => self.tile::<R, 1>(out),
                2 => self.tile::<R, 2>(out),
                3 => self.tile::<R, 3>(out),
                4 => self.tile::<R, 4>(out),
                5 => self.tile::<R, 5>(out),
                _ => self.tile::<R, 6>(out),
            }
        }
    }

    /// The product of `R` blocks of rows with `C` columns, accumulated in registers.
    ///
    /// # Safety
    /// As for [`product`]; the blocks `block..block + R` and the columns `first..first + C` exist.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn tile<const R: usize, const C: usize>(&self, out: &mut Outputs<'_>) {
        // SAFETY: the caller has checked that each block holds `pairs` pairs of `PAIR` bytes, every column
        // 2 * pairs entries, and that `out` has room for the blocks of every column. Loads are unaligned.
        unsafe {
            let stride = self.matrix.pairs * PAIR;
            let weights = self.matrix.data.as_ptr().add(self.block * stride);
            let x: [*const i16; C] =
                std::array::from_fn(|c| self.columns.x.as_ptr().add((self.first + c) * self.columns.stride));
            let mut sums = [[_mm512_setzero_si512(); R]; C];
            for k in 0..self.pairs {
                let rows: [__m512i; R] = std::array::from_fn(|r| {
                    let at = weights.add(r * stride + k * PAIR).cast::<__m256i>();
                    _mm512_cvtepi8_epi16(_mm256_loadu_si256(at))
                });
                for (sums, x) in sums.iter_mut().zip(&x) {
                    let pair = _mm512_set1_epi32(x.add(2 * k).cast::<i32>().read_unaligned());
                    for (sum, row) in sums.iter_mut().zip(&rows) {
                        *sum = _mm512_dpwssd_epi32(*sum, *row, pair);
                    }
                }
            }
            for (c, sums) in sums.iter().enumerate() {
                let at = out.sums.as_mut_ptr().add((self.first + c) * out.stride + self.block * BLOCK);
                for (r, sum) in sums.iter().enumerate() {
                    _mm512_storeu_si512(at.add(r * BLOCK).cast(), *sum);
                }
            }
        }
    }
}
