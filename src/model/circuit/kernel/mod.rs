//! The inner loops of messages.
//!
//! Eight records, the *lanes*, are processed side by side. A message of K entries is K/2 [`PerLane`]s, whose
//! 32-bit numbers each hold two neighbouring entries of one record. So a pair of weights is multiplied by a
//! vector of records, and no sum crosses a vector.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
pub use scalar::Scalar;

/// The number of records that are processed side by side.
pub const LANES: usize = 8;

/// One number for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct PerLane(pub [u32; LANES]);

/// The operations on messages for one instruction set. Slices must have the lengths that the methods state,
/// which implementations check.
pub trait Ops {
    /// Computes `out[r] = Σ_p low·low + high·high` of `weights[r·n + p]` and `x[p]`, for n = `x.len()` and
    /// each row r.
    fn product(weights: &[u32], x: &[PerLane], out: &mut [PerLane]);
    /// `peak` of the specification, from one entry per number to two: `x.len() = 2·out.len()`.
    fn peak(x: &[PerLane], out: &mut [PerLane]);
    /// `mass` of the specification.
    fn mass(x: &[PerLane], out: &mut [PerLane]);
    /// The products of entries, one per number of `out`: `out.len() = 2·a.len() = 2·b.len()`.
    fn times(a: &[PerLane], b: &[PerLane], out: &mut [PerLane]);
    /// Lane l of `out[p]` becomes `table[row[l]·n + p]`, for n = `out.len()`.
    fn gather(table: &[u32], row: &[u32; LANES], out: &mut [PerLane]);
}

/// How `peak` and `mass` scale a lane to 15 bits, given its maximum or sum: the rounding term, the right
/// shift and the left shift.
fn shifts(most: u32) -> (u32, u32, u32) {
    let bits = 32 - most.leading_zeros();
    if bits > 15 { (1 << (bits - 16), bits - 15, 0) } else { (0, 0, 15 - bits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "x86_64")]
    use crate::kernel::Kernel;
    #[cfg(target_arch = "x86_64")]
    use crate::random::SplitMix;

    #[cfg(target_arch = "x86_64")]
    fn lanes(n: usize, rng: &mut SplitMix, mut f: impl FnMut(u32, u32) -> u32) -> Vec<PerLane> {
        (0..n).map(|_| PerLane(std::array::from_fn(|_| f(rng.next_u32(), rng.next_u32())))).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn message(n: usize, rng: &mut SplitMix) -> Vec<PerLane> {
        let small = rng.next_u32() % 15;
        lanes(n, rng, |a, b| (a & 0x7fff) >> small | ((b & 0x7fff) << 16))
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_give_the_same_bits() {
        if Kernel::avx2().is_none() {
            return;
        }
        let mut rng = SplitMix(1);
        for round in 0..300 {
            let n = 1 + round % 19;
            let (a, b) = (message(n, &mut rng), message(n, &mut rng));
            let rows = 1 + (round * 7) % 23;
            // Weights whose sums stay below 2^31, as the bounds of the file demand.
            let weights: Vec<u32> = (0..rows * n).map(|_| rng.next_u32() & 0x03ff_03ff).collect();
            let table: Vec<u32> = (0..rows * n).map(|_| rng.next_u32()).collect();
            let row: [u32; LANES] = std::array::from_fn(|_| rng.next_u32() % rows as u32);
            let bits = rng.next_u32() % 31;
            let wide = lanes(2 * n, &mut rng, |a, b| if b % 5 == 0 { 0 } else { (a & 0x7fff_ffff) >> bits });
            let run = |vector: bool| {
                let mut out = vec![vec![PerLane::default(); rows], vec![PerLane::default(); n]];
                out.extend([
                    vec![PerLane::default(); n],
                    vec![PerLane::default(); 2 * n],
                    vec![PerLane::default(); n],
                ]);
                if vector {
                    Avx2::product(&weights, &a, &mut out[0]);
                    Avx2::peak(&wide, &mut out[1]);
                    Avx2::mass(&a, &mut out[2]);
                    Avx2::times(&a, &b, &mut out[3]);
                    Avx2::gather(&table, &row, &mut out[4]);
                } else {
                    Scalar::product(&weights, &a, &mut out[0]);
                    Scalar::peak(&wide, &mut out[1]);
                    Scalar::mass(&a, &mut out[2]);
                    Scalar::times(&a, &b, &mut out[3]);
                    Scalar::gather(&table, &row, &mut out[4]);
                }
                out
            };
            assert_eq!(run(false), run(true), "round {round}");
        }
    }

    #[test]
    fn nothing_peaks_as_ones() {
        let mut out = [PerLane::default()];
        Scalar::peak(&[PerLane::default(); 2], &mut out);
        assert_eq!(out[0].0, [0x0001_0001; LANES]);
    }

    #[test]
    fn rounding_up_stays_in_fifteen_bits() {
        let mut out = [PerLane::default()];
        Scalar::peak(&[PerLane([0xffff; LANES]), PerLane([0x7fff_ffff; LANES])], &mut out);
        assert_eq!(out[0].0, [1 | 32767 << 16; LANES]);
    }
}
