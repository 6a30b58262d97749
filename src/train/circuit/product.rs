//! Products of matrices, through `gemm`.

#![allow(unsafe_code)]

/// `dst (m × n) = [dst +] lhs (m × k) · rhs (k × n)`; strides are (row, column).
#[allow(clippy::too_many_arguments)]
pub fn product(
    (m, n, k): (usize, usize, usize),
    dst: &mut [f32],
    add: bool,
    lhs: &[f32],
    ls: (usize, usize),
    rhs: &[f32],
    rs: (usize, usize),
) {
    let last = |rows: usize, cols: usize, s: (usize, usize)| (rows - 1) * s.0 + (cols - 1) * s.1;
    assert!(m * n * k > 0 && dst.len() >= m * n && lhs.len() > last(m, k, ls) && rhs.len() > last(k, n, rs));
    // SAFETY: the assertion keeps every access inside the slices; dst does not overlap the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            n as isize,
            add,
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
