//! The reference for the vector code: one product after the other.

use super::{Activations, GROUP, Prepared};

pub fn product(matrix: &Prepared, x: &Activations<'_>, out: &mut [i32]) {
    for r in 0..matrix.rows {
        let out = &mut out[r * x.stride..][..x.columns.next_multiple_of(GROUP)];
        out.fill(matrix.offset[r]);
        let weights = matrix.row(r)[..matrix.cols].chunks_exact(2);
        for (w, pairs) in weights.zip(x.pairs.chunks_exact(x.stride)) {
            let (even, odd) = (i32::from(w[0]), i32::from(w[1]));
            for (sum, &pair) in out.iter_mut().zip(pairs) {
                *sum += even * i32::from(pair as i16) + odd * (pair >> 16);
            }
        }
        for sum in out {
            *sum >>= matrix.shift[r];
        }
    }
}
