//! The stream header.

use super::checksum;
use super::consts::{KNOWN_MUST_FEATURES, MAGIC, VERSION};
use super::cursor::{Cursor, Parsed};
use super::varint;
use crate::error::{Error, ErrorKind, Result};

/// The feature bits of a stream's header: all that it stores besides magic and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Bits of features that a reader must understand; version 1 defines none.
    pub must: u64,
    /// Bits of features that a reader may ignore.
    pub may: u64,
}

impl Header {
    /// Appends the header.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        varint::put(out, self.must);
        varint::put(out, self.may);
        checksum::seal(out, start);
    }

    /// Reads a header and returns it with its length in bytes.
    ///
    /// # Errors
    ///
    /// [`super::cursor::Parse::Need`] where `bytes` ends inside the header; otherwise `Corrupt`, or
    /// `NewerVersion` for a later container version or an unknown feature.
    pub fn parse(bytes: &[u8]) -> Parsed<(Self, usize)> {
        let mut c = Cursor::new(bytes);
        magic(&bytes[..bytes.len().min(MAGIC.len())])?;
        c.take(MAGIC.len())?;
        let version = c.u8()?;
        if version > VERSION {
            let found = format!("needs a newer nzip (container version {version}; this one reads {VERSION})");
            return Err(Error::new(ErrorKind::NewerVersion, found).into());
        }
        if version == 0 {
            return Err(Error::corrupt("container version: 1 expected, 0 found").into());
        }
        let (must, may) = (c.varint("feature bits")?, c.varint("feature bits")?);
        checksum::open(&mut c, "stream header")?;
        let unknown = must & !KNOWN_MUST_FEATURES;
        if unknown != 0 {
            let found = format!("needs a newer nzip (stream feature {})", unknown.trailing_zeros());
            return Err(Error::new(ErrorKind::NewerVersion, found).into());
        }
        Ok((Self { must, may }, c.pos()))
    }
}

/// Fails unless `bytes` is the magic or a prefix of it.
fn magic(bytes: &[u8]) -> Result<()> {
    if MAGIC.starts_with(bytes) {
        return Ok(());
    }
    Err(Error::corrupt(format!("not an nzip stream: magic {MAGIC:02x?} expected, {bytes:02x?} found")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let mut out = vec![1, 2];
        Header { must: 0, may: 300 }.put(&mut out);
        let (header, len) = Header::parse(&out[2..]).unwrap();
        assert_eq!((header, len), (Header { must: 0, may: 300 }, out.len() - 2));
    }

    #[test]
    fn newer_things_are_named() {
        let mut out = Vec::new();
        Header { must: 1 << 9, may: 0 }.put(&mut out);
        let e = Header::parse(&out).unwrap_err().at_end("");
        assert_eq!(e.kind(), ErrorKind::NewerVersion);
        assert!(e.to_string().contains("feature 9"), "{e}");
        out[7] = 2;
        let e = Header::parse(&out).unwrap_err().at_end("");
        assert_eq!(e.kind(), ErrorKind::NewerVersion);
    }
}
