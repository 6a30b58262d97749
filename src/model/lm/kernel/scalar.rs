//! The reference for the vector code, in plain Rust: one number after the other.

use super::{BLOCK, GROUP, Ops, Prepared, Vector, pair};
use crate::model::fixed::{EXP2, squash};

/// The products in plain Rust.
pub struct Scalar;

impl Ops for Scalar {
    type V = [i32; GROUP];

    fn product(matrix: &Prepared, columns: usize, x: &[i32], out: &mut [i32]) {
        matrix.check_sizes(columns, x, out);
        let inputs = x.chunks_exact(matrix.pairs * GROUP);
        let outputs = out.chunks_exact_mut(matrix.rows * GROUP);
        for (x, out) in inputs.zip(outputs).take(columns.div_ceil(GROUP)) {
            for (r, sums) in out.chunks_exact_mut(GROUP).enumerate() {
                sums.fill(matrix.offset[r]);
                let weights =
                    matrix.weights[(r / BLOCK * matrix.pairs) * BLOCK + r % BLOCK..].iter().step_by(BLOCK);
                for (&w, inputs) in weights.zip(x.chunks_exact(GROUP)) {
                    for (sum, &x) in sums.iter_mut().zip(inputs) {
                        *sum += even(w) * even(x) + odd(w) * odd(x);
                    }
                }
                for sum in sums {
                    *sum >>= matrix.shift[r];
                }
            }
        }
    }

    fn product_single(matrix: &Prepared, x: &[i32], out: &mut [i32]) {
        matrix.check_single_sizes(x, out);
        let blocks = matrix.bytes.chunks_exact(2 * BLOCK * matrix.pairs);
        for (b, (block, out)) in blocks.zip(out.as_chunks_mut::<BLOCK>().0).enumerate() {
            out.copy_from_slice(&matrix.offset[b * BLOCK..][..BLOCK]);
            for (weights, &x) in block.as_chunks::<{ 2 * BLOCK }>().0.iter().zip(x) {
                for (sum, w) in out.iter_mut().zip(weights.as_chunks::<2>().0) {
                    *sum += i32::from(w[0]) * even(x) + i32::from(w[1]) * odd(x);
                }
            }
            for (sum, shift) in out.iter_mut().zip(&matrix.shift[b * BLOCK..]) {
                *sum >>= shift;
            }
        }
    }
}

fn even(pair: i32) -> i32 {
    i32::from(pair as i16)
}

fn odd(pair: i32) -> i32 {
    pair >> 16
}

#[inline(always)]
fn zip(a: [i32; GROUP], b: [i32; GROUP], f: impl Fn(i32, i32) -> i32) -> [i32; GROUP] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Vector for [i32; GROUP] {
    fn load(from: &[i32; GROUP]) -> Self {
        *from
    }

    fn store(self, to: &mut [i32; GROUP]) {
        *to = self;
    }

    fn splat(value: i32) -> Self {
        [value; GROUP]
    }

    fn add(self, other: Self) -> Self {
        zip(self, other, i32::wrapping_add)
    }

    fn sub(self, other: Self) -> Self {
        zip(self, other, i32::wrapping_sub)
    }

    fn mul(self, other: Self) -> Self {
        zip(self, other, i32::wrapping_mul)
    }

    fn max(self, other: Self) -> Self {
        zip(self, other, i32::max)
    }

    fn min(self, other: Self) -> Self {
        zip(self, other, i32::min)
    }

    fn min_unsigned(self, other: Self) -> Self {
        zip(self, other, |a, b| (a as u32).min(b as u32) as i32)
    }

    fn shift_left<const N: i32>(self) -> Self {
        self.map(|a| a << N)
    }

    fn shift_right<const N: i32>(self) -> Self {
        self.map(|a| a >> N)
    }

    fn pair(self, odd: Self) -> Self {
        zip(self, odd, pair)
    }

    fn mul_shift<const N: i32>(self, other: Self) -> Self {
        zip(self, other, |a, b| ((i64::from(a) * i64::from(b) + (1 << (N - 1))) >> N) as i32)
    }

    fn squash(self) -> Self {
        self.map(squash)
    }

    fn exp2(self) -> Self {
        self.map(|d| EXP2[(d & 255) as usize] >> (d >> 8))
    }

    fn sum_squares(rows: &[[i32; GROUP]]) -> [u64; GROUP] {
        std::array::from_fn(|i| rows.iter().map(|row| (i64::from(row[i]) * i64::from(row[i])) as u64).sum())
    }
}
