//! Reads the directory of ZIP archives.

use super::content::{self, Content};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
/// The lengths of the end record without its comment, of the ZIP64 locator before it, and of a local header
/// without its name and extra fields.
const END_LEN: u64 = 22;
const LOCATOR_LEN: u64 = 20;
const LOCAL_LEN: u64 = 30;
/// The longest comment after the end record.
const MAX_COMMENT: u64 = 0xFFFF;
/// The longest directory that is read, in bytes.
const MAX_DIRECTORY: u64 = 16 << 20;
/// Id of the ZIP64 extra field.
const ZIP64: u16 = 1;

/// A member of an archive, as its directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    /// Whether the content lies in the archive as it is.
    pub stored: bool,
    /// The length of the content in the archive, in bytes.
    pub len: u64,
    /// The offset of the local header.
    header: u64,
}

/// The members that the directory at the end of the archive lists.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] and [`crate::ErrorKind::Truncated`] where there is no directory, or one
/// that breaks the rules; those of reading.
pub fn directory(file: &dyn Content) -> Result<Vec<Entry>> {
    let (start, len) = find(file)?;
    let end = start.checked_add(len).filter(|end| *end <= file.len() && len <= MAX_DIRECTORY);
    let end = end.ok_or_else(|| Error::corrupt(format!("zip: a directory of {len} bytes at {start}")))?;
    let bytes = file.read(start..end)?;
    let mut c = Cursor::new(&bytes);
    let mut entries = Vec::new();
    while !c.rest().is_empty() {
        entries.push(entry(&mut c).map_err(|e| e.at_end("the directory"))?);
    }
    Ok(entries)
}

/// The offset of a member's content.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] where there is no local header, or the content would end past the file;
/// those of reading.
pub fn content_start(file: &dyn Content, entry: &Entry) -> Result<u64> {
    let len = file.len();
    if entry.header > len {
        return Err(Error::corrupt("zip: a member that starts past the end"));
    }
    let rest = content::parse(file, entry.header..len, "a member", |head| {
        let mut c = Cursor::new(head);
        if c.take(4)? != LOCAL {
            return Err(Error::corrupt("zip: no member starts here").into());
        }
        c.take(22)?;
        Ok(LOCAL_LEN + u64::from(c.u16()?) + u64::from(c.u16()?))
    })?;
    let start = entry.header + rest;
    let fits = start.checked_add(entry.len).is_some_and(|end| end <= len);
    if fits { Ok(start) } else { Err(Error::corrupt("zip: a member that ends past the end")) }
}

/// The place and length of the directory.
fn find(file: &dyn Content) -> Result<(u64, u64)> {
    let len = file.len();
    let from = len.saturating_sub(END_LEN + MAX_COMMENT);
    let tail = file.read(from..len)?;
    // The end record whose comment ends where the file ends; the last one, where several do.
    let is_end = |at: &usize| {
        let record = &tail[*at..];
        let comment = record.len() - END_LEN as usize;
        record.starts_with(&END) && record[20..22] == (comment as u16).to_le_bytes()
    };
    let last = tail.len().checked_sub(END_LEN as usize);
    let at = last.and_then(|last| (0..=last).rev().find(is_end));
    let at = at.ok_or_else(|| Error::corrupt("zip: no directory"))?;
    let word =
        |i: usize| u32::from_le_bytes([tail[at + i], tail[at + i + 1], tail[at + i + 2], tail[at + i + 3]]);
    let (size, start) = (word(12), word(16));
    if size != u32::MAX && start != u32::MAX {
        return Ok((start.into(), size.into()));
    }
    let end = from + at as u64;
    find64(file, end)
}

/// The place and length of a directory whose end record, at offset `end`, refers to a ZIP64 one.
fn find64(file: &dyn Content, end: u64) -> Result<(u64, u64)> {
    let at = end.checked_sub(LOCATOR_LEN).ok_or_else(|| Error::corrupt("zip: no ZIP64 locator"))?;
    let record = content::parse(file, at..end, "the ZIP64 locator", |bytes| {
        let mut c = Cursor::new(bytes);
        if c.take(4)? != LOCATOR64 {
            return Err(Error::corrupt("zip: no ZIP64 locator").into());
        }
        c.u32()?;
        c.u64()
    })?;
    if record > at {
        return Err(Error::corrupt("zip: a ZIP64 record past its locator"));
    }
    content::parse(file, record..at, "the ZIP64 record", |bytes| {
        let mut c = Cursor::new(bytes);
        if c.take(4)? != END64 {
            return Err(Error::corrupt("zip: no ZIP64 record").into());
        }
        c.take(8 + 4 + 8 + 16)?;
        let size = c.u64()?;
        Ok((c.u64()?, size))
    })
}

/// Reads an entry of the directory.
fn entry(c: &mut Cursor<'_>) -> Parsed<Entry> {
    if c.take(4)? != ENTRY {
        return Err(Error::corrupt("zip: no entry of a directory").into());
    }
    c.take(4)?; // versions
    let (flags, method) = (c.u16()?, c.u16()?);
    c.take(8)?; // time, CRC
    let (packed, raw) = (c.u32()?, c.u32()?);
    let (name_len, extra_len, comment_len) = (c.u16()?, c.u16()?, c.u16()?);
    c.take(8)?; // disk, attributes
    let start = c.u32()?;
    let name = c.take(name_len.into())?.to_vec();
    let mut extra = Cursor::new(c.take(extra_len.into())?);
    c.take(comment_len.into())?;
    let (mut len, mut header) = (u64::from(packed), u64::from(start));
    if [packed, raw, start].contains(&u32::MAX) {
        let mut field = zip64(&mut extra)?;
        if raw == u32::MAX {
            field.u64()?;
        }
        len = if packed == u32::MAX { field.u64()? } else { len };
        header = if start == u32::MAX { field.u64()? } else { header };
    }
    // Bit 0: the content is encrypted.
    Ok(Entry { name, stored: method == 0 && flags & 1 == 0, len, header })
}

/// The ZIP64 field among extra fields.
fn zip64<'a>(extra: &mut Cursor<'a>) -> Parsed<Cursor<'a>> {
    loop {
        let (id, len) = (extra.u16()?, extra.u16()?);
        let field = extra.take(len.into())?;
        if id == ZIP64 {
            return Ok(Cursor::new(field));
        }
    }
}

/// Writes archives to test with.
#[cfg(test)]
pub mod build {
    use super::*;

    /// An archive of stored members, whose local headers leave out lengths, as PyTorch writes them. With
    /// `big`, lengths and offsets are in ZIP64 fields.
    pub fn archive(members: &[(&str, &[u8])], big: bool) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, content) in members {
            let header = out.len() as u64;
            out.extend(LOCAL);
            out.extend([20, 0, 8, 8, 0, 0]);
            out.extend([0; 16]);
            out.extend((name.len() as u16).to_le_bytes());
            out.extend(7u16.to_le_bytes());
            out.extend(name.as_bytes());
            out.extend(b"FB\x03\0ZZZ");
            out.extend(*content);
            out.extend(b"PK\x07\x08");
            out.extend([0; 12]);
            directory.extend(ENTRY);
            directory.extend([20, 0, 20, 0, 8, 8, 0, 0]);
            directory.extend([0; 8]);
            let lens = if big { u32::MAX } else { content.len() as u32 };
            directory.extend(lens.to_le_bytes());
            directory.extend(lens.to_le_bytes());
            directory.extend((name.len() as u16).to_le_bytes());
            directory.extend(if big { 28u16 } else { 0 }.to_le_bytes());
            directory.extend([0; 10]);
            directory.extend(if big { u32::MAX } else { header as u32 }.to_le_bytes());
            directory.extend(name.as_bytes());
            if big {
                directory.extend([1, 0, 24, 0]);
                [content.len(), content.len(), header].iter().for_each(|n| directory.extend(n.to_le_bytes()));
            }
        }
        let (start, len) = (out.len() as u64, directory.len() as u64);
        out.extend(directory);
        if big {
            let record = out.len() as u64;
            out.extend(END64);
            out.extend([0; 8 + 4 + 8 + 16]);
            out.extend(len.to_le_bytes());
            out.extend(start.to_le_bytes());
            out.extend(LOCATOR64);
            out.extend([0; 4]);
            out.extend(record.to_le_bytes());
            out.extend([0; 4]);
        }
        out.extend(END);
        out.extend([0; 8]);
        let (len, start) = if big { (u32::MAX, u32::MAX) } else { (len as u32, start as u32) };
        out.extend(len.to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend(5u16.to_le_bytes());
        out.extend(b"words");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_list_members() {
        for big in [false, true] {
            let file = build::archive(&[("a", b"first"), ("b/c", b""), ("d", b"third")], big);
            let entries = directory(&file).unwrap();
            let names: Vec<_> = entries.iter().map(|e| (&e.name[..], e.len, e.stored)).collect();
            assert_eq!(names, [(&b"a"[..], 5, true), (b"b/c", 0, true), (b"d", 5, true)]);
            let start = content_start(&file, &entries[2]).unwrap() as usize;
            assert_eq!(&file[start..start + 5], b"third");
            for cut in 0..file.len() {
                assert!(directory(&&file[..cut]).is_err());
            }
            let far = Entry { len: u64::MAX, ..entries[2].clone() };
            assert!(content_start(&file, &far).is_err());
            let far = Entry { header: u64::MAX, ..entries[2].clone() };
            assert!(content_start(&file, &far).is_err());
        }
    }
}
