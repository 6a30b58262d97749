//! Binary logarithms that are the same on every machine.

/// The binary logarithm of a positive, normal number, with an error of about 1e-13.
pub fn log2(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    // Between 1/√2 and √2 the series converges fast: ln m = 2·(t + t³/3 + t⁵/5 + …) with t = (m − 1)/(m + 1).
    let (mantissa, exponent) =
        if mantissa > 1.414 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) };
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = (0..10).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    exponent as f64 + 2.0 * std::f64::consts::LOG2_E * t * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_the_library() {
        for i in 1..2000 {
            let x = f64::from(i * i) / 977.0;
            assert!((log2(x) - x.log2()).abs() < 1e-12, "{x}");
        }
        for i in -30..30 {
            assert_eq!(log2(2f64.powi(i)), f64::from(i));
        }
    }
}
