//! Sections other than blocks and the trailer: kind, length, body, check value.

use super::consts::{KIND_MODEL, MAX_SECTION_BODY};
use super::cursor::{Cursor, Parsed, in_range};
use super::{checksum, varint};
use crate::error::{Error, Result};

/// Appends a section.
pub fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let start = out.len();
    out.push(kind);
    varint::put(out, body.len() as u64);
    out.extend_from_slice(body);
    checksum::seal(out, start);
}

/// The start of a section: what stands before its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Section kind.
    pub kind: u8,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// Length of kind and length field.
    pub len: usize,
}

impl Start {
    /// Reads kind and length.
    pub fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut c = Cursor::new(bytes);
        let kind = c.u8()?;
        let body_len = c.varint_in("length of a section", 0..=MAX_SECTION_BODY)?;
        Ok(Self { kind, body_len, len: c.pos() })
    }

    /// Length of the whole section.
    pub fn total(&self) -> u64 {
        self.len as u64 + self.body_len + 4
    }
}

/// Reads a whole section and returns its body.
pub fn body(bytes: &[u8]) -> Parsed<&[u8]> {
    let start = Start::parse(bytes)?;
    let mut c = Cursor::new(bytes);
    c.take(start.len)?;
    let body = c.take(start.body_len as usize)?;
    checksum::open(&mut c, "section")?;
    Ok(body)
}

/// A model that blocks of this stream refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSection {
    /// BLAKE3 of the canonical weights.
    pub hash: [u8; 32],
    /// The weights, where they are embedded: their length and a zstd frame without its magic.
    pub embedded: Option<(u64, Vec<u8>)>,
}

impl ModelSection {
    /// Appends the section.
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut body = self.hash.to_vec();
        if let Some((raw_len, packed)) = &self.embedded {
            varint::put(&mut body, *raw_len);
            body.extend_from_slice(packed);
        }
        put(out, KIND_MODEL, &body);
    }

    /// Reads the body of a model section.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let parse = || -> Parsed<Self> {
            let mut c = Cursor::new(body);
            let hash = c.hash()?;
            let embedded = if c.rest().is_empty() {
                None
            } else {
                let raw_len = c.varint("length of embedded weights")?;
                Some((raw_len, c.rest().to_vec()))
            };
            if let Some((raw_len, packed)) = &embedded {
                in_range("length of embedded weights", *raw_len, 1..=(packed.len() as u64) << 15)?;
            }
            Ok(Self { hash, embedded })
        };
        parse().map_err(|_| Error::corrupt("model section: the body is not a hash and weights"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_round_trip() {
        for embedded in [None, Some((77, vec![1, 2, 3]))] {
            let model = ModelSection { hash: [9; 32], embedded };
            let mut out = Vec::new();
            model.put(&mut out);
            assert_eq!(Start::parse(&out).unwrap().total(), out.len() as u64);
            assert_eq!(ModelSection::parse(body(&out).unwrap()).unwrap(), model);
        }
    }
}
