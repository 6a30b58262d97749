//! Differences of elements from those of a base or from earlier elements, and back.

use crate::codec::tensor::stored::{Operation, bits_of};

/// Replaces elements of 1, 2, 4 or 8 bytes, lowest byte first, by the numbers by which they differ from those
/// of `base`, highest byte first. Both slices have the same length. A difference d becomes 2d, or −2d − 1
/// where it is negative, so small differences have leading zeros.
pub fn subtract_base(element: usize, operation: Operation, base: &[u8], elements: &mut [u8]) {
    match element {
        1 => subtract8(operation, base, elements),
        2 => subtract16(operation, base, elements),
        4 => subtract32(operation, base, elements),
        _ => subtract64(operation, base, elements),
    }
}

/// Undoes [`subtract_base`].
pub fn add_base(element: usize, operation: Operation, base: &[u8], numbers: &mut [u8]) {
    match element {
        1 => add8(operation, base, numbers),
        2 => add16(operation, base, numbers),
        4 => add32(operation, base, numbers),
        _ => add64(operation, base, numbers),
    }
}

/// Replaces elements of 1, 2, 4 or 8 bytes, lowest byte first, by their differences from earlier elements,
/// for each of `distances` (in elements) one after the other. The first elements, which have none at that
/// distance before them, stay as they are. Differences become numbers as in [`subtract_base`].
pub fn subtract_earlier(element: usize, distances: &[usize], elements: &mut [u8]) {
    match element {
        1 => subtract_earlier8(distances, elements),
        2 => subtract_earlier16(distances, elements),
        4 => subtract_earlier32(distances, elements),
        _ => subtract_earlier64(distances, elements),
    }
}

/// Undoes [`subtract_earlier`].
pub fn add_earlier(element: usize, distances: &[usize], numbers: &mut [u8]) {
    match element {
        1 => add_earlier8(distances, numbers),
        2 => add_earlier16(distances, numbers),
        4 => add_earlier32(distances, numbers),
        _ => add_earlier64(distances, numbers),
    }
}

macro_rules! operations {
    ($subtract:ident, $add:ident, $subtract_earlier:ident, $add_earlier:ident, $type:ty, $signed:ty) => {
        fn $subtract(operation: Operation, base: &[u8], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for (e, b) in elements.iter_mut().zip(base.as_chunks().0) {
                let (a, b) = (<$type>::from_le_bytes(*e), <$type>::from_le_bytes(*b));
                let n = match operation {
                    Operation::Xor => a ^ b,
                    Operation::Difference => {
                        let d = a.wrapping_sub(b) as $signed;
                        (d << 1 ^ d >> (<$type>::BITS - 1)) as $type
                    }
                };
                *e = n.to_be_bytes();
            }
        }

        fn $subtract_earlier(distances: &[usize], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for &distance in distances {
                for i in (distance..elements.len()).rev() {
                    let (a, b) = (elements[i], elements[i - distance]);
                    let (a, b) = (<$type>::from_le_bytes(a), <$type>::from_le_bytes(b));
                    elements[i] = a.wrapping_sub(b).to_le_bytes();
                }
            }
            for e in elements {
                let d = <$signed>::from_le_bytes(*e);
                *e = (d << 1 ^ d >> (<$type>::BITS - 1)).to_be_bytes();
            }
        }

        fn $add_earlier(distances: &[usize], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for e in elements.iter_mut() {
                let n = <$type>::from_be_bytes(*e);
                *e = (n >> 1 ^ (n & 1).wrapping_neg()).to_le_bytes();
            }
            for &distance in distances {
                for i in distance..elements.len() {
                    let (d, b) = (elements[i], elements[i - distance]);
                    let (d, b) = (<$type>::from_le_bytes(d), <$type>::from_le_bytes(b));
                    elements[i] = b.wrapping_add(d).to_le_bytes();
                }
            }
        }

        fn $add(operation: Operation, base: &[u8], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for (e, b) in elements.iter_mut().zip(base.as_chunks().0) {
                let (n, b) = (<$type>::from_be_bytes(*e), <$type>::from_le_bytes(*b));
                let a = match operation {
                    Operation::Xor => n ^ b,
                    Operation::Difference => b.wrapping_add(n >> 1 ^ (n & 1).wrapping_neg()),
                };
                *e = a.to_le_bytes();
            }
        }
    };
}

operations!(subtract8, add8, subtract_earlier8, add_earlier8, u8, i8);
operations!(subtract16, add16, subtract_earlier16, add_earlier16, u16, i16);
operations!(subtract32, add32, subtract_earlier32, add_earlier32, u32, i32);
operations!(subtract64, add64, subtract_earlier64, add_earlier64, u64, i64);

/// Replaces each element of `size` bytes by its difference from the one before it; the first stays as it is.
pub fn subtract_previous(size: usize, elements: &mut [u8]) {
    let mut before = 0u64;
    for e in elements.chunks_exact_mut(size) {
        let value = bits_of(e);
        e.copy_from_slice(&value.wrapping_sub(before).to_le_bytes()[..size]);
        before = value;
    }
}

/// Undoes [`subtract_previous`].
pub fn add_previous(size: usize, elements: &mut [u8]) {
    let mut before = 0u64;
    for e in elements.chunks_exact_mut(size) {
        before = before.wrapping_add(bits_of(e));
        e.copy_from_slice(&before.to_le_bytes()[..size]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back() {
        let raw: Vec<u8> = (0..640u32).map(|i| ((i * i * 7) >> 3) as u8).collect();
        let base: Vec<u8> = (0..640u32).map(|i| ((i * 31) >> 2) as u8).collect();
        for element in [1, 2, 4, 8] {
            for operation in [Operation::Difference, Operation::Xor] {
                let mut out = raw.clone();
                subtract_base(element, operation, &base, &mut out);
                assert!(out != raw);
                add_base(element, operation, &base, &mut out);
                assert!(out == raw);
            }
            let mut out = raw.clone();
            subtract_previous(element, &mut out);
            assert!(out != raw);
            add_previous(element, &mut out);
            assert!(out == raw);
            for distances in [&[1][..], &[7], &[1, 1], &[1, 16], &[1000]] {
                let mut out = raw.clone();
                subtract_earlier(element, distances, &mut out);
                assert!(out != raw);
                add_earlier(element, distances, &mut out);
                assert!(out == raw);
            }
        }
        // Steps that grow by one, and what second differences leave of them.
        let mut out = [1, 2, 4, 7, 11];
        subtract_earlier(1, &[1, 1], &mut out);
        assert_eq!(out, [2, 0, 2, 2, 2]);
        // One more and one less than the base.
        let mut out = [6, 0, 4, 0];
        subtract_base(2, Operation::Difference, &[5, 0, 5, 0], &mut out);
        assert_eq!(out, [0, 2, 0, 1]);
    }
}
