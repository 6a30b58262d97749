//! Single-precision numbers that are the rounding of a decimal with a few significant digits.
//!
//! A number with d digits is m·10^(D − 20 − (d − 1)) with 10^(d−1) ≤ m < 10^d and 0 ≤ D < 40, rounded to the
//! nearest single-precision number, ties to even. Its *rank* is D·9·10^(d−1) + m − 10^(d−1), so a larger
//! number has a larger rank.

/// The number of decades of magnitude, the first of which starts at 10^−20.
const DECADES: u32 = 40;
/// The largest number of significant digits.
pub const MAX_DIGITS: u32 = 7;

/// Converts between ranks and single-precision numbers, for one number of significant digits d.
pub struct Decimal {
    /// 10^(d − 1), the least m.
    least: u32,
    decades: Vec<Decade>,
}

/// One decade: the numbers m·10^`power`, where 10^(d−1) ≤ m < 10^d.
struct Decade {
    /// `factor`·2^`exponent` approximates 10^`power`: `factor` has 64 significant bits and is less than one
    /// too small.
    factor: u64,
    exponent: i32,
    /// 10^|power|, exactly.
    ten: u128,
    power: i32,
    /// The bits of the smallest number of the decade.
    first: u32,
}

impl Decimal {
    /// Builds the tables for `digits` significant digits, which are clamped to 1..=[`MAX_DIGITS`].
    pub fn new(digits: u32) -> Self {
        let least = 10u32.pow(digits.clamp(1, MAX_DIGITS) - 1);
        let decades = (0..DECADES).map(|d| Decade::new(d as i32 - 19 - digits as i32, least)).collect();
        Self { least, decades }
    }

    /// The number of ranks. Twice this fits 32 bits, so a rank and a sign fit a u32.
    pub fn ranks(&self) -> u32 {
        9 * self.least * DECADES
    }

    /// The bits of the single-precision number with this rank, which must be below [`Self::ranks`].
    pub fn number(&self, rank: u32) -> u32 {
        let (decade, m) = (rank / (9 * self.least), rank % (9 * self.least) + self.least);
        self.decades[decade as usize].number(m)
    }

    /// The rank of the positive single-precision number with these bits; `None` where no decimal of d digits
    /// rounds to it.
    pub fn rank(&self, bits: u32) -> Option<u32> {
        let decade = self.decades.partition_point(|d| d.first <= bits).checked_sub(1)?;
        let d = &self.decades[decade];
        let m = Some(d.digits(bits)).filter(|m| *m <= 10 * self.least)?;
        // m may have been rounded up to 10^d, the smallest number of the next decade: its rank is the next
        // one, too.
        let rank = decade as u32 * 9 * self.least + m.checked_sub(self.least)?;
        (rank < self.ranks() && self.number(rank) == bits).then_some(rank)
    }
}

impl Decade {
    fn new(power: i32, least: u32) -> Self {
        let ten = 10u128.pow(power.unsigned_abs());
        let (factor, exponent) = if power >= 0 {
            let zeros = ten.leading_zeros() as i32;
            (((ten << zeros) >> 64) as u64, 64 - zeros)
        } else {
            // 2^127 / ten has at least 40 bits; dividing the remainder gives the others.
            let whole = (1u128 << 127) / ten;
            let rest = (1u128 << 127) % ten;
            let more = whole.leading_zeros().min(ten.leading_zeros());
            let fine = (whole << more) + (rest << more) / ten;
            let zeros = fine.leading_zeros() as i32;
            (((fine << zeros) >> 64) as u64, 64 - zeros - 127 - more as i32)
        };
        let mut decade = Self { factor, exponent, ten, power, first: 0 };
        decade.first = decade.number(least);
        decade
    }

    /// The bits of the single-precision number nearest to m·10^power, ties to even.
    ///
    /// One multiplication by the approximate power gives the result unless its error could change the
    /// rounding; [`Self::exact`] decides those cases.
    fn number(&self, m: u32) -> u32 {
        let product = u128::from(m) * u128::from(self.factor);
        // The true product is at least this one, and less than `m` larger.
        let zeros = product.leading_zeros();
        let shift = 128 - zeros - 25;
        let (top, below) = (product >> shift, product & ((1 << shift) - 1));
        let near = below + u128::from(m) >= 1 << shift || below == 0;
        if near {
            return self.exact(m);
        }
        // 25 exact bits and something non-zero below them: no tie, so the last bit alone decides the
        // rounding.
        round(top as u32, true, shift as i32 + self.exponent)
    }

    /// [`Self::number`] without approximation, by 128-bit multiplication or division.
    fn exact(&self, m: u32) -> u32 {
        if self.power >= 0 {
            let value = u128::from(m) * self.ten;
            let shift = (128 - value.leading_zeros() as i32 - 25).max(0);
            let (top, rest) = (value >> shift, value & ((1 << shift) - 1));
            let up = 25 - (128 - top.leading_zeros() as i32);
            return round((top << up) as u32, rest != 0, shift - up);
        }
        let value = u128::from(m) << 100;
        let (quotient, rest) = (value / self.ten, value % self.ten);
        let shift = 128 - quotient.leading_zeros() - 25;
        let (top, below) = (quotient >> shift, quotient & ((1 << shift) - 1));
        round(top as u32, below != 0 || rest != 0, shift as i32 - 100)
    }

    /// The m for which m·10^power is nearest to the number with these bits. It is a candidate that the caller
    /// must check.
    fn digits(&self, bits: u32) -> u32 {
        let (exponent, mantissa) = ((bits >> 23) as i32 - 150, u128::from(bits & 0x7F_FFFF | 0x80_0000));
        // mantissa·2^exponent / 10^power, rounded to the nearest.
        let shifted = |v: u128| if exponent >= 0 { v << exponent.min(90) } else { v };
        let (mut over, mut under) =
            (shifted(mantissa), if exponent < 0 { 1u128 << (-exponent).min(100) } else { 1 });
        if self.power >= 0 {
            under = under.saturating_mul(self.ten);
        } else {
            over = over.saturating_mul(self.ten);
        }
        ((over + under / 2) / under).min(u128::from(u32::MAX)) as u32
    }
}

/// The bits of the normal single-precision number nearest to `top`·2^`exponent`, ties to even. `top` has
/// exactly 25 bits; `more` says that the true value is a little larger, by less than one unit of `top`.
fn round(top: u32, more: bool, exponent: i32) -> u32 {
    let (mut mantissa, half) = (top >> 1, top & 1 == 1);
    if half && (more || mantissa & 1 == 1) {
        mantissa += 1;
    }
    // The mantissa keeps its leading bit, which adds 1 to the exponent, as does a carry out of the rounding.
    (((exponent + 1 + 149) as u32) << 23) + mantissa
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rank: u32, digits: u32) -> u32 {
        let least = 10u32.pow(digits - 1);
        let (d, m) = (rank / (9 * least), rank % (9 * least) + least);
        let text = format!("{m}e{}", d as i32 - 19 - digits as i32);
        text.parse::<f32>().unwrap().to_bits()
    }

    #[test]
    fn numbers_are_those_that_a_parser_reads() {
        for digits in 1..=MAX_DIGITS {
            let decimal = Decimal::new(digits);
            let step = (decimal.ranks() / 40_000).max(1);
            for rank in (0..decimal.ranks()).step_by(step as usize | 1) {
                assert_eq!(decimal.number(rank), written(rank, digits), "{digits} {rank}");
                let back = decimal.rank(written(rank, digits));
                // Two numbers of seven digits may be one in single precision.
                assert!(back == Some(rank) || digits == 7, "{digits} {rank}");
                assert_eq!(back.map(|r| decimal.number(r)), Some(decimal.number(rank)), "{digits} {rank}");
            }
        }
    }

    #[test]
    fn short_cuts_equal_the_long_division() {
        for digits in [5, 7] {
            let decimal = Decimal::new(digits);
            for d in &decimal.decades {
                for m in (decimal.least..10 * decimal.least).step_by(997) {
                    assert_eq!(d.number(m), d.exact(m), "{} {m}", d.power);
                }
            }
        }
    }

    #[test]
    fn others_have_no_rank() {
        let decimal = Decimal::new(5);
        for bits in [0, 1, 0x0080_0000, 0x3F80_0001, 0x3EAA_AAAB, f32::MAX.to_bits(), f32::INFINITY.to_bits()]
        {
            assert_eq!(decimal.rank(bits), None, "{bits:#x}");
        }
        assert_eq!(decimal.rank(1f32.to_bits()), Some(20 * 90_000));
    }
}
