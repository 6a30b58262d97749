//! Binary logarithms in integers, by which encoders compare costs: the same on every machine.

/// The binary logarithm of `v` (not 0) in units of 2^−`fraction`, rounded down; `fraction` is at most 16. The
/// result may be one unit too small.
pub const fn log2(v: u32, fraction: u32) -> u32 {
    debug_assert!(v > 0 && fraction <= 16);
    // Each squaring of the mantissa gives one bit of the logarithm.
    let e = 31 - v.leading_zeros();
    let (mut m, mut log) = (((v as u64) << 31) >> e, e);
    let mut bit = 0;
    while bit < fraction {
        m = (m * m) >> 31;
        log <<= 1;
        if m >= 1 << 32 {
            m >>= 1;
            log |= 1;
        }
        bit += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::log2;

    #[test]
    fn like_the_library() {
        for v in (1..100_000).chain([u32::MAX - 1, u32::MAX]) {
            let exact = f64::from(v).log2();
            for fraction in [0, 8, 16] {
                let off = exact - f64::from(log2(v, fraction)) / f64::from(1u32 << fraction);
                assert!((0.0..2.0 / f64::from(1u32 << fraction)).contains(&off), "{v} {fraction} {off}");
            }
        }
    }
}
