//! The check values of gzip, zlib and PNG.

/// The CRC-32 of ISO 3309, as in gzip and PNG.
pub fn crc32(pieces: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in pieces.iter().copied().flatten() {
        crc = TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    !crc
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut k) = (i as u32, 0);
        while k < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            k += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The Adler-32 of RFC 1950.
pub fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // The sums of this many bytes cannot overflow.
    for piece in bytes.chunks(5552) {
        for &byte in piece {
            a += u32::from(byte);
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(adler32(&[255; 100_000]), adler_slowly(&[255; 100_000]));
    }

    fn adler_slowly(bytes: &[u8]) -> u32 {
        let step =
            |(a, b): (u64, u64), x: &u8| ((a + u64::from(*x)) % 65521, (b + a + u64::from(*x)) % 65521);
        let (a, b) = bytes.iter().fold((1, 0), step);
        (b << 16 | a) as u32
    }
}
