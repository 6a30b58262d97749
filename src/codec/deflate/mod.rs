//! The `deflate` codec: it undoes the deflate streams in a block. Other codecs code their contents, and a
//! record holds whatever recreates the streams exactly. Specified in `formats/deflate.md`.
//!
//! The *inside* of a stream is the data that it unpacks to. *Contents* are the byte strings that the block
//! codes in its place: the first holds all bytes outside of streams, each other one holds insides of one
//! kind.

mod adaptive;
mod analyse;
mod chains;
mod codes;
mod encode;
mod find;
mod inflate;
mod method;
mod models;
mod output;
mod paths;
mod picture;
mod ranks;
mod recipe;
mod record;
mod search;
mod split;
mod sums;
mod tree;
mod work;
mod zlib;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, BlockParams, OrderedBlock, Undone, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::inside::{self, Coded, Nested, Packed, Unpacked, Unpacker};
use super::ordered::{self, Reader};
use super::reader::DecodedBlock;
use crate::error::{Error, Result};
use crate::format::block::BlockHeader;
use crate::format::cursor::{Cursor, Parse, Parsed};
use crate::format::varint;
use crate::model::mix::shipped;
use adaptive::Reading;
use recipe::{Summary, recreate};
use std::sync::Arc;

/// The most contents of a block.
const MAX_CONTENTS: usize = 255;
/// The most bytes that all contents of a block may have together.
const MAX_INSIDE: u64 = 1 << 30;
/// Memory in bytes that recreating streams takes in addition to contents, insides and raw bytes: chains,
/// models and tokens.
const FIXED_MEMORY: u64 = 48 << 20;

/// The first level at which the automatic choice undoes streams.
const FIRST_LEVEL: u8 = 5;

/// The codec `deflate`.
pub struct Deflate;

/// The parameters of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Params {
    /// Levels of streams inside streams, 1..=[`inside::MAX_DEPTH`]: contents that use this codec have fewer.
    depth: u8,
    summary: Summary,
}

impl Params {
    fn put(&self) -> Vec<u8> {
        let mut out = vec![self.depth];
        varint::put(&mut out, self.summary.streams);
        varint::put(&mut out, self.summary.inside);
        out
    }

    fn read(depth: u8, c: &mut Cursor<'_>) -> Parsed<Self> {
        if depth == 0 {
            return Err(Error::corrupt("a deflate block without levels of streams").into());
        }
        let streams = c.varint_in("number of deflate streams", 1..=u64::from(u32::MAX))?;
        let inside = c.varint_in("bytes inside deflate streams", 1..=MAX_INSIDE)?;
        Ok(Self { depth, summary: Summary { streams, inside } })
    }
}

impl BlockParams for Params {
    fn describe(&self) -> Option<String> {
        let Summary { streams, inside } = self.summary;
        let what = if streams == 1 { "stream" } else { "streams" };
        Some(format!("deflate: {streams} {what} undone, {inside} bytes inside"))
    }

    fn depth(&self) -> u8 {
        self.depth
    }

    fn undone(&self) -> Undone {
        let Summary { streams, inside } = self.summary;
        Undone { streams, inside, ..Undone::default() }
    }
}

impl BlockCodec for Deflate {
    fn id(&self) -> Codec {
        Codec::Deflate
    }

    fn name(&self) -> &'static str {
        "deflate"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        max_raw(payload_len)
    }

    fn params(&self, header: &BlockHeader) -> Result<Option<Arc<dyn BlockParams>>> {
        Ok(Some(Arc::new(inside::params(self, header, Params::read)?)))
    }

    fn is_tried(&self, level: u8) -> bool {
        level >= FIRST_LEVEL
    }

    /// Always `None`: streams are only undone where the caller says how to code their insides; see [`Unpacker`].
    fn encode(&self, _content: &Content<'_>, _effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        Ok(None)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        let Some(params) = block.params_as::<Params>() else { return 0 };
        let Ok((contents, _)) = contents(payload, params) else { return 0 };
        let inner = contents.iter().map(|(b, p)| b.codec.working_memory(b, p)).max().unwrap_or(0);
        needed(&contents, params, block).saturating_add(inner)
    }

    fn start_len(&self) -> u64 {
        // Contents may be coded with codecs that need it.
        shipped::PACKED_LEN
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(DecodedBlock::new(decode(block.block, block.payload, block.memory)?)))
    }
}

impl Unpacker for Deflate {
    fn undo(&self, raw: &[u8], packed: Packed, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>> {
        if packed.depth > 0 { encode::undo(raw, packed.depth, limit, nested) } else { Ok(None) }
    }

    fn cut(&self, bytes: &[u8]) -> usize {
        find::cut(bytes)
    }
}

/// The largest raw length that `payload_len` bytes of payload may stand for.
fn max_raw(payload_len: u64) -> u64 {
    payload_len << 15
}

/// Decodes the raw bytes of a block.
///
/// # Errors
///
/// Those of a damaged payload; [`crate::ErrorKind::LimitExceeded`] where contents, insides and raw bytes take
/// more than `memory` bytes, before any of it is taken.
fn decode(block: &Block, payload: &[u8], memory: u64) -> Result<Vec<u8>> {
    let Some(params) = block.params_as::<Params>() else {
        return Err(Error::corrupt("a deflate block without parameters"));
    };
    let (contents, rest) = contents(payload, params)?;
    let total: u64 = contents.iter().map(|(b, _)| u64::from(b.header.raw_len)).sum();
    let need = needed(&contents, params, block);
    let Some(left) = memory.checked_sub(need).filter(|_| total <= 2 * MAX_INSIDE) else {
        return Err(Error::limit(format!(
            "a deflate block needs {need} bytes of memory, the limit is {memory}"
        )));
    };
    let decode = |(i, content)| inside::decode(content, left).map_err(|e| e.within(format!("content {i}")));
    let bytes = contents.iter().enumerate().map(decode).collect::<Result<Vec<_>>>()?;
    let mut reading = Reading::new(rest);
    let raw = recreate(&mut reading, &bytes, params.summary, block.header.raw_len as usize)?;
    reading.finish()?;
    Ok(raw)
}

/// The headers and payloads of the contents at the start of a payload, and the bytes after them.
fn contents<'a>(payload: &'a [u8], params: &Params) -> Result<(Vec<Coded<'a>>, &'a [u8])> {
    let mut c = Cursor::new(payload);
    let count = c.varint_in("number of contents", 1..=MAX_CONTENTS as u64).map_err(ended)?;
    let read = |i| content(&mut c, params.depth).map_err(|e| e.within(format!("content {i}")));
    let contents = (0..count).map(read).collect::<Result<_>>()?;
    Ok((contents, c.rest()))
}

/// Memory in bytes that recreating a block takes in addition to decoding its contents.
fn needed(contents: &[Coded<'_>], params: &Params, block: &Block) -> u64 {
    let total: u64 = contents.iter().map(|(b, _)| u64::from(b.header.raw_len)).sum();
    memory_need(total, params.summary.inside, block.header.raw_len.into())
}

/// The same for contents of `total` bytes. Insides are copied where their filters are applied, and raw bytes
/// exist three times where a stream is cut into chunks.
fn memory_need(total: u64, inside: u64, raw_len: u64) -> u64 {
    FIXED_MEMORY + total + inside + 3 * raw_len
}

fn ended(e: Parse) -> Error {
    inside::ended(e, "deflate")
}

/// Reads the header of a content, and returns it with its payload.
fn content<'a>(c: &mut Cursor<'a>, depth: u8) -> Result<Coded<'a>> {
    let content = inside::read(c, "deflate")?;
    if content.0.depth() >= depth {
        return Err(Error::corrupt("deflate streams that are deeper than declared"));
    }
    Ok(content)
}

/// Puts `len` raw bytes together from a record and contents, as decoding a block does; for fuzzing.
///
/// # Errors
///
/// Those of damaged records.
#[doc(hidden)]
pub fn restore(
    record: &[u8],
    contents: &[Vec<u8>],
    streams: u64,
    inside: u64,
    len: usize,
) -> Result<Vec<u8>> {
    let mut reading = Reading::new(record);
    let raw = recreate(&mut reading, contents, Summary { streams, inside }, len)?;
    reading.finish()?;
    Ok(raw)
}
