//! Reads headers of PNM pictures: binary grey (P5) and colour (P6) with one byte per sample.

/// Longest header that is read, in bytes, comments included.
const MAX_HEADER: usize = 4 << 10;
/// The largest number of pixels along a side.
const MAX_SIDE: u64 = 1 << 30;

/// The contents of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Length of the header in bytes.
    pub start: usize,
    /// Pixels in a row.
    pub width: u64,
    /// Number of rows.
    pub height: u64,
    /// Channels of a pixel, 1 or 3.
    pub channels: u8,
}

/// Reads the header at the start of a file; `None` for anything else, including samples of two bytes and a
/// header that is cut off.
pub fn picture(head: &[u8]) -> Option<Picture> {
    let channels = match head.get(..2)? {
        b"P5" => 1,
        b"P6" => 3,
        _ => return None,
    };
    let mut at = 2;
    let (width, height) = (number(head, &mut at, MAX_SIDE)?, number(head, &mut at, MAX_SIDE)?);
    number(head, &mut at, 255)?;
    // Exactly one byte of white space; the pixels start after it, even if the first of them looks like white
    // space too.
    head.get(at).filter(|b| is_space(**b))?;
    Some(Picture { start: at + 1, width, height, channels })
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads a number of 1..=`most`, skipping white space and comments before it.
fn number(head: &[u8], at: &mut usize, most: u64) -> Option<u64> {
    let begin = *at;
    loop {
        match *head.get(*at).filter(|_| *at < MAX_HEADER)? {
            b'#' => *at += head[*at..].iter().position(|b| matches!(b, b'\n' | b'\r'))?,
            byte if is_space(byte) => *at += 1,
            byte if byte.is_ascii_digit() && *at > begin => break,
            _ => return None,
        }
    }
    let mut value = 0;
    while let Some(digit) = head.get(*at).filter(|b| b.is_ascii_digit()) {
        value = 10 * value + u64::from(digit - b'0');
        if value > most {
            return None;
        }
        *at += 1;
    }
    // A number that ends where the bytes at hand end might go on after them.
    (value > 0 && *at < head.len()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let found = |start, width, height, channels| Some(Picture { start, width, height, channels });
        assert_eq!(picture(b"P5 3 2 255\n......"), found(11, 3, 2, 1));
        assert_eq!(picture(b"P6\n3\n2\n1 ......"), found(9, 3, 2, 3));
        let comments = b"P6 # colours 9 9\n# two\r 12#side\n\t34 # more\n255\n#pixel";
        assert_eq!(picture(comments), found(comments.len() - 6, 12, 34, 3));
        for cut in 0..comments.len() - 6 {
            assert_eq!(picture(&comments[..cut]), None, "{cut}");
        }
        for bad in [
            &b"P4 3 2\n......"[..],
            b"P3 3 2 255\n1 2",
            b"P5 3 2 65535\n...",
            b"P5 3 2 256\n...",
            b"P5 3 2 0\n...",
            b"P5 0 2 255\n...",
            b"P5 3 0 255\n...",
            b"P53 2 255\n...",
            b"P5 -3 2 255\n...",
            b"P5 3x2 255\n...",
            b"P5 3 2 255#\n...",
            b"P5 99999999999999999999999 2 255\n...",
            b"P5 1073741825 2 255\n...",
            b"P5 # without end",
        ] {
            assert_eq!(picture(bad), None, "{}", bad.escape_ascii());
        }
        let long = [b"P5 #", &[b'c'; MAX_HEADER][..], b"\n3 2 255\n."].concat();
        assert_eq!(picture(&long), None);
    }
}
