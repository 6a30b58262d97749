//! Finds NumPy arrays in `.npz` files, which are ZIP archives. Only members stored uncompressed are found.

use super::content::{self, Content};
use super::{FileKind, Layout, npy};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parse, Parsed};

/// The first bytes of a member's local header.
pub const MAGIC: [u8; 4] = *b"PK\x03\x04";
/// Id of the ZIP64 extra field.
const ZIP64: u16 = 1;

/// One member of a ZIP archive, as its local header describes it.
struct Member {
    name: Vec<u8>,
    stored: bool,
    /// Length of the content in bytes; `None` where the header does not give it (a data descriptor follows
    /// the content).
    len: Option<u64>,
}

/// Finds the arrays of a whole file by walking from member to member. The walk ends at the first thing that
/// is not a member of known length; whatever follows is ignored.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where the file does not start with a member, or where two arrays share a
/// name; those of reading.
pub(crate) fn parse(file: &dyn Content) -> Result<Layout> {
    let len = file.len();
    if *file.read(0..len.min(4))? != MAGIC {
        return Err(Error::corrupt("npz: no ZIP archive"));
    }
    let (mut tensors, mut at) = (Vec::new(), 0);
    while let Some((member, content)) = known(content::parse(file, at..len, "a member", member))? {
        let start = at + content;
        let end = member.len.and_then(|n| start.checked_add(n));
        let Some(end) = end.filter(|end| *end <= len) else { break };
        let name = std::str::from_utf8(&member.name).ok().map(|n| n.strip_suffix(".npy").unwrap_or(n));
        if let Some(name) = name.filter(|_| member.stored)
            && let Some(mut tensor) =
                known(content::parse(file, start..end, "an array", |head| npy::array(head, name)))?
            && tensor.end() == end - start
        {
            tensor.start += start;
            tensors.push(tensor);
        }
        at = end;
    }
    Layout::new(FileKind::Npz, tensors, len)
}

/// The parsed structure; `None` if something else stands there.
fn known<T>(parsed: Result<T>) -> Result<Option<T>> {
    match parsed {
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        parsed => Ok(parsed.ok()),
    }
}

/// Reads a local header and returns it with its length in bytes.
fn member(bytes: &[u8]) -> Parsed<(Member, u64)> {
    let mut c = Cursor::new(bytes);
    if c.take(4)? != MAGIC {
        return Err(Error::corrupt("npz: no member starts here").into());
    }
    let (_version, flags, method) = (c.u16()?, c.u16()?, c.u16()?);
    c.take(4 + 4)?; // time, CRC
    let (packed, raw) = (c.u32()?, c.u32()?);
    let (name_len, extra_len) = (c.u16()?, c.u16()?);
    let name = c.take(name_len.into())?.to_vec();
    let mut len = Some(u64::from(packed));
    if packed == u32::MAX {
        len = zip64(c.clone().take(extra_len.into())?, raw == u32::MAX);
    }
    c.take(extra_len.into())?;
    // Bit 3: the lengths follow the content. Bit 0: the content is encrypted.
    let known = flags & 0b1000 == 0;
    Ok((Member { name, stored: method == 0 && flags & 1 == 0, len: len.filter(|_| known) }, c.pos() as u64))
}

/// The compressed length from the ZIP64 extra field. Where `raw_too`, the uncompressed length comes before
/// it.
fn zip64(extra: &[u8], raw_too: bool) -> Option<u64> {
    let mut c = Cursor::new(extra);
    let mut find = || -> Parsed<u64> {
        loop {
            let (id, len) = (c.u16()?, c.u16()?);
            let mut field = Cursor::new(c.take(len.into())?);
            if id == ZIP64 {
                if raw_too {
                    field.u64()?;
                }
                return field.u64();
            }
        }
    };
    find().map_err(|e: Parse| e).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn put(out: &mut Vec<u8>, name: &str, method: u16, flags: u16, content: &[u8], big: bool) {
        out.extend(MAGIC);
        out.extend(20u16.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.extend(method.to_le_bytes());
        out.extend([0; 8]);
        let len = if big { u32::MAX } else { content.len() as u32 };
        out.extend(len.to_le_bytes());
        out.extend(len.to_le_bytes());
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(if big { 20u16 } else { 0 }.to_le_bytes());
        out.extend(name.as_bytes());
        if big {
            out.extend([1, 0, 16, 0]);
            out.extend((content.len() as u64).to_le_bytes());
            out.extend((content.len() as u64).to_le_bytes());
        }
        out.extend(content);
    }

    fn array(n: usize) -> Vec<u8> {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n},), }}\n");
        let mut out = npy::MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.as_bytes());
        out.resize(out.len() + 4 * n, 9);
        out
    }

    #[test]
    fn finds_stored_arrays() {
        let mut file = Vec::new();
        put(&mut file, "a.npy", 0, 0, &array(3), true);
        put(&mut file, "packed.npy", 8, 0, b"deflated bytes", false);
        put(&mut file, "note.txt", 0, 0, b"text", false);
        put(&mut file, "b.npy", 0, 0, &array(5), false);
        file.extend(b"PK\x01\x02 and so on");
        let layout = parse(&file).unwrap();
        let names: Vec<_> = layout.tensors.iter().map(|t| (t.name.as_str(), t.dtype, t.len)).collect();
        assert_eq!(names, [("a", Dtype::F32, 12), ("b", Dtype::F32, 20)]);
        for t in &layout.tensors {
            assert!(file[t.start as usize..t.end() as usize].iter().all(|b| *b == 9));
        }
        for cut in 0..file.len() {
            if let Ok(layout) = parse(&&file[..cut]) {
                assert!(layout.tensors.iter().all(|t| t.end() <= cut as u64));
            }
        }
    }

    #[test]
    fn walks_end_at_what_is_unknown() {
        let mut file = Vec::new();
        put(&mut file, "a.npy", 0, 0, &array(3), false);
        put(&mut file, "b.npy", 0, 8, &array(3), false);
        put(&mut file, "c.npy", 0, 0, &array(3), false);
        assert_eq!(parse(&file).unwrap().tensors.len(), 1);
        let mut twice = Vec::new();
        put(&mut twice, "a.npy", 0, 0, &array(3), false);
        put(&mut twice, "a.npy", 0, 0, &array(3), false);
        assert!(parse(&twice).is_err());
        assert!(parse(&&b"nothing"[..]).is_err());
    }
}
