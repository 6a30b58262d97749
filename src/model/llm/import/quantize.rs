//! Turns doubles into the integers of the weight file.
//!
//! The standard library's logarithm, exponential, sine and cosine differ between machines in their last bits;
//! so they are computed here from sums and products, which IEEE fixes.

use super::super::weights::{EXPONENTS, MAX_MULTIPLIER, Scale, Shape};
use super::{Config, ROPE_FACTORS, Source};
use crate::error::{Error, Result};

/// Rounds rows to int8 so that the largest magnitude of each becomes 127; returns them, and for each row the
/// value of one unit.
///
/// # Errors
/// `Corrupt` for a weight that is not finite; `LimitExceeded` where memory is missing.
pub fn int8_rows(
    rows: usize,
    cols: usize,
    row: impl Fn(usize) -> Result<Vec<f64>>,
) -> Result<(Vec<i8>, Vec<f64>)> {
    let (mut weights, mut scales) = (Vec::new(), Vec::new());
    let no_memory = |_| Error::limit(format!("no memory for {rows} rows of {cols} weights"));
    weights.try_reserve_exact(rows * cols).map_err(no_memory)?;
    for r in 0..rows {
        let row = row(r)?;
        if !row.iter().all(|v| v.is_finite()) {
            return Err(Error::corrupt(format!("row {r} holds a weight that is no number")));
        }
        let most = row.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let factor = if most > 0.0 { 127.0 / most } else { 0.0 };
        weights.extend(row.iter().map(|v| (v * factor).round().clamp(-127.0, 127.0) as i8));
        scales.push(most / 127.0);
    }
    Ok((weights, scales))
}

/// The scale of rows whose values are to be multiplied by `scales` and `factor`, as precise as 24 bits allow.
///
/// # Errors
/// `Corrupt` where one is too large.
pub fn scale_of(scales: &[f64], factor: f64) -> Result<Scale> {
    let most = scales.iter().fold(0.0f64, |m, v| m.max(*v)) * factor;
    let fits = |e: &u8| (most * power_of_two(*e)).round() <= f64::from(MAX_MULTIPLIER);
    let exponent = EXPONENTS.rev().find(fits);
    let exponent =
        exponent.ok_or_else(|| Error::corrupt(format!("weights of up to {most} are too large")))?;
    let multiplier = |s: &f64| (s * factor * power_of_two(exponent)).round() as u32;
    Ok(Scale { exponent, multipliers: scales.iter().map(multiplier).collect() })
}

/// 2^e.
fn power_of_two(e: u8) -> f64 {
    (1u64 << e) as f64
}

/// The gains of a norm in Q20.
///
/// # Errors
/// `Corrupt` where one is too large.
pub fn gains(values: &[f64]) -> Result<Vec<i32>> {
    let gain = |v: &f64| {
        let scaled = (v * 1_048_576.0).round();
        let fits = scaled.abs() <= f64::from(i32::MAX);
        if fits { Ok(scaled as i32) } else { Err(Error::corrupt(format!("a norm's gain of {v}"))) }
    };
    values.iter().map(gain).collect()
}

/// The cosines and sines (Q14) of the rotary embedding, for all positions and pairs.
///
/// # Errors
/// `Corrupt` for parameters that are not positive.
pub fn rope_table(shape: &Shape, config: &Config, source: &Source<'_>) -> Result<Vec<[i16; 2]>> {
    let pairs = shape.head / 2;
    let factors = match source.layout.find(ROPE_FACTORS) {
        Some(_) => source.vector(ROPE_FACTORS, pairs)?,
        None => vec![1.0; pairs],
    };
    if !(config.rope_base >= 1.0 && config.rope_divisor > 0.0 && factors.iter().all(|f| *f > 0.0)) {
        return Err(Error::corrupt("parameters of rope that are not positive"));
    }
    let base = ln(config.rope_base);
    let frequency =
        |(i, f): (usize, &f64)| exp(-(2.0 * i as f64 / shape.head as f64) * base) / (f * config.rope_divisor);
    let frequencies: Vec<f64> = factors.iter().enumerate().map(frequency).collect();
    let mut table = Vec::new();
    for at in 0..shape.context {
        for frequency in &frequencies {
            let (cosine, sine) = circle(at as f64 * frequency);
            let q14 = |v: f64| (v * 16384.0).round().clamp(-16384.0, 16384.0) as i16;
            table.push([q14(cosine), q14(sine)]);
        }
    }
    Ok(table)
}

/// The natural logarithm of a number of at least 1.
fn ln(mut x: f64) -> f64 {
    let mut halvings = 0.0;
    while x > 1.5 {
        (x, halvings) = (x / 2.0, halvings + 1.0);
    }
    // 2·artanh((x - 1) / (x + 1)), the argument being at most 1/5.
    let t = (x - 1.0) / (x + 1.0);
    let (mut power, mut sum) = (t, 0.0);
    for k in 0..30 {
        sum += power / f64::from(2 * k + 1);
        power *= t * t;
    }
    2.0 * sum + halvings * std::f64::consts::LN_2
}

/// e^x for x of at most 0.
fn exp(mut x: f64) -> f64 {
    let mut squarings = 0;
    while x < -0.5 {
        (x, squarings) = (x / 2.0, squarings + 1);
    }
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 1..25 {
        sum += term;
        term *= x / f64::from(k);
    }
    (0..squarings).for_each(|_| sum *= sum);
    sum
}

/// The cosine and the sine of an angle.
fn circle(angle: f64) -> (f64, f64) {
    use std::f64::consts::TAU;
    let x = angle - (angle / TAU).round() * TAU;
    let (mut cosine, mut sine, mut term) = (0.0, 0.0, 1.0);
    // The terms x^k / k!, added to one and the other in turn.
    for k in 0..40 {
        let signed = if k % 4 < 2 { term } else { -term };
        if k % 2 == 0 {
            cosine += signed
        } else {
            sine += signed
        }
        term *= x / f64::from(k + 1);
    }
    (cosine, sine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_as_good_as_the_library_s() {
        for x in [1.0, 1.5, 2.0, 10000.0, 100000.0, 5e5] {
            assert!((ln(x) - f64::ln(x)).abs() < 1e-13, "{x}");
            assert!((exp(-x / 1e4) - f64::exp(-x / 1e4)).abs() < 1e-13, "{x}");
        }
        for angle in [0.0, 0.3, 1.0, 3.1, 6.0, 100.7, 8191.0, 16383.5] {
            let (c, s) = circle(angle);
            assert!((c - angle.cos()).abs() < 1e-10 && (s - angle.sin()).abs() < 1e-10, "{angle}");
        }
    }

    #[test]
    fn multipliers_use_their_bits() {
        let s = scale_of(&[0.5, 0.25, 0.0], 0.001).unwrap();
        assert_eq!(s.multipliers.len(), 3);
        assert!(s.multipliers[0] > MAX_MULTIPLIER / 2 && s.multipliers[2] == 0);
        assert!(scale_of(&[1e9], 1.0).is_err());
        let (weights, scales) =
            int8_rows(2, 3, |r| Ok(vec![[-2.54, 1.0, 0.0], [0.0; 3]][r].to_vec())).unwrap();
        assert_eq!((weights, scales[1]), (vec![-127, 50, 0, 0, 0, 0], 0.0));
        assert!(int8_rows(1, 1, |_| Ok(vec![f64::NAN])).is_err());
    }
}
