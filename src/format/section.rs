//! Sections other than blocks and the trailer: kind, length, body, check value.

use super::consts::{KIND_MODEL, MAX_SECTION_BODY, max_unpacked};
use super::cursor::{Cursor, Parse, Parsed, in_range};
use super::{checksum, varint};
use crate::error::{Error, Result};

/// Appends a section of this kind and body.
pub fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let start = out.len();
    out.push(kind);
    varint::put(out, body.len() as u64);
    out.extend_from_slice(body);
    checksum::seal(out, start);
}

/// The start of a section: the kind and length fields before its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Section kind.
    pub kind: u8,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// Length of these two fields in bytes.
    pub len: usize,
}

impl Start {
    /// Reads the kind and length fields.
    pub fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut c = Cursor::new(bytes);
        let kind = c.u8()?;
        let body_len = c.varint_in("length of a section", 0..=MAX_SECTION_BODY)?;
        Ok(Self { kind, body_len, len: c.pos() })
    }

    /// Length of the whole section in bytes, its check value included.
    pub fn total(&self) -> u64 {
        self.len as u64 + self.body_len + 4
    }
}

/// Reads a whole section, compares its check value and returns its body.
pub fn body(bytes: &[u8]) -> Parsed<&[u8]> {
    let start = Start::parse(bytes)?;
    let mut c = Cursor::new(bytes);
    c.take(start.len)?;
    let body = c.take(start.body_len as usize)?;
    checksum::open(&mut c, "section")?;
    Ok(body)
}

/// The body of a model section: a model that blocks of the stream refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSection {
    /// BLAKE3 hash of the model's canonical, uncompressed weights.
    pub hash: [u8; 32],
    /// The weights, where they are embedded: their uncompressed length, and a Zstandard frame without its
    /// magic number or a whole `.nz` stream.
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

    /// Reads the body of a model section. The embedded weights stay compressed.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the body is too short, or declares longer weights than its compressed bytes may hold.
    pub fn parse(mut body: Vec<u8>) -> Result<Self> {
        let fields = |c: &mut Cursor<'_>| -> Parsed<([u8; 32], Option<u64>)> {
            let hash = c.hash()?;
            if c.rest().is_empty() {
                return Ok((hash, None));
            }
            let raw_len = c.varint("length of embedded weights")?;
            in_range("length of embedded weights", raw_len, 1..=max_unpacked(c.rest().len() as u64))?;
            Ok((hash, Some(raw_len)))
        };
        let mut c = Cursor::new(&body);
        let (hash, raw_len) = fields(&mut c).map_err(|e| match e {
            Parse::Bad(e) => e.within("model section"),
            Parse::Need(_) => Error::corrupt("model section: the body is not a hash and weights"),
        })?;
        let start = c.pos();
        let embedded = raw_len.map(|raw_len| {
            body.drain(..start);
            (raw_len, body)
        });
        Ok(Self { hash, embedded })
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
            assert_eq!(ModelSection::parse(body(&out).unwrap().to_vec()).unwrap(), model);
        }
    }
}
