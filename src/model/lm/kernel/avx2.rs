//! The products and the vector in AVX2.
//!
//! In a product, `vpmaddwd` multiplies a pair of weights by a pair of activations. With many columns, the
//! weights are broadcast and a vector holds eight columns of one row. With few columns, most of such a vector
//! would be empty: then the activations are broadcast instead, a vector holds eight rows of one column, and
//! the weights come as int8, which is less to read.

use std::arch::x86_64::*;

use super::{BLOCK, GROUP, Ops, Prepared, Vector};
use crate::model::fixed::{EXP2, SQUASH};

/// The rows of a tile whose sums are held in registers.
const ROWS: usize = 4;
/// Up to this many columns, a vector holds rows instead of columns.
const NARROW: usize = 4;

/// The products in AVX2. Its functions may only run on a processor that has it: the type is named only inside
/// of functions compiled for AVX2.
pub struct Avx2;

impl Ops for Avx2 {
    type V = Eight;

    #[inline(always)]
    fn product(matrix: &Prepared, columns: usize, x: &[i32], out: &mut [i32]) {
        matrix.check_sizes(columns, x, out);
        // SAFETY: the processor has AVX2 (see `Avx2`), the sizes were checked.
        unsafe {
            match columns {
                1 => narrow::<1>(matrix, x, out),
                2 => narrow::<2>(matrix, x, out),
                3..=NARROW => narrow::<4>(matrix, x, out),
                _ => wide(matrix, columns, x, out),
            }
        }
    }

    #[inline(always)]
    fn product_single(matrix: &Prepared, x: &[i32], out: &mut [i32]) {
        matrix.check_single_sizes(x, out);
        // SAFETY: the processor has AVX2 (see `Avx2`), the sizes were checked.
        unsafe { single(matrix, x, out) }
    }
}

/// The product for many columns.
///
/// # Safety
/// The processor has AVX2 and the sizes have passed `check_sizes`.
#[target_feature(enable = "avx2")]
unsafe fn wide(matrix: &Prepared, columns: usize, x: &[i32], out: &mut [i32]) {
    let groups = columns.div_ceil(GROUP);
    for first in (0..matrix.rows).step_by(BLOCK) {
        for group in (0..groups).step_by(2) {
            for first in [first, first + ROWS] {
                // SAFETY: as for this function; both groups of a double tile exist.
                unsafe {
                    if group + 1 < groups {
                        tile::<2>(matrix, first, group, x, out);
                    } else {
                        tile::<1>(matrix, first, group, x, out);
                    }
                }
            }
        }
    }
}

/// The product of [`ROWS`] rows from `first` on with `C` groups of columns, accumulated in registers.
///
/// # Safety
/// As for [`wide`]; `first` is a multiple of [`ROWS`] below the padded number of rows; the groups
/// `group..group + C` exist.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn tile<const C: usize>(matrix: &Prepared, first: usize, group: usize, x: &[i32], out: &mut [i32]) {
    let pairs = matrix.pairs;
    // SAFETY: by `check_sizes` there are `pairs * 8` activations per group and `pairs * 8` weights
    // per block; `first` and the groups are in range by the contract.
    unsafe {
        let weights = matrix.weights.as_ptr().add(first / BLOCK * BLOCK * pairs + first % BLOCK);
        let inputs: [*const i32; C] = std::array::from_fn(|c| x.as_ptr().add((group + c) * pairs * GROUP));
        let mut sums = [[_mm256_setzero_si256(); C]; ROWS];
        for k in 0..pairs {
            let values: [__m256i; C] =
                std::array::from_fn(|c| _mm256_loadu_si256(inputs[c].add(k * GROUP).cast()));
            for (i, sums) in sums.iter_mut().enumerate() {
                let w = _mm256_set1_epi32(*weights.add(k * BLOCK + i));
                for (sum, value) in sums.iter_mut().zip(&values) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(w, *value));
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let r = first + i;
            if r >= matrix.rows {
                break;
            }
            let offset = _mm256_set1_epi32(matrix.offset[r]);
            let shift = _mm_cvtsi32_si128(matrix.shift[r]);
            for (c, &sum) in sums.iter().enumerate() {
                let value = _mm256_sra_epi32(_mm256_add_epi32(sum, offset), shift);
                _mm256_storeu_si256(
                    out.as_mut_ptr().add(((group + c) * matrix.rows + r) * GROUP).cast(),
                    value,
                );
            }
        }
    }
}

/// The product for the first `C` columns.
///
/// # Safety
/// As for [`wide`]; `C` is at most [`GROUP`].
#[target_feature(enable = "avx2")]
unsafe fn narrow<const C: usize>(matrix: &Prepared, x: &[i32], out: &mut [i32]) {
    let blocks = matrix.rows.div_ceil(BLOCK);
    let mut block = 0;
    while block < blocks {
        // SAFETY: as for this function; the blocks exist.
        unsafe {
            if C < 4 && block + 4 <= blocks {
                narrow_blocks::<C, 4>(matrix, block, x, out);
                block += 4;
            } else if block + 2 <= blocks {
                narrow_blocks::<C, 2>(matrix, block, x, out);
                block += 2;
            } else {
                narrow_blocks::<C, 1>(matrix, block, x, out);
                block += 1;
            }
        }
    }
}

/// The product of `B` blocks of rows with the first `C` columns.
///
/// # Safety
/// As for [`narrow`]; the blocks `block..block + B` exist.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn narrow_blocks<const C: usize, const B: usize>(
    matrix: &Prepared,
    block: usize,
    x: &[i32],
    out: &mut [i32],
) {
    // SAFETY: by `check_sizes` there are `pairs * 8` activations in the first group.
    let results = unsafe { block_sums::<C, B, GROUP>(matrix, block, x) };
    for (b, results) in results.into_iter().enumerate() {
        let first = (block + b) * BLOCK;
        for (c, result) in results.into_iter().enumerate() {
            let mut values = [0; BLOCK];
            Eight(result).store(&mut values);
            let rows = out[first * GROUP..matrix.rows * GROUP].chunks_exact_mut(GROUP);
            for (row, value) in rows.zip(values) {
                row[c] = value;
            }
        }
    }
}

/// The product for one column by itself.
///
/// # Safety
/// The processor has AVX2 and the sizes have passed `check_single_sizes`.
#[target_feature(enable = "avx2")]
unsafe fn single(matrix: &Prepared, x: &[i32], out: &mut [i32]) {
    let (fours, rest) = out.as_chunks_mut::<BLOCK>().0[..matrix.rows.div_ceil(BLOCK)].as_chunks_mut::<4>();
    let ones = 4 * fours.len();
    for (i, out) in fours.iter_mut().enumerate() {
        // SAFETY: as for this function; the blocks exist.
        let results = unsafe { block_sums::<1, 4, 1>(matrix, 4 * i, x) };
        for (out, [result]) in out.iter_mut().zip(results) {
            Eight(result).store(out);
        }
    }
    for (i, out) in rest.iter_mut().enumerate() {
        // SAFETY: as for this function; the block exists.
        let [[result]] = unsafe { block_sums::<1, 1, 1>(matrix, ones + i, x) };
        Eight(result).store(out);
    }
}

/// The finished sums of `B` blocks of rows for `C` columns; successive pairs of a column's inputs lie
/// `STRIDE` apart.
///
/// # Safety
/// The processor has AVX2; the matrix has passed `check_own_sizes`; the blocks `block..block + B` exist; `x`
/// has `STRIDE` entries for each pair of inputs, and `C` is at most `STRIDE`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn block_sums<const C: usize, const B: usize, const STRIDE: usize>(
    matrix: &Prepared,
    block: usize,
    x: &[i32],
) -> [[__m256i; C]; B] {
    let pairs = matrix.pairs;
    // SAFETY: by `check_own_sizes` there are `pairs * 16` weights in every block, and offsets and shifts for
    // whole blocks; the rest by the contract.
    unsafe {
        let weights: [*const i8; B] =
            std::array::from_fn(|b| matrix.bytes.as_ptr().add((block + b) * 2 * BLOCK * pairs));
        let mut sums = [[_mm256_setzero_si256(); C]; B];
        for k in 0..pairs {
            let values: [__m256i; C] =
                std::array::from_fn(|c| _mm256_set1_epi32(*x.as_ptr().add(k * STRIDE + c)));
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let w = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(k * 2 * BLOCK).cast()));
                for (sum, value) in sums.iter_mut().zip(&values) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(w, *value));
                }
            }
        }
        for (b, sums) in sums.iter_mut().enumerate() {
            let first = (block + b) * BLOCK;
            let offset = _mm256_loadu_si256(matrix.offset.as_ptr().add(first).cast());
            let shift = _mm256_loadu_si256(matrix.shift.as_ptr().add(first).cast());
            for sum in sums {
                *sum = _mm256_srav_epi32(_mm256_add_epi32(*sum, offset), shift);
            }
        }
        sums
    }
}

/// A 256-bit register of eight numbers.
#[derive(Clone, Copy)]
pub struct Eight(__m256i);

// SAFETY of all `unsafe` blocks below: the processor has AVX2 (see `Avx2`); loads and stores go
// through references to eight numbers; look-ups limit their index to the table first.
impl Vector for Eight {
    #[inline(always)]
    fn load(from: &[i32; GROUP]) -> Self {
        unsafe { Self(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, to: &mut [i32; GROUP]) {
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn splat(value: i32) -> Self {
        unsafe { Self(_mm256_set1_epi32(value)) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm256_sub_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mullo_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        unsafe { Self(_mm256_min_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    fn min_unsigned(self, other: Self) -> Self {
        unsafe { Self(_mm256_min_epu32(self.0, other.0)) }
    }

    #[inline(always)]
    fn shift_left<const N: i32>(self) -> Self {
        unsafe { Self(_mm256_slli_epi32::<N>(self.0)) }
    }

    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        unsafe { Self(_mm256_srai_epi32::<N>(self.0)) }
    }

    #[inline(always)]
    fn pair(self, odd: Self) -> Self {
        unsafe { Self(_mm256_blend_epi16::<0b1010_1010>(self.0, _mm256_slli_epi32::<16>(odd.0))) }
    }

    #[inline(always)]
    fn mul_shift<const N: i32>(self, other: Self) -> Self {
        // The low 32 bits of a shifted product are the same for both kinds of right shift.
        unsafe {
            let round = _mm256_set1_epi64x(1 << (N - 1));
            let count = _mm_cvtsi32_si128(N);
            let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(self.0), _mm256_srli_epi64::<32>(other.0));
            let even = _mm256_srl_epi64(_mm256_add_epi64(_mm256_mul_epi32(self.0, other.0), round), count);
            let odd = _mm256_sll_epi64(_mm256_add_epi64(odd, round), _mm_cvtsi32_si128(32 - N));
            Self(_mm256_blend_epi32::<0b1010_1010>(even, odd))
        }
    }

    #[inline(always)]
    fn squash(self) -> Self {
        let index = self.max(Self::splat(-4096)).min(Self::splat(4095)).add(Self::splat(4096));
        unsafe { Self(_mm256_i32gather_epi32::<4>(SQUASH.as_ptr(), index.0)) }
    }

    #[inline(always)]
    fn exp2(self) -> Self {
        unsafe {
            let index = _mm256_and_si256(self.0, _mm256_set1_epi32(255));
            let values = _mm256_i32gather_epi32::<4>(EXP2.as_ptr(), index);
            Self(_mm256_srlv_epi32(values, _mm256_srli_epi32::<8>(self.0)))
        }
    }

    #[inline(always)]
    fn sum_squares(rows: &[[i32; GROUP]]) -> [u64; GROUP] {
        let mut sums = [[0; 4]; 2];
        unsafe {
            let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for row in rows {
                let x = Self::load(row).0;
                let high = _mm256_srli_epi64::<32>(x);
                even = _mm256_add_epi64(even, _mm256_mul_epi32(x, x));
                odd = _mm256_add_epi64(odd, _mm256_mul_epi32(high, high));
            }
            _mm256_storeu_si256(sums[0].as_mut_ptr().cast(), even);
            _mm256_storeu_si256(sums[1].as_mut_ptr().cast(), odd);
        }
        std::array::from_fn(|i| sums[i % 2][i / 2])
    }
}
