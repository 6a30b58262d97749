//! The index of a stream: the lengths of its sections, and the hash of its raw bytes.

use super::consts::{KIND_INDEX, MAX_RECORDS};
use super::cursor::{Cursor, Parsed};
use super::{section, varint};
use crate::error::{Error, ErrorKind, Result};

/// The index entry of one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Length of the whole section in bytes, at least 1.
    pub stored_len: u64,
    /// Raw length of a block in bytes; 0 for other sections.
    pub raw_len: u64,
}

impl Entry {
    /// Appends the entry.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.stored_len);
        varint::put(out, self.raw_len);
    }
}

/// A tagged record of an index. A reader must understand odd tags and may ignore even ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The tag, which says what the record holds.
    pub tag: u64,
    /// The content of the record.
    pub bytes: Vec<u8>,
}

/// The body of an index section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// One entry for each section between the header and the index, in order.
    pub entries: Vec<Entry>,
    /// BLAKE3 of the stream's raw bytes.
    pub hash: [u8; 32],
    /// Tagged records: names of tensors ([`super::tensors`]), and room for later releases.
    pub records: Vec<Record>,
}

impl Index {
    /// Appends the index section.
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        varint::put(&mut body, self.entries.len() as u64);
        self.entries.iter().for_each(|e| e.put(&mut body));
        body.extend_from_slice(&self.hash);
        varint::put(&mut body, self.records.len() as u64);
        for record in &self.records {
            varint::put(&mut body, record.tag);
            varint::put(&mut body, record.bytes.len() as u64);
            body.extend_from_slice(&record.bytes);
        }
        section::put(out, KIND_INDEX, &body);
    }

    /// Reads the body of an index section.
    ///
    /// # Errors
    ///
    /// `Corrupt`, or `NewerVersion` for a record with an odd tag.
    #[cfg(test)]
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut entries = Vec::new();
        let (hash, records) = Self::parse_with(body, |e| entries.push(e))?;
        Ok(Self { entries, hash, records })
    }

    /// Reads the body of an index section, and passes its entries to `entry` in order; returns the hash and
    /// the records.
    ///
    /// # Errors
    ///
    /// See [`Self::parse`]. Entries may have been passed on before the error.
    pub fn parse_with(body: &[u8], entry: impl FnMut(Entry)) -> Result<([u8; 32], Vec<Record>)> {
        let mut c = Cursor::new(body);
        let (hash, records) = Self::fields(&mut c, entry).map_err(|e| {
            let e = e.at_end("the index");
            // The length of the section has been checked, so an index that needs more bytes is corrupt, not
            // truncated.
            if e.kind() == ErrorKind::Truncated { Error::corrupt(format!("index: {e}")) } else { e }
        })?;
        if !c.rest().is_empty() {
            return Err(Error::corrupt(format!("index: {} bytes too many", c.rest().len())));
        }
        match records.iter().find(|r| r.tag % 2 == 1) {
            Some(r) => {
                let found = format!("needs a newer nzip (index record {})", r.tag);
                Err(Error::new(ErrorKind::NewerVersion, found))
            }
            None => Ok((hash, records)),
        }
    }

    fn fields(c: &mut Cursor<'_>, mut entry: impl FnMut(Entry)) -> Parsed<([u8; 32], Vec<Record>)> {
        let count = c.varint("number of index entries")?;
        c.expect(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(2))?;
        for _ in 0..count {
            let stored_len = c.varint_in("stored length in the index", 1..=1 << 40)?;
            let raw_len = c.varint_in("raw length in the index", 0..=super::consts::MAX_BLOCK_RAW)?;
            entry(Entry { stored_len, raw_len });
        }
        let hash = c.hash()?;
        let (mut records, count) = (Vec::new(), c.varint("number of index records")?);
        c.expect(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(2))?;
        if count > MAX_RECORDS {
            return Err(
                Error::corrupt(format!("{count} index records; at most {MAX_RECORDS} are allowed")).into()
            );
        }
        for _ in 0..count {
            let tag = c.varint("tag of an index record")?;
            let len = c.varint("length of an index record")?;
            let bytes = c.take(usize::try_from(len).unwrap_or(usize::MAX))?.to_vec();
            records.push(Record { tag, bytes });
        }
        Ok((hash, records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(tag: u64) -> Index {
        Index {
            entries: vec![Entry { stored_len: 99, raw_len: 12345 }, Entry { stored_len: 300, raw_len: 0 }],
            hash: [0xA5; 32],
            records: vec![Record { tag, bytes: vec![1, 2] }],
        }
    }

    #[test]
    fn round_trip() {
        let mut out = Vec::new();
        sample(2).put(&mut out);
        assert_eq!(Index::parse(section::body(&out).unwrap()).unwrap(), sample(2));
    }

    #[test]
    fn odd_records_must_be_understood() {
        let mut out = Vec::new();
        sample(5).put(&mut out);
        let e = Index::parse(section::body(&out).unwrap()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NewerVersion);
        assert!(e.to_string().contains("record 5"));
    }
}
