//! The product in plain Rust, for any machine.

use super::{BLOCK, Blocked, Columns, Outputs, PAIR};

/// See [`super::product`].
pub fn product(matrix: &Blocked, blocks: usize, pairs: usize, columns: Columns<'_>, out: &mut Outputs<'_>) {
    for block in 0..blocks {
        let weights = &matrix.data[block * matrix.pairs * PAIR..][..pairs * PAIR];
        for c in 0..columns.count {
            let x = &columns.x[c * columns.stride..][..2 * pairs];
            let mut sums = [0i32; BLOCK];
            for (x, w) in x.as_chunks::<2>().0.iter().zip(weights.as_chunks::<PAIR>().0) {
                for (sum, w) in sums.iter_mut().zip(w.as_chunks::<2>().0) {
                    let pair = i32::from(w[0]) * i32::from(x[0]) + i32::from(w[1]) * i32::from(x[1]);
                    *sum = sum.wrapping_add(pair);
                }
            }
            out.sums[c * out.stride + block * BLOCK..][..BLOCK].copy_from_slice(&sums);
        }
    }
}
