//! Products of matrices, in a fixed order or as the caller computes them.

use crate::kernel::{Kernel, dispatch};

/// Computes `dst += lhs · rhs` for matrices of m × n, m × k and k × n. Arguments are the sizes (m, n, k), dst
/// row by row, then lhs and rhs each with its strides (row, column). All accesses have been checked to lie
/// inside the slices.
pub type Product = fn((usize, usize, usize), &mut [f32], &[f32], (usize, usize), &[f32], (usize, usize));

/// How products are computed.
#[derive(Debug, Clone, Copy, Default)]
pub enum Products {
    /// Each sum from its first term to its last, rounded after every operation: the same on every machine.
    #[default]
    Ordered,
    /// As fast as possible; the order of additions may depend on the machine.
    Fast(Product),
}

impl Products {
    /// Computes `dst (m × n) = lhs (m × k) · rhs (k × n)`, or adds to `dst` if `add` is set. `ls` and `rs`
    /// are the strides of rows and columns.
    ///
    /// # Panics
    /// If a size is 0 or a slice is too short.
    #[allow(clippy::too_many_arguments)]
    pub fn product(
        self,
        (m, n, k): (usize, usize, usize),
        dst: &mut [f32],
        add: bool,
        lhs: &[f32],
        ls: (usize, usize),
        rhs: &[f32],
        rs: (usize, usize),
    ) {
        let last = |rows: usize, cols: usize, s: (usize, usize)| (rows - 1) * s.0 + (cols - 1) * s.1;
        assert!(
            m * n * k > 0 && dst.len() >= m * n && lhs.len() > last(m, k, ls) && rhs.len() > last(k, n, rs)
        );
        if !add {
            dst[..m * n].fill(0.0);
        }
        match self {
            Products::Ordered => {
                let turned: Vec<f32>;
                let rows = if rs == (n, 1) {
                    rhs
                } else {
                    turned = (0..k * n).map(|i| rhs[i / n * rs.0 + i % n * rs.1]).collect();
                    &turned
                };
                ordered((m, n, k), dst, lhs, ls, rows);
            }
            Products::Fast(product) => product((m, n, k), dst, lhs, ls, rhs, rs),
        }
    }
}

/// The product in a fixed order; the rows of the right matrix lie one after the other.
fn ordered(sizes: (usize, usize, usize), dst: &mut [f32], lhs: &[f32], ls: (usize, usize), rows: &[f32]) {
    dispatch!(
        Kernel::best(),
        scalar: add_rows(sizes, dst, lhs, ls, rows),
        avx2: ordered_avx2(sizes, dst, lhs, ls, rows),
    )
}

/// [`add_rows`] with wider registers; AVX2 alone has no fused operations.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn ordered_avx2(
    sizes: (usize, usize, usize),
    dst: &mut [f32],
    lhs: &[f32],
    ls: (usize, usize),
    rows: &[f32],
) {
    add_rows(sizes, dst, lhs, ls, rows);
}

/// Computes `dst += lhs · rows` in strips of columns that stay in registers.
#[inline(always)]
fn add_rows(sizes: (usize, usize, usize), dst: &mut [f32], lhs: &[f32], ls: (usize, usize), rows: &[f32]) {
    let mut at = 0;
    while at < sizes.1 {
        at += match sizes.1 - at {
            32.. => add_strip::<32, 2>(at, sizes, dst, lhs, ls, rows),
            16.. => add_strip::<16, 4>(at, sizes, dst, lhs, ls, rows),
            8.. => add_strip::<8, 4>(at, sizes, dst, lhs, ls, rows),
            4.. => add_strip::<4, 4>(at, sizes, dst, lhs, ls, rows),
            _ => add_strip::<1, 4>(at, sizes, dst, lhs, ls, rows),
        };
    }
}

/// Adds to `W` columns from `at` on, `R` rows at a time, and returns `W`. Every sum has the order of its terms.
#[inline(always)]
fn add_strip<const W: usize, const R: usize>(
    at: usize,
    (m, n, k): (usize, usize, usize),
    dst: &mut [f32],
    lhs: &[f32],
    ls: (usize, usize),
    rows: &[f32],
) -> usize {
    let mut i = 0;
    while i + R <= m {
        add_block::<W, R>((i, at), (n, k), dst, lhs, ls, rows);
        i += R;
    }
    (i..m).for_each(|i| add_block::<W, 1>((i, at), (n, k), dst, lhs, ls, rows));
    W
}

/// Adds to a block of `R` rows and `W` columns, the first of which is given.
#[inline(always)]
fn add_block<const W: usize, const R: usize>(
    (i, at): (usize, usize),
    (n, k): (usize, usize),
    dst: &mut [f32],
    lhs: &[f32],
    ls: (usize, usize),
    rows: &[f32],
) {
    let place = |r: usize| (i + r) * n + at;
    let mut sums: [[f32; W]; R] = std::array::from_fn(|r| std::array::from_fn(|c| dst[place(r) + c]));
    let parts = rows.chunks_exact(n).take(k).filter_map(|row| row[at..].first_chunk::<W>());
    for (j, row) in parts.enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = lhs[(i + r) * ls.0 + j * ls.1];
            sums.iter_mut().zip(row).for_each(|(d, &r)| *d += x * r);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        dst[place(r)..][..W].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sums_whatever_the_registers() {
        [1, 7, 19, 32, 63].into_iter().for_each(|n| check((5, n, 7)));
    }

    /// Compares a product with its definition.
    fn check((m, n, k): (usize, usize, usize)) {
        let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 37.0;
        let lhs: Vec<f32> = (0..m * k).map(number).collect();
        let rhs: Vec<f32> = (0..k * n).map(|i| number(i + 5)).collect();
        let mut plain = vec![0.5; m * n];
        for (i, sum) in plain.iter_mut().enumerate() {
            (0..k).for_each(|j| *sum += lhs[i / n * k + j] * rhs[j * n + i % n]);
        }
        let turned: Vec<f32> = (0..n * k).map(|i| rhs[i % k * n + i / k]).collect();
        for (rhs, rs) in [(&rhs, (n, 1)), (&turned, (1, k))] {
            let mut dst = vec![0.5; m * n];
            Products::Ordered.product((m, n, k), &mut dst, true, &lhs, (k, 1), rhs, rs);
            assert_eq!(dst, plain);
        }
    }
}
