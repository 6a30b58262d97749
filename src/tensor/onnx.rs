//! Finds the initialisers (weights) of ONNX models, which are messages of Protocol Buffers. Only the fields
//! that lead to them are read.

use super::content::Content;
use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::Cursor;
use std::collections::HashSet;
use std::ops::Range;

/// The most bytes of a field's key and length.
const KEY: u64 = 20;
/// The bytes of a tensor's message that are read: all but its data.
const MAX_TEXT: u64 = 4 << 10;
/// The most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 64;
/// The most fields of all messages that are looked at.
const MAX_FIELDS: usize = 1 << 22;

/// Whether a file that starts with these bytes may be a model: its version, then the name of what made it, or
/// the set of operations, or the graph.
pub fn is_likely(start: &[u8]) -> bool {
    matches!(start, [0x08, 1..=32, 0x12 | 0x1A | 0x22 | 0x3A | 0x42, ..])
}

/// Finds the tensors of a whole file.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] for bytes that are no model; those of reading.
pub(crate) fn parse(file: &dyn Content) -> Result<Layout> {
    let mut reader = Reader { file, fields: 0 };
    let (mut tensors, mut names) = (Vec::new(), HashSet::new());
    let (mut at, end) = (0, file.len());
    while at < end {
        let field = reader.field(at..end)?;
        // ModelProto.graph
        if let (7, Some(graph)) = (field.number, field.content) {
            let mut at = graph.start;
            while at < graph.end {
                let field = reader.field(at..graph.end)?;
                // GraphProto.initializer
                if let (5, Some(message)) = (field.number, field.content)
                    && let Some(tensor) = reader.tensor(message)?
                    && names.insert(tensor.name.clone())
                {
                    tensors.push(tensor);
                }
                at = field.end;
            }
        }
        at = field.end;
    }
    Layout::new(FileKind::Onnx, tensors, end)
}

/// A field of a message.
struct Field {
    number: u64,
    /// A number; 0 for fields of other kinds.
    value: u64,
    /// The place of bytes.
    content: Option<Range<u64>>,
    /// The offset just past the field.
    end: u64,
}

struct Reader<'a> {
    file: &'a dyn Content,
    /// The fields that have been looked at.
    fields: usize,
}

impl Reader<'_> {
    /// Reads the field at the start of a range; of bytes only their place.
    fn field(&mut self, range: Range<u64>) -> Result<Field> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Error::limit(format!("onnx: more than {MAX_FIELDS} fields")));
        }
        let bytes = self.file.read(range.start..range.end.min(range.start + KEY))?;
        let bad = || Error::corrupt(format!("onnx: no field at {}", range.start));
        let mut c = Cursor::new(&bytes);
        let key = number(&mut c).ok_or_else(bad)?;
        let (mut value, mut content) = (0, None);
        let mut end = range.start;
        match key & 7 {
            0 => value = number(&mut c).ok_or_else(bad)?,
            1 => end += 8,
            5 => end += 4,
            2 => {
                let len = number(&mut c).ok_or_else(bad)?;
                let start = range.start + c.pos() as u64;
                let to = start.checked_add(len).ok_or_else(bad)?;
                content = Some(start..to);
                end += len;
            }
            _ => return Err(bad()),
        }
        end = end.checked_add(c.pos() as u64).filter(|end| *end <= range.end).ok_or_else(bad)?;
        Ok(Field { number: key >> 3, value, content, end })
    }

    /// The tensor of a TensorProto whose elements lie together in the file; `None` for any other.
    fn tensor(&mut self, message: Range<u64>) -> Result<Option<TensorInfo>> {
        let (mut shape, mut kind, mut name, mut data) = (Vec::new(), 0, None, None);
        let mut at = message.start;
        while at < message.end {
            let field = self.field(at..message.end)?;
            at = field.end;
            match (field.number, field.content) {
                (1, None) => shape.push(field.value),
                (1, Some(packed)) => shape.extend(self.packed(packed)?.unwrap_or_default()),
                (2, None) => kind = field.value,
                (8, Some(text)) => name = self.text(text)?,
                // float_data and double_data are bytes as raw_data is.
                (4, Some(range)) if kind == 1 => data = Some(range),
                (10, Some(range)) if kind == 11 => data = Some(range),
                (9, Some(range)) => data = Some(range),
                _ => {}
            }
            if shape.len() > MAX_DIMENSIONS {
                return Ok(None);
            }
        }
        let (Some(name), Some(data), Some(dtype)) = (name, data, dtype(kind)) else { return Ok(None) };
        if name.is_empty() || dtype.bytes(&shape) != Some(data.end - data.start) {
            return Ok(None);
        }
        TensorInfo::new(name, dtype, shape, data.start).map(Some)
    }

    /// Numbers that lie one after the other; `None` where there are too many.
    fn packed(&self, range: Range<u64>) -> Result<Option<Vec<u64>>> {
        if range.end - range.start > 10 * MAX_DIMENSIONS as u64 {
            return Ok(None);
        }
        let bytes = self.file.read(range)?;
        let (mut c, mut found) = (Cursor::new(&bytes), Vec::new());
        while !c.rest().is_empty() {
            found.push(number(&mut c).ok_or_else(|| Error::corrupt("onnx: a number without an end"))?);
        }
        Ok(Some(found))
    }

    fn text(&self, range: Range<u64>) -> Result<Option<String>> {
        if range.end - range.start > MAX_TEXT {
            return Ok(None);
        }
        let bytes = self.file.read(range);
        match bytes {
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            bytes => Ok(String::from_utf8(bytes?.into_owned()).ok()),
        }
    }
}

/// Reads a number of up to 64 bits, seven bits a byte.
fn number(c: &mut Cursor<'_>) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..10 {
        let byte = c.u8().ok()?;
        let bits = u64::from(byte & 0x7F);
        if i == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The type with this number in TensorProto.
fn dtype(kind: u64) -> Option<Dtype> {
    Some(match kind {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        14 => Dtype::C64,
        15 => Dtype::C128,
        16 => Dtype::Bf16,
        17 => Dtype::F8E4m3,
        18 => Dtype::F8E4m3fnuz,
        19 => Dtype::F8E5m2,
        20 => Dtype::F8E5m2fnuz,
        23 => Dtype::F4,
        24 => Dtype::F8E8m0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut len = content.len();
        while len >= 0x80 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend(content);
        out
    }

    fn tensor(name: &str, kind: u8, dims: &[u8], data: (u8, &[u8])) -> Vec<u8> {
        let dims = dims.iter().flat_map(|d| [0x08, *d]);
        let mut out: Vec<u8> = dims.chain([0x10, kind]).collect();
        out.extend(bytes(data.0, data.1));
        out.extend(bytes(8, name.as_bytes()));
        out
    }

    fn model(tensors: &[Vec<u8>]) -> Vec<u8> {
        let mut graph = bytes(1, b"a node");
        graph.extend(tensors.iter().flat_map(|t| bytes(5, t)));
        graph.extend(bytes(2, b"graph"));
        let mut out = vec![0x08, 8];
        out.extend(bytes(2, b"a maker"));
        out.extend(bytes(7, &graph));
        out.extend([0x28, 1]);
        out
    }

    #[test]
    fn initialisers_are_found() {
        let packed = [bytes(1, &[2, 3]), vec![0x10, 16], bytes(9, &[7; 12]), bytes(8, b"packed")].concat();
        let file = model(&[
            tensor("a", 1, &[3], (9, &[7; 12])),
            tensor("b", 1, &[40], (4, &[7; 160])),
            tensor("short", 1, &[4], (9, &[7; 12])),
            tensor("integers", 7, &[1], (7, &[7; 8])),
            tensor("a", 3, &[2], (9, &[7; 2])),
            packed,
        ]);
        assert!(is_likely(&file));
        let layout = parse(&file).unwrap();
        let found: Vec<_> = layout.tensors.iter().map(|t| (t.name.as_str(), t.dtype, &t.shape[..])).collect();
        let expected: [(&str, Dtype, &[u64]); 3] =
            [("a", Dtype::F32, &[3]), ("b", Dtype::F32, &[40]), ("packed", Dtype::Bf16, &[2, 3])];
        assert_eq!(found, expected);
        for t in &layout.tensors {
            assert!(file[t.start as usize..t.end() as usize].iter().all(|b| *b == 7));
        }
        for cut in 0..file.len() {
            if let Ok(layout) = parse(&&file[..cut]) {
                assert!(layout.tensors.iter().all(|t| t.end() <= cut as u64));
            }
        }
    }

    #[test]
    fn other_bytes_are_errors() {
        for bad in [
            &b"\x08\x08\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"[..],
            b"\x0B",
            b"\x3A\x05\x2A\x7F",
            b"\xFF",
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
