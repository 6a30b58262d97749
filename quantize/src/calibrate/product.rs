//! Matrices of single-precision floats, and their products.

use rayon::prelude::*;

/// Rows that are multiplied together. It is the same for any number of threads.
const ROWS: usize = 128;

/// A matrix, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// The values of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// The values of a row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.columns..][..self.columns]
    }

    /// The whole matrix as an operand.
    pub fn view(&self) -> View<'_> {
        View { values: &self.values, rows: self.rows, columns: self.columns, strides: (self.columns, 1) }
    }

    /// The rows from `first` on and the columns from `column` on as an operand.
    pub fn part(&self, (first, rows): (usize, usize), (column, columns): (usize, usize)) -> View<'_> {
        let values = &self.values[first * self.columns + column..];
        View { values, rows, columns, strides: (self.columns, 1) }
    }

    /// Adds another matrix of the same shape.
    pub fn add(&mut self, other: &Matrix) {
        self.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += b);
    }
}

/// An operand of a product: a matrix whose element (r, c) is value r·strides.0 + c·strides.1.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    strides: (usize, usize),
}

impl View<'_> {
    /// The same matrix with rows and columns exchanged.
    pub fn turned(self) -> Self {
        Self { rows: self.columns, columns: self.rows, strides: (self.strides.1, self.strides.0), ..self }
    }

    /// `count` rows from `first` on.
    fn some_rows(self, first: usize, count: usize) -> Self {
        Self { values: &self.values[first * self.strides.0..], rows: count, ..self }
    }

    /// The place behind the last element.
    fn end(&self) -> usize {
        match (self.rows, self.columns) {
            (0, _) | (_, 0) => 0,
            (r, c) => (r - 1) * self.strides.0 + (c - 1) * self.strides.1 + 1,
        }
    }
}

/// The product of two matrices.
pub fn product(a: View<'_>, b: View<'_>) -> Matrix {
    let mut out = Matrix::zeros(a.rows, b.columns);
    let columns = b.columns.max(1);
    out.values.par_chunks_mut(ROWS * columns).enumerate().for_each(|(i, rows)| {
        let part = a.some_rows(i * ROWS, rows.len() / columns);
        product_into(rows, columns, part, b, 1.0, false);
    });
    out
}

/// Writes `scale`·a·b to a matrix whose rows are `stride` values apart, or adds it to what is there.
///
/// # Panics
/// Where shapes do not fit each other.
pub fn product_into(out: &mut [f32], stride: usize, a: View<'_>, b: View<'_>, scale: f32, add: bool) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    if m == 0 || n == 0 {
        return;
    }
    assert!(b.rows == k && n <= stride && (m - 1) * stride + n <= out.len());
    assert!(a.end() <= a.values.len() && b.end() <= b.values.len());
    let old = if add { 1.0 } else { 0.0 };
    let (sa, sb) = (a.strides, b.strides);
    // SAFETY: the last element of each operand lies within its slice, as was checked above, and so do all others, whose
    // places are less; `out` is borrowed alone.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            scale,
            a.values.as_ptr(),
            sa.0 as isize,
            sa.1 as isize,
            b.values.as_ptr(),
            sb.0 as isize,
            sb.1 as isize,
            old,
            out.as_mut_ptr(),
            stride as isize,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: usize, columns: usize) -> Matrix {
        let value = |i: usize| ((i * 37 + 11) % 19) as f32 - 9.0;
        Matrix { rows, columns, values: (0..rows * columns).map(value).collect() }
    }

    #[test]
    fn products_are_sums_of_products() {
        let (a, b) = (counted(300, 7), counted(5, 7));
        let c = product(a.view(), b.view().turned());
        for (i, j) in [(0, 0), (129, 3), (299, 4)] {
            let sum: f32 = a.row(i).iter().zip(b.row(j)).map(|(x, y)| x * y).sum();
            assert_eq!(c.row(i)[j], sum);
        }
    }

    #[test]
    fn parts_are_multiplied_in_place() {
        let (a, b) = (counted(6, 8), counted(6, 8));
        let mut out = vec![1.0; 4 * 5];
        product_into(&mut out, 5, a.part((1, 4), (2, 3)), b.part((2, 3), (1, 2)), 2.0, true);
        let sum: f32 = (0..3).map(|k| a.row(2)[2 + k] * b.row(2 + k)[2]).sum();
        assert_eq!((out[5 + 1], out[4]), (1.0 + 2.0 * sum, 1.0));
        assert!(product(counted(0, 3).view(), counted(3, 2).view()).values.is_empty());
    }
}
