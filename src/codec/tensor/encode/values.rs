//! The numeric values of the numbers for which symbols stand.

use crate::codec::tensor::kernel::NumberMap;
use crate::codec::tensor::stored::{FOLDED, FieldParams, Transform};
use crate::tensor::Dtype;
use crate::tensor::decimal::Decimal;

/// The standard deviation of values as they are stored.
pub const VALUE_UNIT: f64 = 4096.0;

/// The approximate numeric value for which each symbol of a field stands; 0 for whatever is not a finite
/// number. `None` where the values of the type are unknown.
pub fn symbol_values(field: &FieldParams, dtype: Dtype) -> Option<[f64; 256]> {
    let decimal =
        if let Transform::Decimal(digits) = field.transform { Some(Decimal::new(digits)) } else { None };
    let map = NumberMap::new(field, 0);
    let half = (1u64 << field.low_bits) >> 1;
    let mut values = [0.0; 256];
    for (symbol, value) in values.iter_mut().enumerate() {
        let top = match symbol as u64 {
            s if s < field.fold.into() => field.base.wrapping_add(FOLDED * s + FOLDED / 2),
            s => field.direct().wrapping_add(s),
        };
        // The middle of the numbers with this symbol.
        let bits = map.bits((top << field.low_bits).wrapping_add(half));
        let found = match (&decimal, &field.transform) {
            (Some(d), _) => {
                let (rank, sign) = (bits as u32 >> 1, bits as u32 & 1);
                let size = if rank < d.ranks() { f32::from_bits(d.number(rank)) } else { 0.0 };
                f64::from(if sign == 1 { -size } else { size })
            }
            (_, Transform::Palette(values)) => value_of(dtype, values.get(symbol).copied().unwrap_or(0))?,
            _ => value_of(dtype, bits)?,
        };
        *value = if found.is_finite() { found } else { 0.0 };
    }
    Some(values)
}

/// Scales values to a standard deviation of [`VALUE_UNIT`], where symbols occur as often as `counts` says,
/// and rounds them. `None` where all are zero.
pub fn scale_values(values: &[f64; 256], counts: &[u32; 256]) -> Option<Box<[i16; 256]>> {
    let (mut sum, mut n) = (0.0, 0.0);
    for (value, count) in values.iter().zip(counts) {
        sum += value * value * f64::from(*count);
        n += f64::from(*count);
    }
    let deviation = (sum / n).sqrt();
    if !deviation.is_normal() {
        return None;
    }
    let scaled = |v: f64| (v / deviation * VALUE_UNIT).round_ties_even().clamp(-32767.0, 32767.0) as i16;
    Some(Box::new(values.map(scaled)))
}

/// The value of an element with these bits; `None` for types whose values are unknown.
fn value_of(dtype: Dtype, bits: u64) -> Option<f64> {
    let (exponent_bits, mantissa_bits) = match dtype {
        Dtype::F16 => (5, 10),
        Dtype::Bf16 => (8, 7),
        Dtype::F32 | Dtype::C64 => return Some(f32::from_bits(bits as u32).into()),
        Dtype::F64 | Dtype::C128 => return Some(f64::from_bits(bits)),
        Dtype::F8E4m3 => (4, 3),
        Dtype::F8E5m2 => (5, 2),
        Dtype::I8 => return Some((bits as i8).into()),
        Dtype::U8 => return Some((bits as u8).into()),
        _ => return None,
    };
    let exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let implied = if exponent > 0 { 1 << mantissa_bits } else { 0 };
    let power = exponent.max(1) as i32 - ((1 << (exponent_bits - 1)) - 1) - mantissa_bits;
    // All of these powers are normal numbers.
    let size = (implied + mantissa) as f64 * f64::from_bits(((1023 + power) as u64) << 52);
    Some(if bits >> (exponent_bits + mantissa_bits) & 1 == 1 { -size } else { size })
}
