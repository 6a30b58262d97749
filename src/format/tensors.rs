//! The index record that names the tensors of a stream.

use super::cursor::{Cursor, Parsed, in_range};
use super::varint;
use crate::error::{Error, Result};

/// The tag of the record. It is even: a reader may ignore the record, since decoding needs no names.
pub const TAG: u64 = 2;
/// The largest number of dimensions of a tensor.
const MAX_DIMS: u64 = 64;

/// The name, type, shape and place of one tensor of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRecord {
    /// The tensor's name.
    pub name: String,
    /// Id of the element type (`formats/tensor.md`, "Names").
    pub dtype: u8,
    /// The dimensions, the one that varies fastest last.
    pub shape: Vec<u64>,
    /// Offset of the first byte of the tensor in the stream's raw bytes.
    pub start: u64,
    /// Length of the tensor in raw bytes.
    pub len: u64,
}

/// Serialises the content of the record, which is compressed afterwards. The tensors must be ordered by start
/// and must not overlap.
pub fn put(tensors: &[TensorRecord]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    varint::put(&mut out, tensors.len() as u64);
    for t in tensors {
        varint::put(&mut out, t.name.len() as u64);
        out.extend_from_slice(t.name.as_bytes());
        out.push(t.dtype);
        varint::put(&mut out, t.shape.len() as u64);
        t.shape.iter().for_each(|d| varint::put(&mut out, *d));
        varint::put(&mut out, t.start - at);
        varint::put(&mut out, t.len);
        at = t.start + t.len;
    }
    out
}

/// Reads the content that [`put`] wrote, for a stream of `raw_len` raw bytes.
///
/// # Errors
///
/// `Truncated` or `Corrupt`, also where a tensor lies outside the stream.
pub fn parse(bytes: &[u8], raw_len: u64) -> Result<Vec<TensorRecord>> {
    let mut c = Cursor::new(bytes);
    let found =
        fields(&mut c, raw_len).map_err(|e| Error::corrupt(format!("names: {}", e.at_end("the names"))))?;
    if c.rest().is_empty() { Ok(found) } else { Err(Error::corrupt("names: bytes after the last one")) }
}

/// The number of tensors that the content declares, after a check that it has enough bytes for them.
///
/// # Errors
///
/// `Corrupt` where it does not.
pub fn count(bytes: &[u8]) -> Result<usize> {
    let mut c = Cursor::new(bytes);
    number(&mut c).map_err(|e| Error::corrupt(format!("names: {}", e.at_end("the names"))))
}

fn number(c: &mut Cursor<'_>) -> Parsed<usize> {
    let count = usize::try_from(c.varint("number of tensors")?).unwrap_or(usize::MAX);
    c.expect(count.saturating_mul(5))?;
    Ok(count)
}

fn fields(c: &mut Cursor<'_>, raw_len: u64) -> Parsed<Vec<TensorRecord>> {
    let count = number(c)?;
    let (mut tensors, mut at) = (Vec::new(), 0u64);
    for _ in 0..count {
        let len = c.varint("length of a name")?;
        let name = std::str::from_utf8(c.take(usize::try_from(len).unwrap_or(usize::MAX))?);
        let name = name.map_err(|_| Error::corrupt("a name that is not UTF-8"))?.to_string();
        let dtype = c.u8()?;
        let dims = c.varint_in("dimensions", 0..=MAX_DIMS)?;
        let shape = (0..dims).map(|_| c.varint("dimension")).collect::<Parsed<Vec<_>>>()?;
        let gap = c.varint_in("start of a tensor", 0..=raw_len - at)?;
        let start = at + gap;
        let len = c.varint_in("bytes of a tensor", 0..=raw_len - start)?;
        in_range("end of a tensor", start + len, 0..=raw_len)?;
        at = start + len;
        tensors.push(TensorRecord { name, dtype, shape, start, len });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_limits() {
        let tensor = |name: &str, shape: &[u64], start, len| TensorRecord {
            name: name.into(),
            dtype: 11,
            shape: shape.to_vec(),
            start,
            len,
        };
        let tensors =
            vec![tensor("a", &[2, 3], 100, 24), tensor("", &[], 124, 0), tensor("é", &[1 << 40], 200, 9)];
        let bytes = put(&tensors);
        assert_eq!(parse(&bytes, 209).unwrap(), tensors);
        assert!(parse(&bytes, 208).is_err());
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut], 209).is_err());
        }
        assert!(parse(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1], 1 << 60).is_err());
    }
}
