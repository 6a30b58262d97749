//! GGUF, versions 2 and 3, little-endian: metadata, tensor table, tensors.
//!
//! Values borrow from the bytes they were read from; arrays are kept as they lie and read on demand.

use super::dtype::Dtype;
use super::{FileKind, Layout, TensorInfo, ggml};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};

/// The first bytes of a file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Where tensors start, unless the metadata say otherwise: at multiples of this.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Most dimensions of a tensor.
const MAX_DIMS: u64 = 8;
/// Deepest nesting of arrays.
const MAX_DEPTH: u32 = 4;

/// A value of the metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// Usually UTF-8, which nothing guarantees.
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of values of one type, as it lies in the file. Its end has been found when it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    kind: u32,
    len: u64,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// A non-negative whole number of any width.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::U64(v) => Some(v),
            Value::I8(v) => v.try_into().ok(),
            Value::I16(v) => v.try_into().ok(),
            Value::I32(v) => v.try_into().ok(),
            Value::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// A whole number of any width that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::I8(v) => Some(v.into()),
            Value::I16(v) => Some(v.into()),
            Value::I32(v) => Some(v.into()),
            Value::I64(v) => Some(v),
            ref other => other.as_u64()?.try_into().ok(),
        }
    }

    /// A floating-point number of either width.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(v) = *self { Some(v) } else { None }
    }

    /// The bytes of a string.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Value::String(v) = *self { Some(v) } else { None }
    }

    /// A string that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// An array.
    pub fn as_array(&self) -> Option<Array<'a>> {
        if let Value::Array(v) = *self { Some(v) } else { None }
    }

    fn parse(c: &mut Cursor<'a>, kind: u32, depth: u32) -> Parsed<Self> {
        Ok(match kind {
            0 => Value::U8(c.u8()?),
            1 => Value::I8(c.u8()? as i8),
            2 => Value::U16(c.u16()?),
            3 => Value::I16(c.u16()? as i16),
            4 => Value::U32(c.u32()?),
            5 => Value::I32(c.u32()? as i32),
            6 => Value::F32(f32::from_bits(c.u32()?)),
            7 => Value::Bool(c.u8()? != 0),
            8 => Value::String(string(c)?),
            9 => Value::Array(Array::parse(c, depth)?),
            10 => Value::U64(c.u64()?),
            11 => Value::I64(c.u64()? as i64),
            12 => Value::F64(f64::from_bits(c.u64()?)),
            other => return Err(Error::corrupt(format!("GGUF: value type {other}")).into()),
        })
    }
}

impl<'a> Array<'a> {
    fn parse(c: &mut Cursor<'a>, depth: u32) -> Parsed<Self> {
        if depth >= MAX_DEPTH {
            return Err(Error::corrupt("GGUF: arrays nested too deep").into());
        }
        let (kind, len) = (c.u32()?, c.u64()?);
        let (rest, start) = (c.rest(), c.pos());
        match width(kind) {
            Some(width) => {
                let bytes = usize::try_from(len).ok().and_then(|n| n.checked_mul(width));
                c.take(bytes.ok_or_else(|| too_many("values", len))?)?;
            }
            None => {
                // A string takes eight bytes at least, an array twelve.
                c.expect(usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(8))?;
                for _ in 0..len {
                    Value::parse(c, kind, depth + 1)?;
                }
            }
        }
        Ok(Self { kind, len, bytes: &rest[..c.pos() - start] })
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (mut c, kind) = (Cursor::new(self.bytes), self.kind);
        // The depth was checked when the array was found.
        (0..self.len).map_while(move |_| Value::parse(&mut c, kind, 0).ok())
    }

    /// The strings of an array of strings.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        (self.kind == 8).then(|| self.iter().filter_map(|v| v.as_bytes()))
    }
}

/// The fixed width of a value of this type.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A file's header.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gguf<'a> {
    /// 2 or 3.
    pub version: u32,
    /// Keys and values in the order in which they stand. Keys are unique.
    pub metadata: Vec<(&'a str, Value<'a>)>,
    /// The tensors. Their shapes have GGUF's dimensions in reverse, so that the fastest is last.
    pub layout: Layout,
    /// Offset of the first byte that may belong to a tensor.
    pub data: u64,
}

impl<'a> Gguf<'a> {
    /// Reads the header of a whole file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] for a file that ends early, [`ErrorKind::Corrupt`] for one that breaks the
    /// rules of the format, [`ErrorKind::NewerVersion`] for versions but 2 and 3 and for unknown tensor types.
    pub fn read(file: &'a [u8]) -> Result<Self> {
        Self::parse(file, file.len() as u64).map_err(|e| e.at_end("the GGUF header"))
    }

    /// Reads the header of a file of `file_len` bytes from its first bytes.
    ///
    /// # Errors
    ///
    /// See [`Self::read`]; [`crate::format::cursor::Parse::Need`] where `bytes` ends inside the header.
    pub(crate) fn parse(bytes: &'a [u8], file_len: u64) -> Parsed<Self> {
        let mut c = Cursor::new(bytes);
        if bytes.iter().zip(MAGIC).any(|(a, b)| *a != b) {
            return Err(Error::corrupt("GGUF: magic expected").into());
        }
        c.take(4)?;
        let version = c.u32()?;
        if !(2..=3).contains(&version) {
            return Err(newer(format!("GGUF version {version}")).into());
        }
        let (tensors, pairs) = (c.u64()?, c.u64()?);
        let metadata = pairs_of(&mut c, pairs, file_len)?;
        let alignment = alignment(&metadata)?;
        let mut table = tensor_table(&mut c, tensors, file_len)?;
        let data = (c.pos() as u64).next_multiple_of(alignment);
        for t in &mut table {
            let name = &t.name;
            in_range(&format!("offset of tensor {name:?} modulo its alignment"), t.start % alignment, 0..=0)?;
            t.start =
                t.start.checked_add(data).filter(|s| s.checked_add(t.len).is_some()).ok_or_else(|| {
                    Error::corrupt(format!("tensor {name:?} starts at {} and has {} bytes", t.start, t.len))
                })?;
        }
        let layout = Layout::new(FileKind::Gguf, table, file_len)?;
        Ok(Self { version, metadata, layout, data })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.iter().find(|pair| pair.0 == key).map(|pair| pair.1)
    }

    /// The bytes of a tensor of the whole file that this header was read from.
    pub fn tensor<'f>(&self, file: &'f [u8], name: &str) -> Option<(&TensorInfo, &'f [u8])> {
        let info = self.layout.find(name)?;
        Some((info, file.get(info.start as usize..info.end() as usize)?))
    }
}

fn newer(what: String) -> Error {
    Error::new(ErrorKind::NewerVersion, format!("needs a newer nzip ({what})"))
}

fn too_many(what: &str, count: u64) -> Error {
    Error::corrupt(format!("GGUF: {count} {what}"))
}

/// Fails where `count` things of `least` bytes each cannot be in the file.
fn plausible(what: &str, count: u64, least: u64, file_len: u64) -> Result<()> {
    let bytes = count.checked_mul(least);
    bytes.filter(|b| *b <= file_len).map(drop).ok_or_else(|| too_many(what, count))
}

fn string<'a>(c: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    let len = c.u64()?;
    c.take(usize::try_from(len).map_err(|_| too_many("bytes of a string", len))?)
}

fn name<'a>(c: &mut Cursor<'a>) -> Parsed<&'a str> {
    let text = std::str::from_utf8(string(c)?);
    Ok(text.map_err(|_| Error::corrupt("GGUF: a name that is not UTF-8"))?)
}

fn pairs_of<'a>(c: &mut Cursor<'a>, count: u64, file_len: u64) -> Parsed<Vec<(&'a str, Value<'a>)>> {
    // Length of the key, type, one byte of value.
    plausible("metadata pairs", count, 13, file_len)?;
    c.expect(13 * count as usize)?;
    let mut metadata = Vec::new();
    for _ in 0..count {
        let key = name(c)?;
        let kind = c.u32()?;
        metadata.push((key, Value::parse(c, kind, 0)?));
    }
    let mut keys: Vec<&str> = metadata.iter().map(|pair| pair.0).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|k| k[0] == k[1]) {
        Some(twice) => Err(Error::corrupt(format!("GGUF: key {:?} stands there twice", twice[0])).into()),
        None => Ok(metadata),
    }
}

fn alignment(metadata: &[(&str, Value<'_>)]) -> Result<u64> {
    match metadata.iter().find(|pair| pair.0 == "general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some((_, Value::U32(n))) if n.is_power_of_two() => Ok((*n).into()),
        Some((_, other)) => Err(Error::corrupt(format!("GGUF: alignment {other:?}"))),
    }
}

/// The tensors with starts that still count from the first possible byte.
fn tensor_table(c: &mut Cursor<'_>, count: u64, file_len: u64) -> Parsed<Vec<TensorInfo>> {
    // Length of the name, number of dimensions, type, offset.
    plausible("tensors", count, 24, file_len)?;
    c.expect(24 * count as usize)?;
    let mut table = Vec::new();
    for _ in 0..count {
        let name = name(c)?.to_string();
        let dims = c.u32()?;
        in_range("number of dimensions", dims.into(), 0..=MAX_DIMS)?;
        let mut shape = (0..dims).map(|_| c.u64()).collect::<Parsed<Vec<_>>>()?;
        shape.reverse();
        let kind = c.u32()?;
        let dtype = dtype(kind).ok_or_else(|| newer(format!("GGUF tensor type {kind}")))?;
        let offset = c.u64()?;
        table.push(TensorInfo::new(name, dtype, shape, offset)?);
    }
    Ok(table)
}

/// The element type with this id of ggml.
fn dtype(id: u32) -> Option<Dtype> {
    Some(match id {
        0 => Dtype::F32,
        1 => Dtype::F16,
        24 => Dtype::I8,
        25 => Dtype::I16,
        26 => Dtype::I32,
        27 => Dtype::I64,
        28 => Dtype::F64,
        30 => Dtype::Bf16,
        other => Dtype::Ggml(ggml::Block::from_id(other)?),
    })
}

#[cfg(test)]
#[path = "gguf_tests.rs"]
mod tests;
