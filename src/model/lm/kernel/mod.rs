//! The inner loops of the step, over *columns*: in decoding a column is a lane, in encoding it is a time
//! step.
//!
//! Columns are held in groups of eight. The numbers of a group are `[row][8]`, so that one weight is
//! multiplied by a vector of columns and no sum crosses a vector. What differs between machines is behind
//! [`Vector`] (eight 32-bit numbers) and [`Ops`]; everything else is written once ([`elementwise`],
//! [`single`]).

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod elementwise;
mod scalar;
pub mod single;
#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
mod v128;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
pub use scalar::Scalar;
#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
pub use v128::Ops128;

use super::weights::Matrix;
use crate::error::Result;
use crate::model::fixed::Aligned;

/// The number of columns in a group: as many as a 256-bit register holds 32-bit numbers.
pub const GROUP: usize = 8;
/// The number of rows in a block: matrices are held in blocks of rows, the last one padded with zeros.
const BLOCK: usize = 8;

/// A matrix widened and laid out for the kernels.
#[derive(Debug)]
pub struct Prepared {
    /// The number of outputs.
    rows: usize,
    /// The number of pairs of inputs.
    pairs: usize,
    /// `[block of rows][pair of inputs][row of the block]`: two weights as int16 each (see [`pair`]).
    weights: Aligned<i32>,
    /// The same weights as two int8 each. Where few columns share a weight, reading it from memory is what
    /// takes time, and this form is half as long.
    bytes: Aligned<i8>,
    /// Per row, padded to whole blocks: the bias plus the rounding term of the shift.
    offset: Aligned<i32>,
    /// Per row, padded to whole blocks: the shift, below 32.
    shift: Aligned<i32>,
}

impl Prepared {
    /// Lays out a matrix that has passed `Weights::check`.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(matrix: &Matrix) -> Result<Self> {
        let padded = matrix.rows.next_multiple_of(BLOCK);
        let pairs = matrix.cols / 2;
        let mut prepared = Self {
            rows: matrix.rows,
            pairs,
            weights: Aligned::zeroed(padded * pairs)?,
            bytes: Aligned::zeroed(2 * padded * pairs)?,
            offset: Aligned::zeroed(padded)?,
            shift: Aligned::zeroed(padded)?,
        };
        for (r, row) in matrix.weights.chunks_exact(matrix.cols).enumerate() {
            let first = r / BLOCK * BLOCK * pairs + r % BLOCK;
            for (slot, w) in (first..).step_by(BLOCK).zip(row.as_chunks::<2>().0) {
                prepared.weights[slot] = pair(i32::from(w[0]), i32::from(w[1]));
                prepared.bytes[2 * slot..2 * slot + 2].copy_from_slice(w);
            }
            let shift = matrix.shift[r];
            let round = if shift == 0 { 0 } else { 1 << (shift - 1) };
            prepared.offset[r] = matrix.bias[r] + round;
            prepared.shift[r] = i32::from(shift);
        }
        Ok(prepared)
    }

    /// The number of pairs of inputs.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Panics unless the slices are as long as the kernels rely on: kernels read and write without further
    /// checks.
    fn check_sizes(&self, columns: usize, x: &[i32], out: &[i32]) {
        let groups = columns.div_ceil(GROUP);
        assert!(x.len() >= groups * self.pairs * GROUP && out.len() >= groups * self.rows * GROUP);
        self.check_own_sizes();
    }

    /// Does the same for a single column by itself.
    fn check_single_sizes(&self, x: &[i32], out: &[i32]) {
        assert!(x.len() >= self.pairs && out.len() >= self.rows.next_multiple_of(BLOCK));
        self.check_own_sizes();
    }

    fn check_own_sizes(&self) {
        let padded = self.rows.next_multiple_of(BLOCK);
        assert!(self.weights.len() == padded * self.pairs && self.bytes.len() == 2 * padded * self.pairs);
        assert!(self.offset.len() == padded && self.shift.len() == padded);
    }
}

/// Packs two int16 numbers into one entry: that of an even row in the low half, that of the next row in the
/// high half. A multiply-add of pairs then takes two rows of input at once.
#[inline(always)]
pub fn pair(even: i32, odd: i32) -> i32 {
    (even & 0xFFFF) | (odd << 16)
}

/// The products for one instruction set.
pub trait Ops {
    /// The vector of eight numbers.
    type V: Vector;

    /// The product of a matrix and `columns` columns, biased, rounded and shifted: P of the specification.
    /// `x` holds `[group][pair of inputs][8]` as made by [`pair`], and `out` receives `[group][row][8]`. The
    /// contents of `out` for columns beyond `columns` are unspecified.
    fn product(matrix: &Prepared, columns: usize, x: &[i32], out: &mut [i32]);

    /// The product for one column by itself: `x` holds one entry for each pair of inputs, and `out` receives
    /// one number for each row, and zeros up to the next multiple of [`GROUP`].
    fn product_single(matrix: &Prepared, x: &[i32], out: &mut [i32]);
}

/// Eight 32-bit numbers, on each of which a method works separately. Arithmetic wraps.
pub trait Vector: Copy {
    fn load(from: &[i32; GROUP]) -> Self;
    fn store(self, to: &mut [i32; GROUP]);
    fn splat(value: i32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    /// The low 32 bits of the products.
    fn mul(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    /// The minimum, with the numbers taken as unsigned.
    fn min_unsigned(self, other: Self) -> Self;
    fn shift_left<const N: i32>(self) -> Self;
    /// Arithmetic shift.
    fn shift_right<const N: i32>(self) -> Self;
    /// See [`pair`].
    fn pair(self, odd: Self) -> Self;
    /// The low 32 bits of `(self · other + 2^(N - 1)) >> N` with a 64-bit product, 1 <= N <= 32.
    fn mul_shift<const N: i32>(self, other: Self) -> Self;
    /// See [`squash`](crate::model::fixed::squash).
    fn squash(self) -> Self;
    /// `EXP2[d & 255] >> (d >> 8)` for numbers d in 0..8192.
    fn exp2(self) -> Self;
    /// The sum of squares of each column of `rows`: at most 2^20 rows of magnitudes below 2^22.
    fn sum_squares(rows: &[[i32; GROUP]]) -> [u64; GROUP];
}
