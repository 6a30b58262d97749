//! Matrix products with 256-bit vectors.
//!
//! Wide: eight columns per register; a pair of weights is broadcast and `vpmaddwd` adds both its
//! products to each column, so no sum ever crosses a register. Blocks of `ROWS` x `2·GROUP` columns
//! stay in registers. Narrow (few columns): sixteen weights of one row per register and one
//! horizontal sum per row.

use std::arch::x86_64::*;

use super::{Activations, GROUP, PAD, Prepared};

/// Rows of a register block: 12 accumulators and 3 operands fill the 16 registers.
const ROWS: usize = 6;
/// Up to this many columns the narrow version is faster.
const NARROW: usize = 4;
/// Longest padded row: `Config` allows at most 8 · 510 inputs.
const MAX_STRIDE: usize = 4096;

/// # Safety
/// The processor has AVX2 and the sizes have passed `check_sizes`.
#[target_feature(enable = "avx2")]
pub unsafe fn product(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]) {
    if x.columns <= NARROW {
        // SAFETY: as for this function.
        return unsafe { narrow(matrix, x, out) };
    }
    let mut r = 0;
    while r < matrix.rows {
        // SAFETY: as for this function; the row ranges stay within `matrix.rows`.
        unsafe {
            if r + ROWS <= matrix.rows {
                row_block::<ROWS>(matrix, r, x, out);
                r += ROWS;
            } else {
                row_block::<1>(matrix, r, x, out);
                r += 1;
            }
        }
    }
}

/// `R` rows from `first` on over all columns.
///
/// # Safety
/// As for [`product`], and `first + R <= matrix.rows`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn row_block<const R: usize>(matrix: &Prepared, first: usize, x: &Activations<'_>, out: &mut [i32]) {
    let mut column = 0;
    while column < x.columns {
        // SAFETY: the stride is a multiple of GROUP, so the group that starts at any
        // `column < columns` lies within it; the double block is taken only where both groups do.
        unsafe {
            if column + 2 * GROUP <= x.stride && column + GROUP < x.columns {
                tile::<R, 2>(matrix, first, x, column, out);
                column += 2 * GROUP;
            } else {
                tile::<R, 1>(matrix, first, x, column, out);
                column += GROUP;
            }
        }
    }
}

/// `R` rows by `C` groups of columns, accumulated in registers.
///
/// # Safety
/// As for [`row_block`], and `column + C * GROUP <= x.stride`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn tile<const R: usize, const C: usize>(
    matrix: &Prepared,
    first: usize,
    x: &Activations<'_>,
    column: usize,
    out: &mut [i32],
) {
    // SAFETY: `check_sizes` has made sure that `cols / 2` rows of activations at the stride,
    // `rows` rows of outputs at the stride, and rows of weights of `stride >= cols` exist; the
    // caller keeps rows and columns in range. Weights are read as unaligned 32-bit pairs.
    unsafe {
        let weights: [*const i16; R] =
            std::array::from_fn(|i| matrix.weights.as_ptr().add((first + i) * matrix.stride));
        let mut input = x.pairs.as_ptr().add(column);
        let mut sums = [[_mm256_setzero_si256(); C]; R];
        for k in 0..matrix.cols / 2 {
            let values: [__m256i; C] =
                std::array::from_fn(|c| _mm256_loadu_si256(input.add(c * GROUP).cast()));
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let w = _mm256_set1_epi32(weights.add(2 * k).cast::<i32>().read_unaligned());
                for (sum, value) in sums.iter_mut().zip(&values) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(w, *value));
                }
            }
            input = input.wrapping_add(x.stride);
        }
        for (i, sums) in sums.iter().enumerate() {
            let offset = _mm256_set1_epi32(matrix.offset[first + i]);
            let shift = _mm_cvtsi32_si128(i32::from(matrix.shift[first + i]));
            let out = out.as_mut_ptr().add((first + i) * x.stride + column);
            for (c, &sum) in sums.iter().enumerate() {
                let value = _mm256_sra_epi32(_mm256_add_epi32(sum, offset), shift);
                _mm256_storeu_si256(out.add(c * GROUP).cast(), value);
            }
        }
    }
}

/// Few columns: dot products along the rows of the matrix.
///
/// # Safety
/// As for [`product`].
#[target_feature(enable = "avx2")]
unsafe fn narrow(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]) {
    let mut buffer = [0i32; MAX_STRIDE / 2];
    let column_pairs = &mut buffer[..matrix.stride / 2];
    for column in 0..x.columns {
        let inputs = x.pairs[column..].iter().step_by(x.stride);
        for (value, &pair) in column_pairs[..matrix.cols / 2].iter_mut().zip(inputs) {
            *value = pair;
        }
        let mut r = 0;
        while r < matrix.rows {
            // SAFETY: as for this function; `column_pairs` holds one padded row of inputs, whose
            // padding is zero.
            unsafe {
                if r + 4 <= matrix.rows {
                    dots::<4>(matrix, r, column_pairs, &mut out[column..], x.stride);
                    r += 4;
                } else {
                    dots::<1>(matrix, r, column_pairs, &mut out[column..], x.stride);
                    r += 1;
                }
            }
        }
    }
}

/// `R` rows from `first` on times one column of inputs.
///
/// # Safety
/// As for [`product`]; `first + R <= matrix.rows`; `input` holds `matrix.stride` int16 numbers.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn dots<const R: usize>(
    matrix: &Prepared,
    first: usize,
    input: &[i32],
    out: &mut [i32],
    stride: usize,
) {
    // SAFETY: every padded row has `matrix.stride` weights, a multiple of PAD, and so has `input`.
    unsafe {
        let weights: [*const i16; R] =
            std::array::from_fn(|i| matrix.weights.as_ptr().add((first + i) * matrix.stride));
        let mut sums = [_mm256_setzero_si256(); R];
        for k in (0..matrix.stride).step_by(PAD) {
            let value = _mm256_loadu_si256(input.as_ptr().cast::<i16>().add(k).cast());
            for (sum, weights) in sums.iter_mut().zip(&weights) {
                let w = _mm256_loadu_si256(weights.add(k).cast());
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(w, value));
            }
        }
        for (i, &sum) in sums.iter().enumerate() {
            let r = first + i;
            out[r * stride] = (horizontal_sum(sum) + matrix.offset[r]) >> matrix.shift[r];
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn horizontal_sum(v: __m256i) -> i32 {
    let halves = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
    let pairs = _mm_add_epi32(halves, _mm_shuffle_epi32::<0b01_00_11_10>(halves));
    let all = _mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs));
    _mm_cvtsi128_si32(all)
}
