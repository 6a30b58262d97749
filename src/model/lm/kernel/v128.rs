//! The products and the vector in pairs of vectors of 128 bits.
//!
//! With several columns, weights are broadcast and two vectors hold the eight columns of a group; for a single column, its
//! activations are broadcast and two vectors hold the eight rows of a block.

use super::{BLOCK, GROUP, Ops, Prepared, Vector};
use crate::kernel::v128::{PairSums, V128, load, store};
use crate::model::fixed::{EXP2, squash};

/// The rows of a tile whose sums are held in registers.
const ROWS: usize = 4;

/// The products in vectors of 128 bits.
pub struct Ops128;

impl Ops for Ops128 {
    type V = Eight;

    fn product(matrix: &Prepared, columns: usize, x: &[i32], out: &mut [i32]) {
        matrix.check_sizes(columns, x, out);
        let groups = columns.div_ceil(GROUP);
        for (block, weights) in matrix.weights.chunks_exact(BLOCK * matrix.pairs).enumerate() {
            let weights = weights.as_chunks::<BLOCK>().0;
            let inputs = x.chunks_exact(matrix.pairs * GROUP);
            let outputs = out.chunks_exact_mut(matrix.rows * GROUP);
            for (x, out) in inputs.zip(outputs).take(groups) {
                let (x, out) = (x.as_chunks::<GROUP>().0, out.as_chunks_mut::<GROUP>().0);
                tile::<0>(matrix, block * BLOCK, weights, x, out);
                tile::<ROWS>(matrix, block * BLOCK, weights, x, out);
            }
        }
    }

    fn product_single(matrix: &Prepared, x: &[i32], out: &mut [i32]) {
        matrix.check_single_sizes(x, out);
        let blocks = matrix.bytes.chunks_exact(2 * BLOCK * matrix.pairs);
        for (b, (block, out)) in blocks.zip(out.as_chunks_mut::<BLOCK>().0).enumerate() {
            let mut sums = [PairSums::ZERO; 2];
            for (weights, x) in block.as_chunks::<8>().0.as_chunks::<2>().0.iter().zip(x) {
                let x = V128::splat32(*x);
                sums[0].add(V128::widen(&weights[0]), x);
                sums[1].add(V128::widen(&weights[1]), x);
            }
            store(out, sums.map(PairSums::finish));
            let rows = b * BLOCK..(b + 1) * BLOCK;
            for ((sum, offset), shift) in
                out.iter_mut().zip(&matrix.offset[rows.clone()]).zip(&matrix.shift[rows])
            {
                *sum = sum.wrapping_add(*offset) >> shift;
            }
        }
    }
}

/// The product of [`ROWS`] rows with one group of columns: those from row `FROM` of the block on, which begins with row
/// `first`.
#[inline(always)]
fn tile<const FROM: usize>(
    matrix: &Prepared,
    first: usize,
    weights: &[[i32; BLOCK]],
    x: &[[i32; GROUP]],
    out: &mut [[i32; GROUP]],
) {
    let mut sums = [[PairSums::ZERO; 2]; ROWS];
    for (weights, x) in weights.iter().zip(x) {
        let x = load(x);
        for (i, sums) in sums.iter_mut().enumerate() {
            let w = V128::splat32(weights[FROM + i]);
            sums[0].add(w, x[0]);
            sums[1].add(w, x[1]);
        }
    }
    for (r, sums) in (first + FROM..matrix.rows).zip(sums) {
        let offset = V128::splat32(matrix.offset[r]);
        let finish = |sum: PairSums| sum.finish().add32(offset).shift_right_by32(matrix.shift[r] as u32);
        store(&mut out[r], sums.map(finish));
    }
}

/// Eight numbers.
#[derive(Clone, Copy)]
pub struct Eight([V128; 2]);

impl Eight {
    #[inline(always)]
    fn both(self, other: Self, f: impl Fn(V128, V128) -> V128) -> Self {
        Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
    }

    /// The results of a function of single numbers.
    #[inline(always)]
    fn each(self, f: impl Fn(i32) -> i32) -> Self {
        let mut values = [0; GROUP];
        self.store(&mut values);
        Self::load(&values.map(f))
    }
}

impl Vector for Eight {
    #[inline(always)]
    fn load(from: &[i32; GROUP]) -> Self {
        Self(load(from))
    }

    #[inline(always)]
    fn store(self, to: &mut [i32; GROUP]) {
        store(to, self.0);
    }

    #[inline(always)]
    fn splat(value: i32) -> Self {
        Self([V128::splat32(value); 2])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.both(other, V128::add32)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.both(other, V128::sub32)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.both(other, V128::mul32)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.both(other, V128::max32)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.both(other, V128::min32)
    }

    #[inline(always)]
    fn min_unsigned(self, other: Self) -> Self {
        self.both(other, V128::min_u32)
    }

    #[inline(always)]
    fn shift_left<const N: i32>(self) -> Self {
        Self(self.0.map(V128::shift_left32::<N>))
    }

    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        Self(self.0.map(V128::shift_right32::<N>))
    }

    #[inline(always)]
    fn pair(self, odd: Self) -> Self {
        self.both(odd, |even, odd| even.and(V128::splat32(0xFFFF)).or(odd.shift_left32::<16>()))
    }

    #[inline(always)]
    fn mul_shift<const N: i32>(self, other: Self) -> Self {
        self.both(other, V128::mul_shift32::<N>)
    }

    #[inline(always)]
    fn squash(self) -> Self {
        self.each(squash)
    }

    #[inline(always)]
    fn exp2(self) -> Self {
        self.each(|d| EXP2[(d & 255) as usize] >> (d >> 8))
    }

    #[inline(always)]
    fn sum_squares(rows: &[[i32; GROUP]]) -> [u64; GROUP] {
        let mut sums = [V128::splat32(0); 4];
        for row in rows {
            let [low, high] = load(row).map(|x| x.products64(x));
            for (sum, squares) in sums.iter_mut().zip([low, high].as_flattened()) {
                *sum = sum.add64(*squares);
            }
        }
        let mut all = [[0u64; 2]; 4];
        for (to, sum) in all.iter_mut().zip(sums) {
            sum.store(to);
        }
        bytemuck::cast(all)
    }
}
