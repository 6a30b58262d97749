//! The map of a file: where the blocks of all its streams are.

use super::super::options::DecodeOptions;
use super::source::Source;
use crate::container::{self, Event, Input, Payloads, RawBlock, StreamEnd, Walk};
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use crate::format::consts::{KIND_BLOCK, KIND_INDEX, MAX_TRAILER, max_unpacked};
use crate::format::cursor::{Parsed, in_range};
use crate::format::index::{Entry, Index};
use crate::format::member::MemberSection;
use crate::format::section::{self, ModelSection};
use crate::format::trailer::Trailer;
use crate::format::{search, tensors};
use crate::models::StreamModels;
use crate::tensor::{Dtype, TensorInfo};
use std::io::{Read, Seek};
use std::ops::Range;

/// The place of a block in the file and in the content.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlace {
    /// The offset of the block's first byte in the file.
    pub offset: u64,
    pub stored_len: u64,
    /// The offset of the block's first raw byte in the whole content.
    pub raw_start: u64,
    pub raw_len: u64,
    /// The number of model sections of the stream before the block.
    pub models: u32,
}

impl BlockPlace {
    pub(super) fn raw_end(&self) -> u64 {
        self.raw_start + self.raw_len
    }
}

/// One stream of a file.
pub(super) struct StreamMap {
    pub offset: u64,
    /// The length of the stream's header if it has not been read yet.
    pub unread_header: Option<u64>,
    pub stored_len: u64,
    pub index_len: u64,
    pub raw_start: u64,
    pub raw_len: u64,
    /// The number of blocks in earlier streams.
    pub first_block: usize,
    pub hash: Option<[u8; 32]>,
    pub blocks: Vec<BlockPlace>,
    pub models: StreamModels,
    pub embedded: u64,
    /// The tensors that the index names. Their starts count from the first raw byte of the file.
    pub tensors: Vec<TensorInfo>,
    /// Where the file says which words its blocks may hold.
    pub search: Option<Range<u64>>,
    /// The file that the stream holds, if it belongs to a family.
    pub member: Option<MemberSection>,
    /// The error in the tensors' names, if there is one.
    pub names_error: Option<Error>,
}

/// Reads a block header; the kind byte before it may be wrong.
pub(super) fn block(bytes: &[u8]) -> Parsed<(BlockHeader, usize)> {
    match bytes.first() {
        Some(&kind) if kind != KIND_BLOCK => {
            Err(Error::corrupt(format!("a block expected, section kind {kind} found")).into())
        }
        _ => BlockHeader::parse(bytes),
    }
}

/// Maps all streams: backwards from the end, through trailers and indexes. Where that fails, front to back
/// through the sections, which finds out what is wrong.
pub(super) fn read<S: Read + Seek>(
    source: &mut Source<S>,
    options: &DecodeOptions,
) -> Result<Vec<StreamMap>> {
    if source.len() == 0 {
        return Err(Error::truncated("the file is empty: not even a stream header"));
    }
    let mut streams = match backwards(source, options) {
        Ok(streams) => streams,
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotNz | ErrorKind::Truncated) => {
            forwards(source, options)?
        }
        Err(e) => return Err(e),
    };
    let (mut raw_start, mut first_block) = (0u64, 0);
    for stream in &mut streams {
        stream.raw_start = raw_start;
        stream.blocks.iter_mut().for_each(|b| b.raw_start += raw_start);
        stream.tensors.iter_mut().for_each(|t| t.start += raw_start);
        stream.first_block = first_block;
        first_block += stream.blocks.len();
        let end = raw_start.checked_add(stream.raw_len);
        raw_start = end.ok_or_else(|| Error::corrupt("more than 2^64 raw bytes"))?;
    }
    Ok(streams)
}

fn backwards<S: Read + Seek>(source: &mut Source<S>, options: &DecodeOptions) -> Result<Vec<StreamMap>> {
    let (mut streams, mut end, mut left) = (Vec::new(), source.len(), Left::new(options));
    let fresh = StreamModels::new(options.resources.models.clone());
    while end > 0 {
        let tail = source.read(end.saturating_sub(MAX_TRAILER as u64), end.min(MAX_TRAILER as u64))?;
        let (trailer, len) =
            Trailer::parse_end(&tail).ok_or_else(|| Error::truncated("no trailer at the end"))?;
        let offset = trailer.body_len.checked_add(len as u64).and_then(|n| end.checked_sub(n));
        let offset = offset.ok_or_else(|| Error::corrupt("trailer: the stream is longer than the file"))?;
        let index_end = end - len as u64;
        let entries = match trailer.index_len {
            0 => None,
            len => Some(index(source, index_end.checked_sub(len), index_end, &mut left)?),
        };
        // Where every read is expensive, the header is read with the first block. Its length is what the index
        // leaves for it.
        let sections = entries.as_ref().filter(|_| source.is_remote());
        let sections =
            sections.map(|e| e.iter().fold(trailer.index_len, |n, e| n.saturating_add(e.stored_len)));
        let unread_header = sections.map(|n| trailer.body_len.saturating_sub(n));
        let start = offset + unread_header.unwrap_or(0);
        let mut input = Input::seekable(source.inner(), start)?;
        let mut walk = match unread_header {
            Some(len) => Walk::behind_header(start, len, Payloads::Skip, options.resources.memory),
            None => Walk::new(Payloads::Skip, options.resources.memory),
        };
        if unread_header.is_none() {
            walk.next(&mut input)?;
        }
        let mut map = MapBuilder::new(&fresh, &mut left);
        if let Some(entries) = entries {
            map.follow(&mut walk, &entries, &mut input)?;
            map.left.give_back(entries.capacity() * size_of::<Entry>());
        }
        let mut stream = loop {
            if let Some(stream) = map.note(walk.next(&mut input)?)? {
                break stream;
            }
        };
        stream.unread_header = unread_header;
        if stream.offset + stream.stored_len != end {
            return Err(Error::corrupt("a trailer inside the stream"));
        }
        streams.push(stream);
        end = offset;
    }
    streams.reverse();
    Ok(streams)
}

/// The entries of the index that lies between two offsets.
fn index<S: Read + Seek>(
    source: &mut Source<S>,
    start: Option<u64>,
    end: u64,
    left: &mut Left,
) -> Result<Vec<Entry>> {
    let start = start.ok_or_else(|| Error::corrupt("trailer: the index is longer than the stream"))?;
    let bytes = source.read(start, end - start)?;
    if bytes.first() != Some(&KIND_INDEX) {
        return Err(Error::corrupt(format!("no index at offset {start}")));
    }
    let body = section::body(&bytes).map_err(|e| e.at_end("the index"))?;
    let mut count = 0;
    Index::parse_with(body, |_| count += 1)?;
    left.take(count * size_of::<Entry>())?;
    let mut entries = Vec::with_capacity(count);
    Index::parse_with(body, |e| entries.push(e))?;
    Ok(entries)
}

fn forwards<S: Read + Seek>(source: &mut Source<S>, options: &DecodeOptions) -> Result<Vec<StreamMap>> {
    let memory = options.resources.memory;
    let (mut walk, mut input) = (Walk::new(Payloads::Skip, memory), Input::seekable(source.inner(), 0)?);
    let (fresh, mut left) = (StreamModels::new(options.resources.models.clone()), Left::new(options));
    let (mut streams, mut map) = (Vec::new(), MapBuilder::new(&fresh, &mut left));
    loop {
        match walk.next(&mut input)? {
            Event::StreamStart => map.start(&fresh),
            Event::End => return Ok(streams),
            event => streams.extend(map.note(event)?),
        }
    }
}

/// The memory that the map may still take.
struct Left {
    cap: u64,
    bytes: u64,
}

impl Left {
    /// Half of the cap; the other half is for what is read.
    fn new(options: &DecodeOptions) -> Self {
        Self { cap: options.resources.memory, bytes: options.resources.memory / 2 }
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let left = self.bytes.checked_sub(bytes as u64);
        self.bytes = left.ok_or_else(|| {
            let cap = self.cap;
            Error::limit(format!(
                "the list of blocks and tensors takes more than half of the memory cap of {cap} bytes"
            ))
        })?;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

/// A stream while a walk passes its sections.
struct MapBuilder<'a> {
    left: &'a mut Left,
    raw: u64,
    blocks: Vec<BlockPlace>,
    models: StreamModels,
    embedded: u64,
    member: Option<MemberSection>,
}

impl<'a> MapBuilder<'a> {
    fn new(fresh: &StreamModels, left: &'a mut Left) -> Self {
        Self { left, raw: 0, blocks: Vec::new(), models: fresh.clone(), embedded: 0, member: None }
    }

    /// Moves on to the next stream.
    fn start(&mut self, fresh: &StreamModels) {
        (self.raw, self.embedded, self.models, self.member) = (0, 0, fresh.fresh(), None);
        self.blocks.clear();
    }

    fn block(&mut self, offset: u64, Entry { stored_len, raw_len }: Entry) -> Result<()> {
        // The list doubles its memory when it is full.
        self.left.take(2 * size_of::<BlockPlace>())?;
        let models = self.models.len() as u32;
        self.blocks.push(BlockPlace { offset, stored_len, raw_start: self.raw, raw_len, models });
        // A block has at most 2^30 raw bytes, and its entry in the index takes some bytes of the file: no
        // overflow.
        self.raw += raw_len;
        Ok(())
    }

    /// Takes blocks from the entries of the index, and walks through all other sections.
    fn follow(
        &mut self,
        walk: &mut Walk,
        entries: &[Entry],
        input: &mut dyn container::Source,
    ) -> Result<()> {
        for entry in entries {
            let offset = input.position();
            if entry.raw_len > 0 {
                self.block(offset, *entry)?;
                walk.pass(*entry, input)?;
                continue;
            }
            let event = walk.section(input)?;
            let found = input.position() - offset;
            match event {
                Event::Model(_) | Event::Member(_) | Event::Other if found == entry.stored_len => {
                    drop(self.note(event)?)
                }
                _ => return Err(Error::corrupt("the index does not describe the sections before it")),
            }
        }
        Ok(())
    }

    /// Records a section that the walk has passed; returns the stream at its end.
    fn note(&mut self, event: Event) -> Result<Option<StreamMap>> {
        match event {
            Event::Block(RawBlock { block, offset, stored_len, .. }) => {
                self.block(offset, Entry { stored_len, raw_len: block.header.raw_len.into() })?;
            }
            Event::Model(section) => {
                let packed = section.embedded.as_ref().map_or(0, |e| e.1.len());
                self.embedded += packed as u64;
                self.left.take(packed + size_of::<ModelSection>())?;
                self.models.add(section, self.left.cap)?;
            }
            Event::Member(member) => {
                self.left.take(member.memory())?;
                self.member = Some(member);
            }
            Event::StreamEnd(end) => return self.finish(end).map(Some),
            Event::StreamStart | Event::Other | Event::End => {}
        }
        Ok(None)
    }

    fn finish(&mut self, end: StreamEnd) -> Result<StreamMap> {
        self.left.take(2 * size_of::<StreamMap>())?;
        let record = end.records.iter().find(|r| r.tag == tensors::TAG);
        let search = end.records.iter().find(|r| r.tag == search::TAG).and_then(|r| search::place(&r.bytes));
        let search = search.and_then(|(at, len)| Some(at..at.checked_add(len)?));
        let search =
            search.filter(|r| r.end <= end.stored_len).map(|r| end.offset + r.start..end.offset + r.end);
        let before = self.left.bytes;
        // Reading bytes needs no names, so an error in them is only reported to those who ask for tensors.
        let tensors = record.map(|r| named(&r.bytes, end.raw_len, self.left)).transpose();
        let (tensors, names_error) = tensors.map_or_else(|e| (None, Some(e)), |t| (t, None));
        if names_error.is_some() {
            self.left.bytes = before;
        }
        Ok(StreamMap {
            tensors: tensors.unwrap_or_default(),
            names_error,
            search,
            member: self.member.take(),
            offset: end.offset,
            unread_header: None,
            stored_len: end.stored_len,
            index_len: end.index_len,
            raw_start: 0,
            raw_len: end.raw_len,
            first_block: 0,
            hash: end.hash,
            blocks: std::mem::take(&mut self.blocks),
            models: self.models.clone(),
            embedded: self.embedded,
        })
    }
}

/// The memory that a tensor counts for, in addition to three times its name and shape, in bytes: its place,
/// its entry in the table of names, and its line in a listing.
const TENSOR: usize = 768;

/// The tensors that a record names, without those of types that this release does not know.
fn named(record: &[u8], raw_len: u64, left: &mut Left) -> Result<Vec<TensorInfo>> {
    let mut c = crate::format::cursor::Cursor::new(record);
    let len = c.varint("length of the names").map_err(|e| e.at_end("the names"))?;
    in_range("length of the names", len, 1..=max_unpacked(c.rest().len() as u64))?;
    left.take(len as usize)?;
    let mut plain = Vec::new();
    crate::codec::buffer::resize(&mut plain, len as usize)?;
    crate::codec::zstd::decompress(c.rest(), &mut plain)?;
    left.take(tensors::count(&plain)?.saturating_mul(TENSOR).saturating_add(3 * plain.len()))?;
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
    left.give_back(plain.len());
    Ok(found)
}
