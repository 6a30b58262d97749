//! LEB128 integers: seven bits per byte, the least significant first; only the shortest form is valid.

/// Longest varint, in bytes.
pub const MAX_LEN: usize = 10;

/// Appends `value` in its shortest form.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cursor::{Cursor, Parse};

    #[test]
    fn round_trip_and_length() {
        for shift in 0..64 {
            for value in [(1u64 << shift) - 1, 1 << shift, (1 << shift) | 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put(&mut out, value);
                assert_eq!(out.len(), (64 - value.leading_zeros().min(63) as usize).div_ceil(7));
                assert_eq!(Cursor::new(&out).varint("v").unwrap(), value);
            }
        }
    }

    #[test]
    fn long_and_overflowing_forms_are_refused() {
        for bad in [
            &[0x80u8, 0][..],
            &[0xFF, 0x80, 0],
            &[0xFF; 11],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            assert!(matches!(Cursor::new(bad).varint("v"), Err(Parse::Bad(_))), "{bad:?}");
        }
    }
}
