//! The tables of `formats/tables/`, the only numbers of the coding path that no arithmetic produces, and the
//! functions that read them.

const SQUASH_BYTES: &[u8; 2 * 8192] = include_bytes!("../../../formats/tables/squash.bin");
const EXP2_BYTES: &[u8; 4 * 256] = include_bytes!("../../../formats/tables/exp2.bin");

/// The probability 1 / (1 + 2^-x) in Q16, for log-odds x from -4096 to 4095 in Q8 octaves (units of 1/256 of
/// a factor of two). Entries have 32 bits for vector look-ups.
pub static SQUASH: [i32; 8192] = squash_table();
/// Powers of two: entry i is 2^(22 - i/256).
pub static EXP2: [i32; 256] = exp2_table();
/// The fraction of the binary logarithm in Q8, by the 8 bits after a number's leading one.
pub static LOG2: &[u8; 256] = include_bytes!("../../../formats/tables/log2.bin");

const fn squash_table() -> [i32; 8192] {
    let mut table = [0; 8192];
    let mut i = 0;
    while i < table.len() {
        table[i] = u16::from_le_bytes([SQUASH_BYTES[2 * i], SQUASH_BYTES[2 * i + 1]]) as i32;
        i += 1;
    }
    table
}

const fn exp2_table() -> [i32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < table.len() {
        let b = [EXP2_BYTES[4 * i], EXP2_BYTES[4 * i + 1], EXP2_BYTES[4 * i + 2], EXP2_BYTES[4 * i + 3]];
        table[i] = i32::from_le_bytes(b);
        i += 1;
    }
    table
}

/// The probability in Q16 (1..=65535) of log-odds in Q8 octaves. Log-odds beyond the table are clamped to its
/// ends.
#[inline(always)]
pub fn squash(log_odds: i32) -> i32 {
    SQUASH[(log_odds.clamp(-4096, 4095) + 4096) as usize]
}

/// The binary logarithm in Q8 of a number in 1..=65535.
#[inline(always)]
fn lg(p: u32) -> i32 {
    let exponent = p.ilog2();
    let fraction = (p << (16 - exponent)) >> 8 & 255;
    (exponent << 8) as i32 + i32::from(LOG2[fraction as usize])
}

/// The log-odds in Q8 octaves of a probability in Q16, 1..=65535.
#[inline(always)]
pub fn stretch(p: i32) -> i32 {
    lg(p as u32) - lg((65536 - p) as u32)
}

/// The probability of a 1 in Q16, 1..=65535, where a 0 has weight `zero` and a 1 has weight `one`. Both must
/// be below 2^31, and not both 0.
#[inline]
pub fn probability_of_one(zero: u32, one: u32) -> i32 {
    // Both are scaled to 16 bits, so that the shifted dividend fits into 32 bits.
    let total = zero + one;
    let excess = (32 - total.leading_zeros()).saturating_sub(16);
    (((one >> excess) << 16) / (total >> excess)).clamp(1, 65535) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_agree_with_their_formulas() {
        for (i, &p) in SQUASH.iter().enumerate() {
            let exact = 65536.0 / (1.0 + (-(i as f64 - 4096.0) / 256.0).exp2());
            assert_eq!(f64::from(p), exact.round().clamp(1.0, 65535.0), "squash {i}");
        }
        for (i, &w) in EXP2.iter().enumerate() {
            assert_eq!(f64::from(w), (22.0 - i as f64 / 256.0).exp2().round(), "exp2 {i}");
        }
        for (i, &f) in LOG2.iter().enumerate() {
            let exact = 256.0 * (1.0 + (i as f64 + 0.5) / 256.0).log2();
            assert_eq!(f64::from(f), exact.round().min(255.0), "log2 {i}");
        }
    }

    #[test]
    fn stretch_inverts_squash() {
        for p in 1..=65535 {
            let exact = 256.0 * (f64::from(p) / f64::from(65536 - p)).log2();
            assert!(
                (f64::from(stretch(p)) - exact).abs() <= 256.0 / f64::from(p.min(65536 - p)) + 3.0,
                "{p}"
            );
        }
    }
}
