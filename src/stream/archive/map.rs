//! Where the blocks of all streams of a file lie.

use super::super::models::StreamModels;
use super::super::options::DecodeOptions;
use super::source::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use crate::format::consts::{KIND_BLOCK, KIND_INDEX, KIND_MODEL, KIND_SKIPPABLE, KIND_TRAILER, MAX_TRAILER};
use crate::format::cursor::Parsed;
use crate::format::header::Header;
use crate::format::index::{Entry, Index};
use crate::format::section::{self, ModelSection};
use crate::format::tensors;
use crate::format::trailer::Trailer;
use crate::tensor::{Dtype, TensorInfo};
use std::io::{Read, Seek};

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlace {
    /// Offset of the block's first byte in the file.
    pub offset: u64,
    pub stored_len: u64,
    /// Offset of the block's first raw byte in the whole content.
    pub raw_start: u64,
    pub raw_len: u64,
}

impl BlockPlace {
    pub(super) fn raw_end(&self) -> u64 {
        self.raw_start + self.raw_len
    }
}

/// One stream of a file.
pub(super) struct StreamMap {
    pub offset: u64,
    pub stored_len: u64,
    pub index_len: u64,
    pub raw_start: u64,
    pub raw_len: u64,
    pub hash: Option<[u8; 32]>,
    pub blocks: Vec<BlockPlace>,
    pub models: StreamModels,
    pub embedded: u64,
    /// Tensors that the index names; starts count from the first raw byte of the file.
    pub tensors: Vec<TensorInfo>,
}

/// Reads a block header, whose kind byte may be wrong.
pub(super) fn block(bytes: &[u8]) -> Parsed<(BlockHeader, usize)> {
    match bytes.first() {
        Some(&kind) if kind != KIND_BLOCK => {
            Err(Error::corrupt(format!("a block expected, section kind {kind} found")).into())
        }
        _ => BlockHeader::parse(bytes),
    }
}

/// Maps all streams: backwards from the end through trailers and indexes; where that fails, front to
/// back through the sections, which finds out what is wrong.
pub(super) fn read<S: Read + Seek>(
    source: &mut Source<S>,
    options: &DecodeOptions,
) -> Result<Vec<StreamMap>> {
    if source.len() == 0 {
        return Err(Error::truncated("the file is empty: not even a stream header"));
    }
    let mut streams = match backwards(source, options) {
        Ok(streams) => streams,
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Truncated) => forwards(source, options)?,
        Err(e) => return Err(e),
    };
    let mut raw_start = 0u64;
    for stream in &mut streams {
        stream.raw_start = raw_start;
        stream.blocks.iter_mut().for_each(|b| b.raw_start += raw_start);
        stream.tensors.iter_mut().for_each(|t| t.start += raw_start);
        let end = raw_start.checked_add(stream.raw_len);
        raw_start = end.ok_or_else(|| Error::corrupt("more than 2^64 raw bytes"))?;
    }
    Ok(streams)
}

fn backwards<S: Read + Seek>(source: &mut Source<S>, options: &DecodeOptions) -> Result<Vec<StreamMap>> {
    let (mut streams, mut end) = (Vec::new(), source.len());
    while end > 0 {
        let tail = source.read(end.saturating_sub(MAX_TRAILER as u64), end.min(MAX_TRAILER as u64))?;
        let (trailer, len) =
            Trailer::parse_end(&tail).ok_or_else(|| Error::truncated("no trailer at the end"))?;
        let offset = trailer.body_len.checked_add(len as u64).and_then(|n| end.checked_sub(n));
        let offset = offset.ok_or_else(|| Error::corrupt("trailer: the stream is longer than the file"))?;
        let mut walk = Walk::start(source, offset, options)?;
        let body_end = end - len as u64;
        if trailer.index_len > 0 {
            walk.by_index(source, body_end - trailer.index_len, body_end)?;
        } else {
            while walk.at < body_end {
                if !walk.section(source, body_end)? {
                    return Err(Error::corrupt("a trailer inside the stream"));
                }
            }
        }
        streams.push(walk.finish(trailer, end)?);
        end = offset;
    }
    streams.reverse();
    Ok(streams)
}

fn forwards<S: Read + Seek>(source: &mut Source<S>, options: &DecodeOptions) -> Result<Vec<StreamMap>> {
    let (mut streams, mut offset) = (Vec::new(), 0);
    let all = source.len();
    while offset < all {
        let mut walk = Walk::start(source, offset, options)?;
        while walk.section(source, all)? {}
        let (trailer, len) = source.parse(walk.at, all, "the trailer", Trailer::parse)?;
        offset = walk.at + len as u64;
        streams.push(walk.finish(trailer, offset)?);
    }
    Ok(streams)
}

/// A stream while its sections are walked through.
struct Walk<'a> {
    options: &'a DecodeOptions,
    offset: u64,
    at: u64,
    raw: u64,
    entries: Vec<Entry>,
    index: Option<(u64, Index)>,
    blocks: Vec<BlockPlace>,
    models: StreamModels,
    embedded: u64,
}

impl<'a> Walk<'a> {
    fn start<S: Read + Seek>(
        source: &mut Source<S>,
        offset: u64,
        options: &'a DecodeOptions,
    ) -> Result<Self> {
        let all = source.len();
        let (_, len) = source.parse(offset, all, "the stream header", Header::parse)?;
        Ok(Self {
            options,
            offset,
            at: offset + len as u64,
            raw: 0,
            entries: Vec::new(),
            index: None,
            blocks: Vec::new(),
            models: StreamModels::new(options.models.clone()),
            embedded: 0,
        })
    }

    fn push(&mut self, entry: Entry) {
        if entry.raw_len > 0 {
            let (offset, raw_start) = (self.at, self.raw);
            let Entry { stored_len, raw_len } = entry;
            self.blocks.push(BlockPlace { offset, stored_len, raw_start, raw_len });
        }
        self.entries.push(entry);
        // Stored lengths are at most 2^40 and lie inside the file, which the callers check.
        self.at += entry.stored_len;
        self.raw += entry.raw_len;
    }

    fn model<S: Read + Seek>(&mut self, source: &mut Source<S>, len: u64) -> Result<()> {
        let bytes = source.read(self.at, len)?;
        let model = ModelSection::parse(section::body(&bytes).map_err(|e| e.at_end("a model section"))?)?;
        self.embedded += model.embedded.as_ref().map_or(0, |e| e.1.len() as u64);
        self.models.add(model, self.options.memory)
    }

    /// Walks past the section at `at`; false where it is the trailer.
    fn section<S: Read + Seek>(&mut self, source: &mut Source<S>, end: u64) -> Result<bool> {
        let kind = source.parse(self.at, end, "a section", |b| crate::format::cursor::Cursor::new(b).u8())?;
        let mut raw_len = 0;
        let stored_len = if kind == KIND_BLOCK {
            let (header, len) = source.parse(self.at, end, "a block header", block)?;
            raw_len = header.raw_len.into();
            len as u64 + u64::from(header.payload_len)
        } else if kind == KIND_TRAILER {
            return Ok(false);
        } else {
            source.parse(self.at, end, "a section", section::Start::parse)?.total()
        };
        if stored_len > end - self.at {
            let (at, left) = (self.at, end - self.at);
            return Err(Error::truncated(format!(
                "a section of {stored_len} bytes at offset {at}, {left} left"
            )));
        }
        match kind {
            KIND_BLOCK => {}
            KIND_MODEL => self.model(source, stored_len)?,
            KIND_INDEX => {
                self.index(source, stored_len)?;
                self.at += stored_len;
                return Ok(true);
            }
            _ if kind >= KIND_SKIPPABLE => {}
            0 => return Err(Error::corrupt("section kind: 1 or more expected, 0 found")),
            _ => {
                let message = format!("needs a newer nzip (section kind {kind})");
                return Err(Error::new(ErrorKind::NewerVersion, message));
            }
        }
        self.push(Entry { stored_len, raw_len });
        Ok(true)
    }

    fn index<S: Read + Seek>(&mut self, source: &mut Source<S>, len: u64) -> Result<()> {
        let bytes = source.read(self.at, len)?;
        let index = Index::parse(section::body(&bytes).map_err(|e| e.at_end("the index"))?)?;
        if self.index.is_some() || index.entries != self.entries {
            return Err(Error::corrupt("the index does not describe the sections before it"));
        }
        self.index = Some((len, index));
        Ok(())
    }

    /// Takes the sections from the index at `index_at` instead of reading them.
    fn by_index<S: Read + Seek>(&mut self, source: &mut Source<S>, index_at: u64, end: u64) -> Result<()> {
        let bytes = source.read(index_at, end - index_at)?;
        if bytes.first() != Some(&KIND_INDEX) {
            return Err(Error::corrupt(format!("no index at offset {index_at}")));
        }
        let index = Index::parse(section::body(&bytes).map_err(|e| e.at_end("the index"))?)?;
        for entry in &index.entries {
            if entry.stored_len > index_at.saturating_sub(self.at) {
                return Err(Error::corrupt("the index describes more than the stream"));
            }
            if entry.raw_len == 0 && source.read(self.at, 1)? == [KIND_MODEL] {
                self.model(source, entry.stored_len)?;
            }
            self.push(*entry);
        }
        if self.at != index_at {
            let found = index_at.saturating_sub(self.at);
            return Err(Error::corrupt(format!("{found} bytes before the index that it does not describe")));
        }
        self.index = Some((end - index_at, index));
        self.at = end;
        Ok(())
    }

    fn finish(self, trailer: Trailer, end: u64) -> Result<StreamMap> {
        let index_len = self.index.as_ref().map_or(0, |i| i.0);
        let found = Trailer { body_len: self.at - self.offset, index_len };
        if trailer != found {
            return Err(Error::corrupt(format!("trailer: {found:?} expected, {trailer:?} found")));
        }
        if self.index.is_none() && self.blocks.len() > 1 {
            return Err(Error::corrupt("a stream of several blocks without an index"));
        }
        let record = self.index.as_ref().and_then(|(_, i)| i.records.iter().find(|r| r.tag == tensors::TAG));
        let tensors = record.map(|r| named(&r.bytes, self.raw, self.options.memory)).transpose()?;
        Ok(StreamMap {
            tensors: tensors.unwrap_or_default(),
            offset: self.offset,
            stored_len: end - self.offset,
            index_len,
            raw_start: 0,
            raw_len: self.raw,
            hash: self.index.map(|(_, i)| i.hash),
            blocks: self.blocks,
            models: self.models,
            embedded: self.embedded,
        })
    }
}

/// The tensors that a record names. Those of types that this release does not know are left out.
fn named(record: &[u8], raw_len: u64, memory: u64) -> Result<Vec<TensorInfo>> {
    let mut c = crate::format::cursor::Cursor::new(record);
    let most = (record.len() as u64) << 15;
    let len = c.varint_in("length of the names", 1..=most).map_err(|e| e.at_end("the names"))?;
    if len > memory {
        return Err(Error::limit(format!("names of {len} bytes; the cap is {memory}")));
    }
    let mut plain = Vec::new();
    crate::codec::decode::resize(&mut plain, len as usize)?;
    crate::codec::zstd::decompress(c.rest(), &mut plain)?;
    let mut found = Vec::new();
    for t in tensors::parse(&plain, raw_len)? {
        let Some(dtype) = Dtype::from_id(t.dtype) else { continue };
        let info = TensorInfo::new(t.name, dtype, t.shape, t.start)?;
        if info.len != t.len {
            let (name, found) = (info.name, t.len);
            return Err(Error::corrupt(format!(
                "tensor {name:?}: {} bytes expected, {found} found",
                info.len
            )));
        }
        found.push(info);
    }
    Ok(found)
}
