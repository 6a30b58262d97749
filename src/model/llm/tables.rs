//! The table of the sigmoid, computed from that of powers of two by integer arithmetic.

use crate::model::fixed::EXP2;
use std::sync::LazyLock;

/// Entries of [`sigmoid_table`].
const SIGMOID: usize = 1 << 16;

/// The sigmoid 1 / (1 + 2^-x) in Q20: entry i is for x = (i - 32768) / 2048. See `formats/llm.md`, "Tables".
pub fn sigmoid_table() -> &'static [i32] {
    static TABLE: LazyLock<Vec<i32>> = LazyLock::new(|| {
        let mut table = vec![0; SIGMOID];
        for i in 0..=32768u64 {
            // 2^-x in Q25 by linear interpolation between the entries of `exp2.bin`.
            let (whole, entry, part) = (i >> 11, (i >> 3 & 255) as usize, i & 7);
            let next = if entry == 255 { 1 << 21 } else { EXP2[entry + 1] as u64 };
            let power = (EXP2[entry] as u64 * (8 - part) + next * part) >> whole;
            let denominator = (1 << 25) + power;
            let value = ((1u64 << 45) + denominator / 2) / denominator;
            if i < 32768 {
                table[32768 + i as usize] = value as i32;
            }
            table[32768 - i as usize] = (1 << 20) - value as i32;
        }
        table[32768] = 1 << 19;
        table
    });
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_close_and_rises() {
        let table = sigmoid_table();
        for (i, &v) in table.iter().enumerate() {
            let exact = f64::from(1 << 20) / (1.0 + (-(i as f64 - 32768.0) / 2048.0).exp2());
            assert!((f64::from(v) - exact).abs() < 1.0, "{i}: {v} {exact}");
        }
        assert!(table.windows(2).all(|w| w[0] <= w[1]));
    }
}
