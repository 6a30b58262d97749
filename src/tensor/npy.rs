//! Reads and writes headers of `.npy` files, which hold one NumPy array.

use super::{Dtype, FileKind, Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};

/// The first bytes of a file.
pub const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// The longest header that is read, in bytes. (NumPy itself refuses more than 10,000 by default.)
const MAX_HEADER: usize = 1 << 16;

/// Reads the header of a file of `file_len` bytes and returns the layout, in which the array is called
/// `name`.
///
/// # Errors
///
/// `Parse::Need` where `bytes` ends inside the header; `Parse::Bad` where it is not a `.npy` file, or the
/// element type is not a plain little-endian number.
pub(crate) fn parse(bytes: &[u8], file_len: u64, name: &str) -> Parsed<Layout> {
    let tensor = array(bytes, name)?;
    if tensor.end() != file_len {
        let end = tensor.end();
        return Err(Error::corrupt(format!("npy: the array ends at {end}, the file at {file_len}")).into());
    }
    Ok(Layout::new(FileKind::Npy, vec![tensor], file_len)?)
}

/// Reads the header at the start of `bytes` and returns its array, called `name`. An array in Fortran order
/// gets its shape reversed, so that the dimension that varies fastest is last.
pub(crate) fn array(bytes: &[u8], name: &str) -> Parsed<TensorInfo> {
    let mut c = Cursor::new(bytes);
    if bytes.iter().zip(MAGIC).any(|(a, b)| *a != b) {
        return Err(Error::corrupt("npy: magic expected").into());
    }
    c.take(6)?;
    let (major, _minor) = (c.u8()?, c.u8()?);
    let len = match major {
        1 => usize::from(c.u16()?),
        2 | 3 => c.u32()? as usize,
        other => return Err(Error::corrupt(format!("npy: version {other}")).into()),
    };
    if len > MAX_HEADER {
        return Err(Error::corrupt(format!("npy: a header of {len} bytes")).into());
    }
    let text = c.take(len)?;
    let start = c.pos() as u64;
    let (dtype, shape) = Literal { rest: text }.header()?;
    Ok(TensorInfo::new(name.into(), dtype, shape, start)?)
}

/// The types that NumPy has, in its words.
const DTYPES: [(&str, Dtype); 14] = [
    ("|b1", Dtype::Bool),
    ("|u1", Dtype::U8),
    ("|i1", Dtype::I8),
    ("<u2", Dtype::U16),
    ("<i2", Dtype::I16),
    ("<u4", Dtype::U32),
    ("<i4", Dtype::I32),
    ("<u8", Dtype::U64),
    ("<i8", Dtype::I64),
    ("<f2", Dtype::F16),
    ("<f4", Dtype::F32),
    ("<f8", Dtype::F64),
    ("<c8", Dtype::C64),
    ("<c16", Dtype::C128),
];

fn dtype(descr: &[u8]) -> Option<Dtype> {
    DTYPES.iter().find(|(name, _)| name.as_bytes() == descr).map(|(_, dtype)| *dtype)
}

/// The header of a `.npy` file of a tensor. Elements of one or two bytes whose type NumPy
/// lacks (bf16, f8) become bytes without meaning (`|V2`, `|V1`), which a view gives one. `None` for types whose
/// elements do not fill bytes, or come in blocks, and for shapes that no header can hold.
///
/// ```
/// use nzip::tensor::{Dtype, npy};
/// let header = npy::header_of(Dtype::F32, &[3, 4]).unwrap();
/// assert_eq!((&header[..6], header.len()), (&npy::MAGIC[..], 128));
/// assert_eq!(npy::header_of(Dtype::F4, &[3, 4]), None);
/// ```
pub fn header_of(dtype: Dtype, shape: &[u64]) -> Option<Vec<u8>> {
    /// The multiple of bytes to which `numpy.lib.format` aligns data.
    const ALIGNED: usize = 64;
    let descr = match (DTYPES.iter().find(|d| d.1 == dtype), dtype, dtype.group()) {
        (Some((name, _)), ..) => *name,
        (None, Dtype::Ggml(_), _) => return None,
        (None, _, (1, 1)) => "|V1",
        (None, _, (1, 2)) => "|V2",
        _ => return None,
    };
    let comma = if shape.len() == 1 { "," } else { "" };
    let sizes = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}{comma}), }}");
    // Magic, version and length take ten bytes, and a line feed ends the text.
    let all = (10 + text.len() + 1).next_multiple_of(ALIGNED);
    let len = u16::try_from(all - 10).ok()?;
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend(len.to_le_bytes());
    out.extend(text.as_bytes());
    out.resize(all - 1, b' ');
    out.push(b'\n');
    Some(out)
}

/// A reader of Python literals, for the part of their grammar that headers use.
struct Literal<'a> {
    rest: &'a [u8],
}

impl<'a> Literal<'a> {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, with its keys in any order.
    fn header(mut self) -> Result<(Dtype, Vec<u64>)> {
        let (mut found, mut fortran, mut shape) = (None, None, None);
        self.token(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.token(b':')?;
            match key {
                b"descr" => {
                    let descr = self.string()?;
                    let known = dtype(descr).ok_or_else(|| self.bad(&format!("type {descr:?}")));
                    found = Some(known?);
                }
                b"fortran_order" => fortran = Some(self.truth()?),
                b"shape" => shape = Some(self.tuple()?),
                _ => return Err(self.bad("an unknown key")),
            }
            if !self.take(b',') {
                self.token(b'}')?;
                break;
            }
        }
        self.space();
        match (found, fortran, shape) {
            (Some(dtype), Some(fortran), Some(mut shape)) if self.rest.is_empty() => {
                if fortran {
                    shape.reverse();
                }
                Ok((dtype, shape))
            }
            _ => Err(self.bad("not one dictionary of type, order and shape")),
        }
    }

    fn bad(&self, what: &str) -> Error {
        Error::corrupt(format!("npy header, {} bytes before its end: {what}", self.rest.len()))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn token(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(self.bad(&format!("{:?} expected", byte as char))) }
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let quote = if self.take(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.token(quote)?;
        }
        let len = self.rest.iter().position(|b| *b == quote).ok_or_else(|| self.bad("an open string"))?;
        let text = &self.rest[..len];
        self.rest = &self.rest[len + 1..];
        if text.contains(&b'\\') { Err(self.bad("an escape")) } else { Ok(text) }
    }

    fn truth(&mut self) -> Result<bool> {
        self.space();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.bad("True or False expected"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>> {
        let mut out = Vec::new();
        self.token(b'(')?;
        while !self.take(b')') {
            self.space();
            let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let text = std::str::from_utf8(&self.rest[..digits]).unwrap_or_default();
            out.push(text.parse().map_err(|_| self.bad("a whole number expected"))?);
            self.rest = &self.rest[digits..];
            // Python 2 wrote long integers with an L.
            self.take(b'L');
            if !self.take(b',') {
                self.token(b')')?;
                break;
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cursor::Parse;

    pub(crate) fn header(version: u8, text: &str) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([version, 0]);
        match version {
            1 => out.extend((text.len() as u16).to_le_bytes()),
            _ => out.extend((text.len() as u32).to_le_bytes()),
        }
        out.extend(text.as_bytes());
        out
    }

    fn read(text: &str, data: usize) -> Parsed<TensorInfo> {
        let mut file = header(1, text);
        file.resize(file.len() + data, 0);
        parse(&file, file.len() as u64, "x").map(|mut l| l.tensors.remove(0))
    }

    #[test]
    fn reads_what_numpy_writes() {
        let c = read("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n", 48).unwrap();
        assert_eq!((c.dtype, &c.shape[..], c.len), (Dtype::F32, &[3, 4][..], 48));
        let f = read("{'descr': '<u2', 'fortran_order': True, 'shape': (3, 4), }\n", 24).unwrap();
        assert_eq!((f.dtype, &f.shape[..]), (Dtype::U16, &[4, 3][..]));
        assert_eq!(read("{\"shape\": (), 'fortran_order':False,'descr':'|b1'}", 1).unwrap().len, 1);
        assert_eq!(
            read("{'descr': '<i8', 'fortran_order': False, 'shape': (5L,), }", 40).unwrap().shape,
            [5]
        );
        for version in [1, 2, 3] {
            let file = header(version, "{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }");
            for cut in 0..file.len() {
                assert!(matches!(array(&file[..cut], "x"), Err(Parse::Need(n)) if n > cut));
            }
            assert_eq!(array(&file, "x").unwrap().len, 2);
        }
    }

    #[test]
    fn headers_are_read_as_they_were_written() {
        for (dtype, shape) in
            [(Dtype::F32, &[3, 4][..]), (Dtype::Bool, &[]), (Dtype::I64, &[5]), (Dtype::C128, &[0, 7])]
        {
            let header = header_of(dtype, shape).unwrap();
            assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
            let array = array(&header, "x").unwrap();
            assert_eq!((array.dtype, &array.shape[..], array.start), (dtype, shape, header.len() as u64));
        }
        let text = |dtype| String::from_utf8_lossy(&header_of(dtype, &[2]).unwrap()[10..]).into_owned();
        assert!(text(Dtype::Bf16).starts_with("{'descr': '|V2', 'fortran_order': False, 'shape': (2,), }"));
        assert!(text(Dtype::F8E4m3).contains("'|V1'"));
        assert_eq!(header_of(Dtype::F6E2m3, &[4]), None);
        assert_eq!(header_of(Dtype::F32, &[1; 40_000]), None, "too long");
    }

    #[test]
    fn broken_rules() {
        for (text, data) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", 47),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }", 48),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8),
            ("{'fortran_order': False, 'shape': (3, 4), }", 48),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4), }", 48),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3 4), }", 48),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }", 48),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 0),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", 0),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", 4),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", 4),
            ("{'descr': '<f4", 4),
            ("", 0),
        ] {
            assert!(matches!(read(text, data), Err(Parse::Bad(_))), "{text}");
        }
        assert!(array(&header(2, &" ".repeat(1 << 17)), "x").is_err());
        assert!(array(&header(4, ""), "x").is_err());
    }
}
