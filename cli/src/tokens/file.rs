//! Files of tokens: `.npy`, or plain little-endian numbers.

use anyhow::{Context, bail, ensure};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The header of a `.npy` file of `count` tokens of `width` bytes.
pub fn npy_header(width: usize, count: u64) -> Vec<u8> {
    let mut text = format!("{{'descr': '<u{width}', 'fortran_order': False, 'shape': ({count},), }}");
    // Magic, version, length and text are a multiple of 64 bytes, and the text ends with a line feed.
    let total = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(' ', total - MAGIC.len() - 4 - text.len() - 1));
    text.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    out
}

/// Whether a file's name asks for `.npy`.
pub fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// Appends tokens of `width` bytes.
pub fn put(tokens: &[u32], width: usize, out: &mut Vec<u8>) {
    tokens.iter().for_each(|t| out.extend_from_slice(&t.to_le_bytes()[..width]));
}

/// The tokens of a file, in whatever form it is.
pub fn parse(bytes: &[u8], width: usize) -> anyhow::Result<Vec<u32>> {
    let (bytes, width) = if bytes.starts_with(MAGIC) { npy(bytes)? } else { (bytes, width) };
    ensure!(bytes.len() % width == 0, "{} bytes are not whole tokens of {width}", bytes.len());
    let number = |b: &[u8]| b.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b));
    Ok(bytes.chunks_exact(width).map(number).collect())
}

/// The numbers of a `.npy` file, and their width.
fn npy(bytes: &[u8]) -> anyhow::Result<(&[u8], usize)> {
    let short = || "the .npy header is cut off";
    let (&[major, _], rest) = bytes[MAGIC.len()..].split_first_chunk().with_context(short)?;
    let (len, rest) = if major == 1 {
        let (len, rest) = rest.split_first_chunk().with_context(short)?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk().with_context(short)?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(len).with_context(short)?;
    let header = String::from_utf8_lossy(header).replace(' ', "");
    let width = match () {
        () if header.contains("'descr':'<u2'") => 2,
        () if header.contains("'descr':'<u4'") => 4,
        () => bail!("a .npy file of other numbers than <u2 or <u4: {}", header.trim()),
    };
    Ok((data, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_and_plain_files_hold_the_same() {
        for width in [2, 4] {
            let tokens = [0, 1, 255, 256, 65535];
            let mut plain = Vec::new();
            put(&tokens, width, &mut plain);
            let mut file = npy_header(width, tokens.len() as u64);
            assert_eq!(file.len() % 64, 0);
            file.extend_from_slice(&plain);
            assert_eq!(parse(&plain, width).unwrap(), tokens);
            assert_eq!(parse(&file, 1).unwrap(), tokens);
            (MAGIC.len()..64).for_each(|n| assert!(parse(&file[..n], 2).is_err(), "{n}"));
        }
    }
}
