//! Products of matrices through `gemm`, whose order of additions depends on the machine.

/// Computes `dst (m × n) += lhs (m × k) · rhs (k × n)`, dst row by row; strides are (row, column).
#[allow(unsafe_code)] // the call of `gemm`, which takes pointers
pub fn fast(
    (m, n, k): (usize, usize, usize),
    dst: &mut [f32],
    lhs: &[f32],
    ls: (usize, usize),
    rhs: &[f32],
    rs: (usize, usize),
) {
    let last = |rows: usize, cols: usize, s: (usize, usize)| (rows - 1) * s.0 + (cols - 1) * s.1;
    assert!(m * n * k > 0 && dst.len() >= m * n && lhs.len() > last(m, k, ls) && rhs.len() > last(k, n, rs));
    // SAFETY: every access is inside the slices, as has just been checked; dst does not overlap the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            n as isize,
            true,
            lhs.as_ptr(),
            ls.1 as isize,
            ls.0 as isize,
            rhs.as_ptr(),
            rs.1 as isize,
            rs.0 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nzip::internal::model::circuit::learn::Products;

    #[test]
    fn nearly_the_sums_of_the_ordered_ones() {
        let (m, n, k) = (5, 19, 7);
        let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 37.0;
        let lhs: Vec<f32> = (0..m * k).map(number).collect();
        let rhs: Vec<f32> = (0..k * n).map(|i| number(i + 5)).collect();
        let product = |products: Products, start: f32| {
            let mut dst = vec![start; m * n];
            products.product((m, n, k), &mut dst, start == 0.5, &lhs, (k, 1), &rhs, (n, 1));
            dst
        };
        let (fast, ordered) = (product(Products::Fast(fast), 9.0), product(Products::Ordered, 0.5));
        assert!(fast.iter().zip(&ordered).all(|(f, o)| (f + 0.5 - o).abs() < 1e-2));
    }
}
