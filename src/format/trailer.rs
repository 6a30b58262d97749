//! The trailer of a stream, which can be read forwards and, from its last byte, backwards.

use super::consts::{KIND_TRAILER, MAX_TRAILER, MIN_TRAILER};
use super::cursor::{Cursor, Parsed, in_range};
use super::{checksum, varint};
use crate::error::Error;

/// The lengths that a trailer stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Length in bytes of the stream before the trailer.
    pub body_len: u64,
    /// Length in bytes of the whole index section, 0 where there is none.
    pub index_len: u64,
}

impl Trailer {
    /// Appends the trailer.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(KIND_TRAILER);
        varint::put(out, self.body_len);
        varint::put(out, self.index_len);
        checksum::seal(out, start);
        out.push((out.len() - start + 1) as u8);
    }

    /// Reads a trailer that starts with its kind byte, and returns it with its length in bytes.
    pub fn parse(bytes: &[u8]) -> Parsed<(Self, usize)> {
        let mut c = Cursor::new(bytes);
        let kind = c.u8()?;
        in_range("kind of the trailer", kind.into(), KIND_TRAILER.into()..=KIND_TRAILER.into())?;
        let trailer = Self { body_len: c.varint("stream length")?, index_len: c.varint("index length")? };
        checksum::open(&mut c, "trailer")?;
        let len = c.u8()?;
        in_range("length of the trailer", len.into(), c.pos() as u64..=c.pos() as u64)?;
        if trailer.index_len >= trailer.body_len.max(1) {
            return Err(Error::corrupt("trailer: the index is longer than the stream").into());
        }
        Ok((trailer, c.pos()))
    }

    /// Reads the trailer at the end of `bytes` and returns it with its length; `None` where no valid one is
    /// there. The last [`MAX_TRAILER`] bytes of a stream are enough.
    pub fn parse_end(bytes: &[u8]) -> Option<(Self, usize)> {
        let len = usize::from(*bytes.last()?);
        if !(MIN_TRAILER..=MAX_TRAILER).contains(&len) || len > bytes.len() {
            return None;
        }
        Self::parse(&bytes[bytes.len() - len..]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_and_backwards() {
        for (body_len, index_len) in [(14, 0), (1 << 20, 50), (u64::MAX, 1 << 40)] {
            let trailer = Trailer { body_len, index_len };
            let mut out = vec![0xEE; 40];
            trailer.put(&mut out);
            let len = out.len() - 40;
            assert_eq!(Trailer::parse(&out[40..]).unwrap(), (trailer, len));
            assert_eq!(Trailer::parse_end(&out), Some((trailer, len)));
            for i in 40 * 8..out.len() * 8 {
                let mut bad = out.clone();
                bad[i / 8] ^= 1 << (i % 8);
                assert_eq!(Trailer::parse_end(&bad), None);
            }
        }
    }
}
