//! The inner loops of the step: products of int8 matrices with int16 columns.
//!
//! Rows lie in blocks of sixteen, one row in each lane of a vector, and a pair of a column's entries is
//! broadcast. The same layout holds the keys (rows are positions) and the values (columns are positions) of a
//! window, so that attention runs through the same loop.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod elementwise;
mod scalar;

use crate::error::Result;
use crate::kernel::{Kernel, dispatch};
use crate::model::fixed::Aligned;

/// The number of rows in a block.
pub const BLOCK: usize = 16;
/// The bytes of a block for one pair of columns.
pub const PAIR: usize = 2 * BLOCK;

/// An int8 matrix as `[block of rows][pair of columns][row of the block][2]`; the last block is padded with
/// zeros.
#[derive(Debug)]
pub struct Blocked {
    /// The number of rows.
    pub rows: usize,
    /// The number of pairs of columns.
    pub pairs: usize,
    pub data: Aligned<i8>,
}

impl Blocked {
    /// A matrix of zeros.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn zeroed(rows: usize, cols: usize) -> Result<Self> {
        let pairs = cols.div_ceil(2);
        Ok(Self { rows, pairs, data: Aligned::zeroed(rows.div_ceil(BLOCK) * pairs * PAIR)? })
    }

    /// Lays out a row-major matrix with an even number of columns.
    ///
    /// # Errors
    /// See [`Self::zeroed`].
    pub fn new(weights: &[i8], cols: usize) -> Result<Self> {
        let mut new = Self::zeroed(weights.len() / cols, cols)?;
        for (r, row) in weights.chunks_exact(cols).enumerate() {
            for (k, pair) in row.as_chunks::<2>().0.iter().enumerate() {
                let at = new.offset(r, 2 * k);
                new.data[at..at + 2].copy_from_slice(pair);
            }
        }
        Ok(new)
    }

    /// The index of an entry in `data`.
    #[inline]
    pub fn offset(&self, row: usize, col: usize) -> usize {
        (row / BLOCK * self.pairs + col / 2) * PAIR + 2 * (row % BLOCK) + col % 2
    }

    /// The value of an entry.
    #[inline]
    pub fn get(&self, row: usize, col: usize) -> i8 {
        self.data[self.offset(row, col)]
    }
}

/// The columns of a product: column c is `x[c * stride..]`, of which the product takes as many entries as it
/// needs.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    pub x: &'a [i16],
    pub stride: usize,
    pub count: usize,
}

/// Receives the sums of a product: the sum for row r and column c goes to `sums[c * stride + r]`.
pub struct Outputs<'a> {
    pub sums: &'a mut [i32],
    pub stride: usize,
}

/// Multiplies the first `blocks` blocks of rows and the first `pairs` pairs of columns of `matrix` by
/// `columns`. Writes whole blocks. Sums would wrap beyond 32 bits; `Matrix::bits` and the limits of the step
/// keep them from it.
///
/// # Panics
/// If a slice is too short.
pub fn product(
    kernel: Kernel,
    matrix: &Blocked,
    blocks: usize,
    pairs: usize,
    columns: Columns<'_>,
    out: &mut Outputs<'_>,
) {
    assert!(pairs <= matrix.pairs && blocks * matrix.pairs * PAIR <= matrix.data.len());
    if columns.count == 0 || blocks == 0 {
        return;
    }
    assert!(columns.x.len() >= (columns.count - 1) * columns.stride + 2 * pairs);
    assert!(out.stride >= blocks * BLOCK);
    assert!(out.sums.len() >= (columns.count - 1) * out.stride + blocks * BLOCK);
    // SAFETY of the vector forms: the sizes have been checked here.
    dispatch!(
        kernel,
        scalar: scalar::product(matrix, blocks, pairs, columns, out),
        avx2: avx2::product(matrix, blocks, pairs, columns, out),
        avx512: avx512::product(matrix, blocks, pairs, columns, out),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    #[test]
    fn kernels_agree_with_the_definition() {
        let mut rng = SplitMix(7);
        for (rows, cols, count) in [
            (1, 2, 1),
            (16, 64, 1),
            (33, 10, 2),
            (48, 18, 7),
            (20, 6, 13),
            (17, 576, 6),
            (130, 34, 3),
            (80, 20, 32),
        ] {
            let weights: Vec<i8> = (0..rows * cols).map(|_| rng.next_u32() as i8).collect();
            let matrix = Blocked::new(&weights, cols).unwrap();
            let x: Vec<i16> = (0..count * cols).map(|_| rng.below(4096) as i16).collect();
            let padded = rows.next_multiple_of(BLOCK);
            for kernel in Kernel::supported() {
                let mut sums = vec![-1; count * padded];
                let columns = Columns { x: &x, stride: cols, count };
                let mut out = Outputs { sums: &mut sums, stride: padded };
                product(kernel, &matrix, padded / BLOCK, cols / 2, columns, &mut out);
                for c in 0..count {
                    for r in 0..rows {
                        let exact: i64 = (0..cols)
                            .map(|k| i64::from(weights[r * cols + k]) * i64::from(x[c * cols + k]))
                            .sum();
                        assert_eq!(
                            i64::from(sums[c * padded + r]),
                            exact,
                            "{kernel:?} {rows} {cols} {c} {r}"
                        );
                    }
                }
            }
        }
    }
}
