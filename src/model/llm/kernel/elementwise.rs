//! The parts of the step between the products, one column at a time. They are written once and compiled for
//! each kernel; the compiler vectorises them. Quantities and number formats ("Qn") have the names of
//! `formats/llm.md`.

use crate::kernel::{Kernel, dispatch};
use crate::model::fixed::EXP2;

/// The largest magnitude of the results of norms, attention and the feed-forward part before they are
/// narrowed.
const WIDE: i64 = 1 << 30;
/// The largest magnitude of the residual stream, Q12.
pub const RESIDUAL: i32 = 1 << 27;

/// Declares functions whose body is compiled for each kernel, and which take the kernel as their first
/// argument.
macro_rules! kernels {
    ($($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        mod plain {
            use super::*;
            $(#[inline(always)]
            pub fn $name($($arg: $type),*) $(-> $ret)? $body)*
        }
        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::*;
            $(#[target_feature(enable = "avx2")]
            pub fn $name($($arg: $type),*) $(-> $ret)? { plain::$name($($arg),*) })*
        }
        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::*;
            $(#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            pub fn $name($($arg: $type),*) $(-> $ret)? { plain::$name($($arg),*) })*
        }
        $($(#[$doc])*
        pub fn $name(kernel: Kernel, $($arg: $type),*) $(-> $ret)? {
            dispatch!(
                kernel,
                scalar: plain::$name($($arg),*),
                avx2: avx2::$name($($arg),*),
                avx512: avx512::$name($($arg),*),
            )
        })*
    };
}

/// The number of bits of a number, without leading zeros.
#[inline(always)]
fn bit_length(v: u64) -> u32 {
    64 - v.leading_zeros()
}

/// Half of 2^shift, for rounding.
#[inline(always)]
fn half(shift: u32) -> i64 {
    (1i64 << shift) >> 1
}

/// The largest magnitude in `values`.
#[inline(always)]
fn largest(values: &[i32]) -> u32 {
    values.iter().fold(0, |m, v| m.max(v.unsigned_abs()))
}

kernels! {
    /// Turns the sums of a product into its results in place: multiplied by the row's multiplier, divided by
    /// 2^shift, and clamped to 32 bits.
    pub fn rescale(sums: &mut [i32], multipliers: &[u32], shift: u32) {
        let round = half(shift);
        for (sum, &m) in sums.iter_mut().zip(multipliers) {
            let value = (i64::from(*sum) * i64::from(m as i32) + round) >> shift;
            *sum = value.clamp(-i64::from(i32::MAX), i32::MAX.into()) as i32;
        }
    }

    /// Adds a product to the residual stream.
    pub fn add(x: &mut [i32], product: &[i32]) {
        for (x, &p) in x.iter_mut().zip(product) {
            *x = x.saturating_add(p).clamp(-RESIDUAL, RESIDUAL);
        }
    }

    /// The norm of a column (Q12) times gains (Q20), in Q16.
    pub fn norm(x: &[i32], gains: &[i32], epsilon: u32, out: &mut [i32]) {
        let sum: u64 = x.iter().map(|&v| (i64::from(v) * i64::from(v)) as u64 >> 4).sum();
        let width = x.len() as u64;
        let mean = ((sum / width) << 12) + ((sum % width) << 12) / width + u64::from(epsilon);
        let root = mean.isqrt().max(1);
        let length = bit_length(root);
        let t = ((1u64 << (length + 29)) / root) as i64;
        let shift = length + 9;
        let round = half(shift);
        for ((out, &x), &g) in out.iter_mut().zip(x).zip(gains) {
            let y = (i64::from(x) * t + round) >> shift;
            *out = ((y * i64::from(g) + (1 << 19)) >> 20).clamp(-WIDE, WIDE) as i32;
        }
    }

    /// Narrows a column to `bits` bits and a sign; returns the number of bits by which it was shifted.
    pub fn narrow(values: &[i32], bits: u32, out: &mut [i16]) -> u32 {
        let shift = bit_length(largest(values).into()).saturating_sub(bits);
        let (round, most) = (half(shift), (1i64 << bits) - 1);
        for (out, &v) in out.iter_mut().zip(values) {
            *out = ((i64::from(v) + round) >> shift).clamp(-most, most) as i16;
        }
        shift
    }

    /// Rotates the pairs of a head by the angles of a position (rotary embedding), then clamps the results to
    /// `limit`.
    pub fn rotate(head: &mut [i32], angles: &[[i16; 2]], limit: i32) {
        for (pair, angle) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
            let (a, b) = (i64::from(pair[0]), i64::from(pair[1]));
            let (c, s) = (i64::from(angle[0]), i64::from(angle[1]));
            let limit = i64::from(limit);
            pair[0] = ((a * c - b * s + (1 << 13)) >> 14).clamp(-limit, limit) as i32;
            pair[1] = ((a * s + b * c + (1 << 13)) >> 14).clamp(-limit, limit) as i32;
        }
    }

    /// Narrows a key or value to int8; returns its largest magnitude, for which 127 stands.
    pub fn narrow_cached(values: &[i32], out: &mut [i8]) -> i32 {
        let most = largest(values);
        let t = ((127u64 << 24) / u64::from(most.max(1))) as i64;
        for (out, &v) in out.iter_mut().zip(values) {
            *out = ((i64::from(v) * t + (1 << 23)) >> 24) as i8;
        }
        most as i32
    }

    /// Turns the products of a query with keys into attention logits (Q8 octaves) in place; returns the
    /// largest of them.
    pub fn scores(sums: &mut [i32], scales: &[i32], shift: u32) -> i32 {
        let (round, mut most) = (half(shift), i32::MIN);
        for (sum, &scale) in sums.iter_mut().zip(scales) {
            *sum = ((i64::from(*sum) * i64::from(scale) + round) >> shift) as i32;
            most = most.max(*sum);
        }
        most
    }

    /// Turns logits (Q8 octaves), the largest of which is `most`, into powers of two (Q22) in place; returns
    /// their sum.
    pub fn powers(values: &mut [i32], most: i32) -> u64 {
        let mut total = 0;
        for v in values.iter_mut() {
            let below = (most.wrapping_sub(*v) as u32).min(8191);
            let power = EXP2[(below & 255) as usize] >> (below >> 8);
            *v = power;
            total += u64::from(power as u32);
        }
        total
    }

    /// The weights of values: powers times the values' scales, narrowed to 15 bits each and 24 bits in total;
    /// returns the number of bits by which they were shifted.
    pub fn value_weights(powers: &[i32], scales: &[i32], out: &mut [i16]) -> u32 {
        let weight = |(&p, &s): (&i32, &i32)| u64::from(p as u32) * u64::from(s as u32);
        let (mut most, mut total) = (0u64, 0u64);
        for w in powers.iter().zip(scales).map(weight) {
            most = most.max(w);
            total += w;
        }
        let shift = bit_length(most).saturating_sub(15).max(bit_length(total).saturating_sub(24));
        let round = half(shift) as u64;
        for (out, pair) in out.iter_mut().zip(powers.iter().zip(scales)) {
            *out = ((weight(pair) + round) >> shift).min(32767) as i16;
        }
        shift
    }

    /// Divides sums over weighted values by the sum of the powers, in Q12.
    pub fn divide(sums: &[i32], total: u64, weights_shift: u32, out: &mut [i32]) {
        let divisor = 127 * total;
        let length = bit_length(divisor);
        let t = ((1u64 << (length + 20)) / divisor) as i64;
        let shift = length + 20 - weights_shift;
        let round = half(shift);
        for (out, &sum) in out.iter_mut().zip(sums) {
            *out = ((i64::from(sum) * t + round) >> shift).clamp(-WIDE, WIDE) as i32;
        }
    }

    /// Makes features of the head's input (`hidden` times 2^shift, Q16): the distances from its running mean
    /// in units of its spread, Q8. Mean and spread then move by 2^-rate of their distance.
    pub fn features(
        hidden: &[i16],
        shift: u32,
        rate: u32,
        limit: i64,
        averages: &mut [[i32; 2]],
        out: &mut [i16],
    ) {
        let round = half(rate);
        for ((out, &h), [mean, spread]) in out.iter_mut().zip(hidden).zip(averages) {
            let t = (i64::from(h) << shift) - i64::from(*mean);
            let unit = i64::from((1u32 << 31) / (*spread).max(1) as u32);
            *out = ((t * unit + (1 << 22)) >> 23).clamp(-limit, limit) as i16;
            *mean += ((t + round) >> rate) as i32;
            let moved = i64::from(*spread) + ((t.abs() - i64::from(*spread) + round) >> rate);
            *spread = moved.min(i32::MAX.into()) as i32;
        }
    }

    /// The sum of the products of a learned row with features. Their number is a multiple of 32.
    pub fn dot(row: &[i16], features: &[i16]) -> i64 {
        let groups = row.as_chunks::<32>().0.iter().zip(features.as_chunks::<32>().0);
        groups.map(|(a, b)| {
            // At most 32 times 2^15 times 2^10.
            let sum: i32 = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            i64::from(sum)
        }).sum()
    }

    /// Moves a learned row by the features times `step` / 2^14.
    pub fn learn_row(row: &mut [i16], features: &[i16], step: i32) {
        for (r, &f) in row.iter_mut().zip(features) {
            let moved = i32::from(*r) + ((step * i32::from(f) + (1 << 13)) >> 14);
            *r = moved.clamp(-32767, 32767) as i16;
        }
    }

    /// The gated product of the feed-forward part (SwiGLU), in Q14, from gate and input in Q12.
    pub fn gate(gate: &[i32], up: &[i32], sigmoid: &[i32], out: &mut [i32]) {
        let sigmoid: &[i32; 1 << 16] = sigmoid.try_into().expect("the table has this length");
        for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            let s = sigmoid[((g >> 1).clamp(-32768, 32767) + 32768) as usize];
            let t = (i64::from(g) * i64::from(s) + (1 << 19)) >> 20;
            *out = ((t * i64::from(u) + (1 << 9)) >> 10).clamp(-WIDE, WIDE) as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_stay_in_range() {
        for kernel in Kernel::supported() {
            for x in [[0; 6], [RESIDUAL; 6], [1, -1, 0, 0, 0, 0], [-RESIDUAL, 0, 0, 0, 0, 7]] {
                let mut out = [0; 6];
                norm(kernel, &x, &[i32::MAX; 6], 0, &mut out);
                let mut narrow16 = [0; 6];
                let shift = narrow(kernel, &out, 8, &mut narrow16);
                assert!(shift <= 23 && narrow16.iter().all(|v| v.abs() <= 255));
                let mut bytes = [0; 6];
                let most = narrow_cached(kernel, &x, &mut bytes);
                assert_eq!(most as u32, largest(&x));
                assert!(most == 0 || bytes.iter().any(|b| b.abs() >= 119));
            }
            let mut sums = [i32::MAX, i32::MIN + 1, 0];
            rescale(kernel, &mut sums, &[(1 << 24) - 1; 3], 8);
            assert_eq!(sums, [i32::MAX, -i32::MAX, 0]);
            let mut values = [5, i32::MIN + 1, i32::MAX];
            assert_eq!(powers(kernel, &mut values, i32::MAX), 1 << 22);
        }
    }
}
