//! 8-bit floats of which two share a symbol.

use super::*;

/// Normal numbers as E4M3 (3 bits of mantissa) or E5M2 (2), by cutting off, with exponents around the middle.
fn small_floats(count: usize, mantissa: u32, rng: &mut Rng) -> Vec<u8> {
    let of_half = |v: f32| {
        let half = u32::from(half(v));
        let exponent = (half >> 10 & 31).saturating_sub(if mantissa == 3 { 8 } else { 0 });
        (half >> 15 << 7 | exponent << mantissa | (half & 1023) >> (10 - mantissa)) as u8
    };
    (0..count).map(|_| of_half(rng.normal() + 0.01)).collect()
}

fn transform(block: &EncodedBlock) -> stored::Transform {
    planes(block).fields[0].transform.clone()
}

#[test]
fn pairs_at_the_fast_level() {
    let mut rng = Rng(31);
    for (dtype, mantissa) in [(Dtype::F8E4m3, 3), (Dtype::F8E5m2, 2), (Dtype::F8E4m3fnuz, 3)] {
        for (rows, columns, tile) in [(500, 64, 0), (300, 33, 0), (500, 64, 1234), (2, 1, 0)] {
            let raw = small_floats(rows * columns, mantissa, &mut rng);
            let hint = Hint { dtype, row_bytes: columns as u64, form: None, tile };
            let [fast, slow] = [1, 2].map(|level| encode_block(&raw, hint, level).unwrap().unwrap());
            let is_long = rows > 2;
            assert_eq!(transform(&fast) == stored::Transform::Pairs, is_long, "{dtype} {columns}");
            assert!(transform(&slow) != stored::Transform::Pairs);
            assert!(!is_long || fast.cost() * 32 < slow.cost() * 33 + 32 * 256, "{dtype} {columns}");
            comes_back(&fast, &raw, &format!("{dtype} {columns} {tile}"));
            share(&raw, dtype, columns as u64);
            if is_long {
                flip_bits(&fast, &raw, &mut rng, 50);
            }
        }
    }
}

#[test]
fn pairs_only_where_they_suffice() {
    let mut rng = Rng(32);
    let hint = |dtype| Hint { dtype, row_bytes: 64, form: None, tile: 0 };
    let raw = small_floats(64 * 500, 3, &mut rng);
    let is_paired = |raw: &[u8], dtype| {
        transform(&encode_block(raw, hint(dtype), 1).unwrap().unwrap()) == stored::Transform::Pairs
    };
    assert!(is_paired(&raw, Dtype::F8E4m3));
    assert!(!is_paired(&raw, Dtype::I8));
    // An odd number of them, zeros, and few values.
    assert!(!is_paired(&raw[1..], Dtype::F8E4m3));
    let sparse: Vec<u8> = raw.iter().map(|b| if rng.next().is_multiple_of(4) { *b } else { 0 }).collect();
    assert!(!is_paired(&sparse, Dtype::F8E4m3));
    let few: Vec<u8> = raw.iter().map(|b| b & 0x80 | 0x39).collect();
    assert!(!is_paired(&few, Dtype::F8E4m3));
}
