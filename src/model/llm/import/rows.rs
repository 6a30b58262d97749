//! Reads the elements of tensors as doubles. All products and sums are exact or rounded once.

use super::newer;
use crate::error::{Error, Result};
use crate::tensor::Dtype;
use crate::tensor::ggml::{Block, NibbleOrder, k4_scales};

/// Reads a row of `len` elements.
///
/// # Errors
/// `NewerVersion` for types that are not listed in `formats/llm.md`; `Corrupt` for a length that does not
/// fit.
pub fn row(dtype: Dtype, bytes: &[u8], len: usize) -> Result<Vec<f64>> {
    let out: Vec<f64> = match dtype {
        Dtype::F32 => chunks::<4>(bytes).map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F16 => chunks::<2>(bytes).map(|b| half(u16::from_le_bytes(*b))).collect(),
        Dtype::Bf16 => chunks::<2>(bytes)
            .map(|b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)))
            .collect(),
        Dtype::Ggml(block) => blocks(block, bytes)?,
        other => return Err(newer(format!("weights of type {other}"))),
    };
    if out.len() != len {
        return Err(Error::corrupt(format!("a row of {} elements, {len} expected", out.len())));
    }
    Ok(out)
}

/// The bytes in pieces of N.
fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = &[u8; N]> {
    bytes.as_chunks::<N>().0.iter()
}

/// The value of an IEEE half-precision number.
fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction / 16_777_216.0,
        31 => return f64::NAN,
        e => (1024.0 + fraction) * f64::from(1u32 << e) / 33_554_432.0,
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// The elements of quantised blocks.
fn blocks(kind: Block, bytes: &[u8]) -> Result<Vec<f64>> {
    let mut out = Vec::new();
    for block in bytes.chunks_exact(kind.bytes()) {
        let field = |name: &str| kind.field(name).map_or(&[][..], |f| &block[f.offset..f.offset + f.bytes]);
        let number = |name: &str| half(field(name).first_chunk().map_or(0, |b| u16::from_le_bytes(*b)));
        let (d, quants) = (number("d"), field("qs"));
        match kind.name() {
            "Q8_0" => out.extend(quants.iter().map(|&q| d * f64::from(q as i8))),
            "Q4_0" => out.extend(nibbles(kind, quants).iter().map(|&q| d * (f64::from(q) - 8.0))),
            "Q4_1" => {
                let m = number("m");
                out.extend(nibbles(kind, quants).iter().map(|&q| d * f64::from(q) + m));
            }
            "Q4_K" => {
                let packed = field("scales").first_chunk().copied().unwrap_or_default();
                let (scales, mins) = k4_scales(&packed);
                let m = number("dmin");
                for (run, quants) in nibbles(kind, quants).chunks(32).enumerate() {
                    let (d, m) = (d * f64::from(scales[run]), m * f64::from(mins[run]));
                    out.extend(quants.iter().map(|&q| d * f64::from(q) - m));
                }
            }
            "Q6_K" => {
                let (high, scales) = (field("qh"), field("scales"));
                for (i, &low) in nibbles(kind, field("ql")).iter().enumerate() {
                    let q = low | (high[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) << 4;
                    out.push(d * f64::from(scales[i / 16] as i8) * (f64::from(q) - 32.0));
                }
            }
            other => return Err(newer(format!("weights of type {other}"))),
        }
    }
    Ok(out)
}

/// The four-bit quants of a block in the order of its elements.
fn nibbles(kind: Block, bytes: &[u8]) -> Vec<u8> {
    let run = match kind.nibble_order() {
        Some(NibbleOrder::Halves16) => 16,
        Some(NibbleOrder::Runs32) => 32,
        _ => 64,
    };
    bytes.chunks(run).flat_map(|c| c.iter().map(|b| b & 15).chain(c.iter().map(|b| b >> 4))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_all_kinds() {
        let cases = [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0, 0.0),
            (0x3555, 0.333251953125),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7C00).is_nan());
    }

    #[test]
    fn small_blocks() {
        let mut q4 = vec![0x00, 0x38];
        q4.extend((0..16).map(|i| i | (15 - i) << 4));
        let id = |i| Dtype::Ggml(Block::from_id(i).unwrap());
        let found = row(id(2), &q4, 32).unwrap();
        assert_eq!((found[0], found[15], found[16], found[31]), (-4.0, 3.5, 3.5, -4.0));
        q4.splice(2..2, [0x00, 0x3C]);
        let found = row(id(3), &q4, 32).unwrap();
        assert_eq!((found[0], found[15], found[16]), (1.0, 8.5, 8.5));
        assert!(row(id(8), &[0; 34], 31).is_err());
        assert_eq!(row(id(10), &[0; 84], 256).unwrap_err().kind(), crate::ErrorKind::NewerVersion);
    }
}
