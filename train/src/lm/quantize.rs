//! Converts float matrices to the integer rows of the weight file and back (`formats/lm.md`).

use std::f32::consts::LOG2_E;

use nzip::internal::model::lm::weights::Matrix;

/// Table entries are stored in steps of 1/8.
pub const TABLE_SCALE: f32 = 8.0;
/// Table entries are limited to four bits, which keeps the shipped files small.
pub const TABLE_LIMIT: f32 = 7.0;

/// How a row's float weights relate to its integers.
#[derive(Debug, Clone, Copy)]
pub struct RowScheme {
    /// The fraction bits of the output minus those of the input.
    q: i32,
    /// log2(e) if the output is in octaves, else 1.
    factor: f32,
    /// The fraction bits of the output.
    output: i32,
}

const fn scheme(input: i32, output: i32, octaves: bool) -> RowScheme {
    RowScheme { q: output - input, factor: if octaves { LOG2_E } else { 1.0 }, output }
}

pub const INPUT: RowScheme = scheme(3, 12, false);
pub const GATE: RowScheme = scheme(10, 8, true);
pub const CANDIDATE: RowScheme = scheme(10, 11, false);
pub const OUT: RowScheme = scheme(11, 12, false);
pub const UP: RowScheme = scheme(10, 8, false);
pub const DOWN: RowScheme = scheme(10, 12, false);
pub const HEAD: RowScheme = scheme(10, 8, true);

impl RowScheme {
    /// The largest shift with which every weight of the row still fits into −127..=127.
    fn shift(self, row: &[f32]) -> i32 {
        let max = row.iter().fold(0f32, |m, w| m.max(w.abs())) * self.factor;
        if max == 0.0 {
            return 0;
        }
        let fit = (127.49 / max).log2().floor() as i32;
        (fit - self.q).clamp(0, 31)
    }

    fn scale(self, shift: i32) -> f32 {
        self.factor * ((shift + self.q) as f32).exp2()
    }

    /// The row as it will be after a round trip through the weight file.
    pub fn fake(self, row: &[f32], out: &mut [f32]) {
        let scale = self.scale(self.shift(row));
        out.iter_mut().zip(row).for_each(|(o, w)| *o = (w * scale).round().clamp(-127.0, 127.0) / scale);
    }

    fn push(self, row: &[f32], bias: f32, matrix: &mut Matrix) {
        let shift = self.shift(row);
        let scale = self.scale(shift);
        matrix.weights.extend(row.iter().map(|w| (w * scale).round().clamp(-127.0, 127.0) as i8));
        matrix.bias.push((bias * self.factor * ((self.output + shift) as f32).exp2()).round() as i32);
        matrix.shift.push(shift as u8);
    }

    fn restore(self, matrix: &Matrix, row: usize, weights: &mut Vec<f32>) -> f32 {
        let shift = i32::from(matrix.shift[row]);
        let scale = self.scale(shift);
        let row_weights = &matrix.weights[row * matrix.cols..(row + 1) * matrix.cols];
        weights.extend(row_weights.iter().map(|&w| f32::from(w) / scale));
        matrix.bias[row] as f32 / (self.factor * ((self.output + shift) as f32).exp2())
    }
}

/// An integer matrix from row-major floats. `scheme_of` returns each row's scheme; an empty `bias` stands for
/// zeros.
pub fn to_matrix(
    weights: &[f32],
    cols: usize,
    bias: &[f32],
    scheme_of: impl Fn(usize) -> RowScheme,
) -> Matrix {
    let rows = weights.len() / cols;
    let mut matrix = Matrix { rows, cols, weights: Vec::new(), bias: Vec::new(), shift: Vec::new() };
    for (r, row) in weights.chunks_exact(cols).enumerate() {
        scheme_of(r).push(row, bias.get(r).copied().unwrap_or(0.0), &mut matrix);
    }
    matrix
}

/// Row-major float weights and biases of an integer matrix.
pub fn from_matrix(matrix: &Matrix, scheme_of: impl Fn(usize) -> RowScheme) -> (Vec<f32>, Vec<f32>) {
    let mut weights = Vec::with_capacity(matrix.weights.len());
    let bias = (0..matrix.rows).map(|r| scheme_of(r).restore(matrix, r, &mut weights)).collect();
    (weights, bias)
}
