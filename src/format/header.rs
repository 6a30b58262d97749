//! The stream header.

use super::checksum;
use super::consts::{KNOWN_MUST_FEATURES, MAGIC, VERSION};
use super::cursor::{Cursor, Parsed};
use super::varint;
use crate::error::{Error, ErrorKind, Result};

/// The feature bits of a stream header: everything that it stores besides magic and version.
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
    /// [`super::cursor::Parse::Need`] where `bytes` ends inside the header; otherwise `NotNz`, `Corrupt`, or
    /// `NewerVersion` for a later container version or an unknown feature.
    pub fn parse(bytes: &[u8]) -> Parsed<(Self, usize)> {
        let mut c = Cursor::new(bytes);
        magic(bytes)?;
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

/// The first bytes of other formats that may be mistaken for `.nz`.
const OTHERS: [(&[u8], &str); 16] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"BZ3v1", "bzip3"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"Rar!", "rar"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"%PDF", "PDF"),
    (b"GGUF", "GGUF"),
    (b"\x93NUMPY", "npy"),
    (b"\x7fELF", "an ELF program"),
];

/// The number of first bytes of the magic that no other format starts with.
const OWN: usize = 3;

/// Fails unless `bytes` starts with the magic, or is the start of it.
fn magic(bytes: &[u8]) -> Result<()> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if MAGIC.starts_with(start) {
        return Ok(());
    }
    if start.starts_with(&MAGIC[..OWN]) {
        let found = format!("magic {MAGIC:02x?} expected, {start:02x?} found: was the file sent as text?");
        return Err(Error::corrupt(found));
    }
    let other = OTHERS.iter().find(|(first, _)| bytes.starts_with(first));
    let like = other.map_or(String::new(), |(_, name)| format!(" (looks like {name})"));
    Err(Error::new(ErrorKind::NotNz, format!("not a .nz file{like}")))
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
    fn other_files_are_told_from_damaged_ones() {
        let error = |bytes: &[u8]| Header::parse(bytes).unwrap_err().at_end("");
        let gzip = error(b"\x1f\x8b\x08\0\0\0\0\0\0\0");
        assert_eq!(
            (gzip.kind(), gzip.to_string().as_str()),
            (ErrorKind::NotNz, "not a .nz file (looks like gzip)")
        );
        assert_eq!(error(b"some text").to_string(), "not a .nz file");
        assert_eq!(error(b"\x93NUMPY\x01\0").to_string(), "not a .nz file (looks like npy)");
        // Line ends that a transfer has changed.
        assert_eq!(error(b"\x93NZ\n\x1a\n\x01\0").kind(), ErrorKind::Corrupt);
        assert_eq!(error(b"\x93N").kind(), ErrorKind::Truncated);
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
