//! Numbers of up to 320 bits, in which the windows of `coder::points` count their code points.

use std::cmp::Ordering;

const LIMBS: usize = 5;

/// A number below 2^320. Results of the operations below stay within 2^273.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wide([u64; LIMBS]);

impl Wide {
    pub const ZERO: Self = Self([0; LIMBS]);
    pub const ONE: Self = Self([1, 0, 0, 0, 0]);

    /// 2^`bits`, with `bits` at most 256.
    pub fn power(bits: u32) -> Self {
        let mut limbs = [0; LIMBS];
        limbs[bits as usize / 64] = 1 << (bits % 64);
        Self(limbs)
    }

    /// Whether the number is 0.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The number, where it fits.
    pub fn small(self) -> Option<u64> {
        (self.0[1..] == [0; LIMBS - 1]).then_some(self.0[0])
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        if let (Some(a), Some(b)) = (self.small(), other.small())
            && let Some(sum) = a.checked_add(b)
        {
            return Self([sum, 0, 0, 0, 0]);
        }
        let mut carry = false;
        Self(std::array::from_fn(|i| {
            let (sum, over) = self.0[i].overflowing_add(other.0[i]);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            carry = over | more;
            sum
        }))
    }

    /// The difference; `other` is at most this number.
    pub fn minus(self, other: Self) -> Self {
        debug_assert!(other <= self);
        if let (Some(a), Some(b)) = (self.small(), other.small()) {
            return Self([a.wrapping_sub(b), 0, 0, 0, 0]);
        }
        let mut borrow = false;
        Self(std::array::from_fn(|i| {
            let (rest, under) = self.0[i].overflowing_sub(other.0[i]);
            let (rest, more) = rest.overflowing_sub(u64::from(borrow));
            borrow = under | more;
            rest
        }))
    }

    /// `part` / 65536 of the number, rounded to the nearest, halves up; `part` is at most 65536.
    pub fn share(self, part: u32) -> Self {
        if let Some(n) = self.small().filter(|n| *n < 1 << 46) {
            return Self([(n * u64::from(part) + (1 << 15)) >> 16, 0, 0, 0, 0]);
        }
        let mut carry = 1u128 << 15;
        let product: [u64; LIMBS] = std::array::from_fn(|i| {
            carry += u128::from(self.0[i]) * u128::from(part);
            let limb = carry as u64;
            carry >>= 64;
            limb
        });
        let above = |i: usize| product.get(i + 1).copied().unwrap_or(carry as u64);
        Self(std::array::from_fn(|i| product[i] >> 16 | above(i) << 48))
    }

    /// The number `self`·2^`bits` + `digit`, with `bits` of 1..=32 and `digit` below 2^`bits`.
    pub fn append(self, digit: u32, bits: u32) -> Self {
        let below = |i: usize| if i == 0 { 0 } else { self.0[i - 1] >> (64 - bits) };
        let mut limbs: [u64; LIMBS] = std::array::from_fn(|i| self.0[i] << bits | below(i));
        limbs[0] |= u64::from(digit);
        Self(limbs)
    }

    /// The `bits` (1..=32) bits from bit `from` (below 256) on, counted from the lowest.
    pub fn digit(self, from: u32, bits: u32) -> u32 {
        let (limb, shift) = (from as usize / 64, from % 64);
        let pair = u128::from(self.0[limb]) | u128::from(self.0[limb + 1]) << 64;
        ((pair >> shift) as u64 & ((1 << bits) - 1)) as u32
    }
}

impl From<u64> for Wide {
    fn from(n: u64) -> Self {
        Self([n, 0, 0, 0, 0])
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number from 64-bit limbs, the lowest first.
    fn wide(limbs: [u64; 4]) -> Wide {
        Wide([limbs[0], limbs[1], limbs[2], limbs[3], 0])
    }

    #[test]
    fn like_128_bits() {
        let numbers = [
            0u128,
            1,
            2,
            255,
            1 << 45,
            1 << 46,
            (1 << 63) + 5,
            u128::from(u64::MAX),
            (1 << 80) + 77,
            1 << 100,
        ];
        let of = |n: u128| wide([n as u64, (n >> 64) as u64, 0, 0]);
        for a in numbers {
            for b in numbers {
                assert_eq!(of(a).plus(of(b)), of(a + b));
                assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
                if b <= a {
                    assert_eq!(of(a).minus(of(b)), of(a - b));
                }
            }
            for part in [0u32, 1, 2, 32767, 32768, 65535, 65536] {
                assert_eq!(of(a).share(part), of((a * u128::from(part) + (1 << 15)) >> 16), "{a} {part}");
            }
        }
    }

    #[test]
    fn carries_through_all_limbs() {
        let ones = wide([u64::MAX; 4]);
        assert_eq!(ones.plus(Wide::ONE), Wide::power(256));
        assert_eq!(Wide::power(256).minus(Wide::ONE), ones);
        assert_eq!(Wide::power(256).share(32768), Wide::power(255));
        assert_eq!(Wide::power(256).share(65536), Wide::power(256));
        assert_eq!(Wide::power(256).share(1), Wide::power(240));
    }

    #[test]
    fn digits_and_back() {
        for bits in [8, 12, 16] {
            let digits: Vec<u32> =
                (0..240 / bits).map(|i| (i * 0x9E37 + 0x1234) & ((1 << bits) - 1)).collect();
            let number = digits.iter().fold(Wide::ZERO, |n, &d| n.append(d, bits));
            let back: Vec<u32> = (0..240 / bits).rev().map(|i| number.digit(i * bits, bits)).collect();
            assert_eq!(back, digits);
        }
        assert_eq!(Wide::power(255).digit(248, 8), 128);
    }
}
