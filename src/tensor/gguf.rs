//! Reads headers of GGUF files (versions 2 and 3, little-endian): metadata and tensor table.
//!
//! Values borrow from the bytes that they were read from; arrays keep the file's encoding and are decoded on
//! demand.

use super::dtype::Dtype;
use super::{FileKind, Layout, TensorInfo, UnknownTensor, ggml};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};

/// The first bytes of a file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The alignment of tensors in bytes, unless the metadata say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The largest number of dimensions of a tensor.
const MAX_DIMS: u64 = 8;
/// The deepest nesting of arrays that is read.
const MAX_DEPTH: u32 = 4;

/// The value of a metadata key.
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
    /// Usually UTF-8, but the format does not guarantee it.
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of values of one type, still in the file's encoding. Its extent and nesting were checked when it
/// was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    kind: u32,
    len: u64,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// The value as an integer, if it is a non-negative integer of any width.
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

    /// The value as a signed integer, if it is an integer of any width that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Value::I8(v) => Some(v.into()),
            Value::I16(v) => Some(v.into()),
            Value::I32(v) => Some(v.into()),
            Value::I64(v) => Some(v),
            ref other => other.as_u64()?.try_into().ok(),
        }
    }

    /// The value, if it is a floating-point number of either width.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            _ => None,
        }
    }

    /// The value, if it is a Boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(v) = *self { Some(v) } else { None }
    }

    /// The bytes of the value, if it is a string.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Value::String(v) = *self { Some(v) } else { None }
    }

    /// The value, if it is a string and valid UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The value, if it is an array.
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
                // A string takes at least eight bytes, an array twelve.
                c.expect(usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(8))?;
                for _ in 0..len {
                    Value::parse(c, kind, depth + 1)?;
                }
            }
        }
        Ok(Self { kind, len, bytes: &rest[..c.pos() - start] })
    }

    /// The number of values.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the array has no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterates over the values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (mut c, kind) = (Cursor::new(self.bytes), self.kind);
        // The depth was checked when the array was first read.
        (0..self.len).map_while(move |_| Value::parse(&mut c, kind, 0).ok())
    }

    /// Iterates over the strings of an array of strings; `None` for an array of another type.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        (self.kind == 8).then(|| self.iter().filter_map(|v| v.as_bytes()))
    }
}

/// The width in bytes of a value of this type; `None` for strings, arrays and unknown types.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The header of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gguf<'a> {
    /// The format version, 2 or 3.
    pub version: u32,
    /// Keys and values in file order. Keys are unique.
    pub metadata: Vec<(&'a str, Value<'a>)>,
    /// The tensors. Their shapes have GGUF's dimensions in reverse order, so that the one that varies fastest
    /// is last.
    pub layout: Layout,
    /// Offset in the file at which tensor data starts.
    pub data: u64,
}

impl<'a> Gguf<'a> {
    /// Reads the header of a whole file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] for a file that ends early, [`ErrorKind::Corrupt`] for one that breaks the
    /// rules of the format, [`ErrorKind::NewerVersion`] for other versions than 2 and 3 and for unknown
    /// tensor types.
    pub fn read(file: &'a [u8]) -> Result<Self> {
        let gguf = Self::parse(file, file.len() as u64).map_err(|e| e.at_end("the GGUF header"))?;
        match gguf.layout.unknown.first() {
            Some(unknown) => Err(newer(format!("GGUF tensor type {}", unknown.kind))),
            None => Ok(gguf),
        }
    }

    /// Reads the header of a file of `file_len` bytes from its first bytes. Tensors of unknown types are
    /// listed separately in the layout.
    ///
    /// # Errors
    ///
    /// Those of [`Self::read`], except for unknown types; [`crate::format::cursor::Parse::Need`] where
    /// `bytes` ends inside the header.
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
        let (mut table, mut unknown) = tensor_table(&mut c, tensors, file_len)?;
        let data = (c.pos() as u64).next_multiple_of(alignment);
        for t in &mut table {
            let name = &t.name;
            in_range(&format!("offset of tensor {name:?} modulo its alignment"), t.start % alignment, 0..=0)?;
            t.start =
                t.start.checked_add(data).filter(|s| s.checked_add(t.len).is_some()).ok_or_else(|| {
                    Error::corrupt(format!("tensor {name:?} starts at {} and has {} bytes", t.start, t.len))
                })?;
        }
        let mut layout = Layout::new(FileKind::Gguf, table, file_len)?;
        for t in &mut unknown {
            let UnknownTensor { name, start, .. } = t;
            in_range(&format!("offset of tensor {name:?} modulo its alignment"), *start % alignment, 0..=0)?;
            *start = start.checked_add(data).filter(|s| *s <= file_len).ok_or_else(|| {
                Error::corrupt(format!("tensor {name:?} starts at {start}, its file ends at {file_len}"))
            })?;
        }
        unknown.sort_by_key(|t| t.start);
        layout.unknown = unknown;
        Ok(Self { version, metadata, layout, data })
    }

    /// The value of a metadata key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.iter().find(|pair| pair.0 == key).map(|pair| pair.1)
    }

    /// Finds a tensor by name and returns it with its bytes. `file` is the whole file that this header was
    /// read from.
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

/// Fails unless a file of `file_len` bytes can hold `count` items of at least `least` bytes each. `what`
/// names the items.
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
    // A pair takes at least 13 bytes: the length of the key, the type, one byte of value.
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

/// Reads the tensor table, and returns the tensors of known types and those of unknown types. Their starts
/// still count from the start of the tensor data.
fn tensor_table(
    c: &mut Cursor<'_>,
    count: u64,
    file_len: u64,
) -> Parsed<(Vec<TensorInfo>, Vec<UnknownTensor>)> {
    // An entry takes at least 24 bytes: the length of the name, the number of dimensions, type and offset.
    plausible("tensors", count, 24, file_len)?;
    c.expect(24 * count as usize)?;
    let (mut table, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let name = name(c)?.to_string();
        let dims = c.u32()?;
        in_range("number of dimensions", dims.into(), 0..=MAX_DIMS)?;
        let mut shape = (0..dims).map(|_| c.u64()).collect::<Parsed<Vec<_>>>()?;
        shape.reverse();
        let (kind, start) = (c.u32()?, c.u64()?);
        match dtype(kind) {
            Some(dtype) => table.push(TensorInfo::new(name, dtype, shape, start)?),
            None => unknown.push(UnknownTensor { name, kind, start }),
        }
    }
    Ok((table, unknown))
}

/// The element type with this id in ggml.
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
