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

/// Computes `dst += lhs · rows`, row by row.
#[inline(always)]
fn add_rows(
    (m, n, k): (usize, usize, usize),
    dst: &mut [f32],
    lhs: &[f32],
    ls: (usize, usize),
    rows: &[f32],
) {
    for (i, dst) in dst.chunks_exact_mut(n).take(m).enumerate() {
        for (j, row) in rows.chunks_exact(n).take(k).enumerate() {
            let x = lhs[i * ls.0 + j * ls.1];
            dst.iter_mut().zip(row).for_each(|(d, &r)| *d += x * r);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sums_whatever_the_registers() {
        let (m, n, k) = (5, 19, 7);
        let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 37.0;
        let lhs: Vec<f32> = (0..m * k).map(number).collect();
        let rhs: Vec<f32> = (0..k * n).map(|i| number(i + 5)).collect();
        let mut plain = vec![0.5; m * n];
        add_rows((m, n, k), &mut plain, &lhs, (k, 1), &rhs);
        let turned: Vec<f32> = (0..n * k).map(|i| rhs[i % k * n + i / k]).collect();
        for (rhs, rs) in [(&rhs, (n, 1)), (&turned, (1, k))] {
            let mut dst = vec![0.5; m * n];
            Products::Ordered.product((m, n, k), &mut dst, true, &lhs, (k, 1), rhs, rs);
            assert_eq!(dst, plain);
        }
    }
}
