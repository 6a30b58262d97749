//! The inner loops of the step, over *columns*: in decoding a column is a lane, in encoding it is a
//! time step. Every array is row-major with the columns of one row side by side at a fixed stride, so
//! that one weight meets many columns.
//!
//! Matrix products have a scalar reference and an AVX2 version. Everything elementwise is plain
//! Rust ([`elementwise`]) that is compiled once for each.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod elementwise;
mod scalar;

use super::aligned::Aligned;
use super::weights::Matrix;
use crate::error::{Error, Result};

/// Columns are handled in groups of this many: one 256-bit register of 32-bit numbers.
pub const GROUP: usize = 8;
/// Columns of a row of weights are padded with zeros to a multiple of this.
const PAD: usize = 16;

/// Which implementation runs. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust for any machine.
    Scalar,
    /// 256-bit integer vectors.
    Avx2,
}

impl Kernel {
    /// The fastest kernel of this machine.
    pub fn best() -> Self {
        if Self::Avx2.is_supported() { Self::Avx2 } else { Self::Scalar }
    }

    /// Whether this machine can run the kernel.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
        }
    }

    /// Refuses a kernel that this machine cannot run.
    pub(super) fn check(self) -> Result<Self> {
        if self.is_supported() {
            return Ok(self);
        }
        Err(Error::bad_argument(format!("this machine cannot run the {self:?} kernel")))
    }
}

/// A matrix widened and padded for the kernels.
#[derive(Debug)]
pub struct Prepared {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs, even.
    pub cols: usize,
    /// Distance between rows of `weights`, a multiple of [`PAD`].
    stride: usize,
    weights: Aligned<i16>,
    /// Bias plus the rounding term of the shift.
    offset: Vec<i32>,
    shift: Vec<u8>,
}

impl Prepared {
    /// Widens a matrix that has passed `Weights::check`.
    pub fn new(matrix: &Matrix) -> Result<Self> {
        let stride = matrix.cols.next_multiple_of(PAD);
        let mut weights = Aligned::zeroed(matrix.rows * stride)?;
        for (wide, row) in weights.chunks_exact_mut(stride).zip(matrix.weights.chunks_exact(matrix.cols)) {
            for (wide, &w) in wide.iter_mut().zip(row) {
                *wide = i16::from(w);
            }
        }
        let round = |shift: u8| if shift == 0 { 0 } else { 1 << (shift - 1) };
        let offset = matrix.bias.iter().zip(&matrix.shift).map(|(&b, &s)| b + round(s)).collect();
        Ok(Self {
            rows: matrix.rows,
            cols: matrix.cols,
            stride,
            weights,
            offset,
            shift: matrix.shift.clone(),
        })
    }

    /// One padded row.
    fn row(&self, r: usize) -> &[i16] {
        &self.weights[r * self.stride..][..self.stride]
    }
}

/// Activations of `columns` columns as the products want them: entry `[k / 2][column]` holds the two
/// int16 numbers of rows k (low half) and k + 1 (high half).
pub struct Activations<'a> {
    /// At least `cols / 2 * stride` entries.
    pub pairs: &'a [i32],
    /// Distance between rows, a multiple of [`GROUP`].
    pub stride: usize,
    /// Columns that matter; those from there to the next multiple of [`GROUP`] hold anything.
    pub columns: usize,
}

/// Two int16 numbers in one entry of [`Activations`].
#[inline(always)]
pub fn pair(even: i32, odd: i32) -> i32 {
    (even & 0xFFFF) | (odd << 16)
}

/// Matrix products, the part of the step that has hand-written vector code.
pub trait Product {
    /// `out[r][column] = P(matrix, x)_r` for every column that matters, at the stride of `x`.
    fn product(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]);
}

/// The scalar reference.
pub struct Scalar;

impl Product for Scalar {
    #[inline(always)]
    fn product(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]) {
        check_sizes(matrix, x, out);
        scalar::product(matrix, x, out);
    }
}

/// 256-bit vectors; may only be used from code that runs after [`Kernel::is_supported`].
#[cfg(target_arch = "x86_64")]
pub struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Product for Avx2 {
    #[inline(always)]
    fn product(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]) {
        check_sizes(matrix, x, out);
        // SAFETY: this type is only named by `forward`'s AVX2 version, which runs after the
        // processor was asked for AVX2; the sizes were checked above.
        unsafe { avx2::product(matrix, x, out) }
    }
}

/// Panics unless the slices hold what the kernels read and write without further checks.
fn check_sizes(matrix: &Prepared, x: &Activations<'_>, out: &[i32]) {
    assert!(x.stride.is_multiple_of(GROUP) && x.columns <= x.stride);
    assert!(x.pairs.len() >= matrix.cols / 2 * x.stride);
    assert!(out.len() >= matrix.rows * x.stride);
    assert!(matrix.stride >= matrix.cols && matrix.weights.len() == matrix.rows * matrix.stride);
    assert!(matrix.offset.len() == matrix.rows && matrix.shift.len() == matrix.rows);
    assert!(matrix.shift.iter().all(|&s| s < 32));
}
