//! The operations in plain Rust.

use super::{LANES, Ops, PerLane, shifts};

/// The operations in plain Rust, for any machine.
pub struct Scalar;

/// The low entry of a pair.
fn low(x: u32) -> u32 {
    x & 0xffff
}

impl Ops for Scalar {
    fn product(weights: &[u32], x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(weights.len(), x.len() * out.len());
        for (row, out) in weights.chunks_exact(x.len()).zip(out) {
            let mut sum = [0u32; LANES];
            for (&w, x) in row.iter().zip(x) {
                for (s, &x) in sum.iter_mut().zip(&x.0) {
                    *s += low(w) * low(x) + (w >> 16) * (x >> 16);
                }
            }
            *out = PerLane(sum);
        }
    }

    fn peak(x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(x.len(), 2 * out.len());
        for lane in 0..LANES {
            let most = x.iter().map(|x| x.0[lane]).max().unwrap_or(0);
            if most == 0 {
                out.iter_mut().for_each(|o| o.0[lane] = 0x0001_0001);
                continue;
            }
            let (half, right, left) = shifts(most);
            let scale = |x: u32| (((x + half) >> right) << left).min(32767);
            for (o, x) in out.iter_mut().zip(x.chunks_exact(2)) {
                o.0[lane] = scale(x[0].0[lane]) | scale(x[1].0[lane]) << 16;
            }
        }
    }

    fn mass(x: &[PerLane], out: &mut [PerLane]) {
        assert_eq!(x.len(), out.len());
        for lane in 0..LANES {
            let sum: u32 = x.iter().map(|x| low(x.0[lane]) + (x.0[lane] >> 16)).sum();
            let (half, right, _) = shifts(sum);
            for (o, x) in out.iter_mut().zip(x) {
                let x = x.0[lane];
                o.0[lane] = (low(x) + half) >> right | (((x >> 16) + half) >> right) << 16;
            }
        }
    }

    fn times(a: &[PerLane], b: &[PerLane], out: &mut [PerLane]) {
        assert!(a.len() == b.len() && out.len() == 2 * a.len());
        for ((a, b), out) in a.iter().zip(b).zip(out.chunks_exact_mut(2)) {
            for lane in 0..LANES {
                let (a, b) = (a.0[lane], b.0[lane]);
                out[0].0[lane] = low(a) * low(b);
                out[1].0[lane] = (a >> 16) * (b >> 16);
            }
        }
    }

    fn gather(table: &[u32], row: &[u32; LANES], out: &mut [PerLane]) {
        let n = out.len();
        for (lane, &row) in row.iter().enumerate() {
            let row = &table[row as usize * n..][..n];
            out.iter_mut().zip(row).for_each(|(o, &t)| o.0[lane] = t);
        }
    }
}
