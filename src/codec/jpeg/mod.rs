//! The `jpeg` codec: it undoes the Huffman codes of JPEG pictures in a block, and codes their coefficients with
//! context mixing. Specified in `formats/jpeg.md`.

mod bits;
mod encode;
mod find;
mod header;
mod huffman;
mod picture;
mod recipe;
mod scan;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, BlockParams, OrderedBlock, Undone, UnitKind};
use super::encoding::{Content, Effort, EncodedBlock};
use super::inside::{self, Coded, Nested, Packed, Unpacked, Unpacker};
use super::ordered::{self, Reader};
use super::reader::DecodedBlock;
use crate::coder::binary::{BinaryDecoder, OVERRUN};
use crate::error::{Error, Result};
use crate::format::block::BlockHeader;
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;
use crate::model::mix::jpeg::{Coder, Reading, memory};
use crate::model::mix::shipped;
use recipe::{Summary, recreate};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// log2 of the number of lines for each context.
const LINES: RangeInclusive<u8> = 4..=18;
/// The most blocks of a picture.
const MOST_BLOCKS: u64 = 1 << 26;
/// The first level at which the automatic choice undoes pictures.
const FIRST_LEVEL: u8 = 5;

/// The codec `jpeg`.
pub struct Jpeg;

/// The parameters of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Params {
    /// Levels of deflate streams in the content, 0..=[`inside::MAX_DEPTH`].
    depth: u8,
    /// log2 of the number of lines for each context.
    lines: u8,
    summary: Summary,
}

impl Params {
    fn put(&self) -> Vec<u8> {
        let mut out = vec![self.depth, self.lines];
        varint::put(&mut out, self.summary.pictures);
        varint::put(&mut out, self.summary.blocks);
        out
    }

    fn read(depth: u8, c: &mut Cursor<'_>) -> Parsed<Self> {
        let lines = c.u8()?;
        if !LINES.contains(&lines) {
            return Err(Error::corrupt("a jpeg block with contexts of too few or too many lines").into());
        }
        let pictures = c.varint_in("number of pictures", 1..=u64::from(u32::MAX))?;
        let blocks = c.varint_in("blocks of a picture", 1..=MOST_BLOCKS)?;
        Ok(Self { depth, lines, summary: Summary { pictures, blocks } })
    }
}

impl BlockParams for Params {
    fn describe(&self) -> Option<String> {
        let n = self.summary.pictures;
        Some(format!("jpeg: {n} picture{} undone", if n == 1 { "" } else { "s" }))
    }

    fn depth(&self) -> u8 {
        self.depth
    }

    fn undone(&self) -> Undone {
        Undone { pictures: self.summary.pictures, ..Undone::default() }
    }
}

impl BlockCodec for Jpeg {
    fn id(&self) -> Codec {
        Codec::Jpeg
    }

    fn name(&self) -> &'static str {
        "jpeg"
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

    /// Always `None`: pictures are only undone where the caller says how to code the rest; see [`Unpacker`].
    fn encode(&self, _content: &Content<'_>, _effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        Ok(None)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        let Some(params) = block.params_as::<Params>() else { return 0 };
        let Ok((content, _)) = content(payload, params) else { return 0 };
        needed(&content.0, params, block)
            .saturating_add(content.0.codec.working_memory(&content.0, content.1))
    }

    fn start_len(&self) -> u64 {
        // The content may be coded with codecs that need it.
        shipped::PACKED_LEN
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(DecodedBlock::new(decode(block.block, block.payload, block.memory)?)))
    }
}

impl Unpacker for Jpeg {
    fn undo(&self, raw: &[u8], packed: Packed, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>> {
        if packed.pictures { encode::undo(raw, packed.depth, limit, nested) } else { Ok(None) }
    }

    fn cut(&self, bytes: &[u8]) -> usize {
        find::cut(bytes)
    }
}

/// The largest raw length that `payload_len` bytes of payload may stand for.
fn max_raw(payload_len: u64) -> u64 {
    payload_len << 15
}

/// Reads the content at the start of a payload, and returns it and what comes after it.
fn content<'a>(payload: &'a [u8], params: &Params) -> Result<(Coded<'a>, &'a [u8])> {
    let mut c = Cursor::new(payload);
    let content = inside::read(&mut c, "jpeg")?;
    if content.0.codec.id() == Codec::Jpeg || content.0.depth() > params.depth {
        return Err(Error::corrupt("a jpeg block whose content is deeper than declared"));
    }
    Ok((content, c.rest()))
}

/// Memory in bytes that recreating a block takes in addition to decoding its content.
fn needed(content: &Block, params: &Params, block: &Block) -> u64 {
    memory_need(content.header.raw_len.into(), params, block.header.raw_len.into())
}

/// The same for a content of `content` bytes: coefficients and what is known of blocks, raw bytes and the scan
/// that is added to them.
fn memory_need(content: u64, params: &Params, raw_len: u64) -> u64 {
    memory(params.lines.into()) + 264 * params.summary.blocks + content + 3 * raw_len
}

/// Decodes the raw bytes of a block.
///
/// # Errors
///
/// Those of a damaged payload; [`crate::ErrorKind::LimitExceeded`] where it takes more than `memory` bytes, before
/// any of it is taken.
fn decode(block: &Block, payload: &[u8], memory: u64) -> Result<Vec<u8>> {
    let Some(params) = block.params_as::<Params>() else {
        return Err(Error::corrupt("a jpeg block without parameters"));
    };
    let (inner, rest) = content(payload, params)?;
    let need = needed(&inner.0, params, block);
    let Some(left) = memory.checked_sub(need) else {
        return Err(Error::limit(format!(
            "a jpeg block needs {need} bytes of memory, the limit is {memory}"
        )));
    };
    let bytes = inside::decode(&inner, left).map_err(|e| e.within("the content"))?;
    restore(rest, &bytes, params.summary, params.lines, block.header.raw_len as usize)
}

/// Puts the raw bytes together from the rest of a payload and the content.
fn restore(rest: &[u8], content: &[u8], summary: Summary, lines: u8, len: usize) -> Result<Vec<u8>> {
    let mut c = Cursor::new(rest);
    let ended = |e| inside::ended(e, "jpeg");
    let record_len = c.varint("length of a record").map_err(ended)?;
    let record = c.take(usize::try_from(record_len).unwrap_or(usize::MAX)).map_err(ended)?;
    let payload = c.rest();
    let mut bits = Reading { decoder: BinaryDecoder::new(payload, 0), payload };
    let mut coder = Coder::new(lines.into())?;
    let raw = recreate(record, content, &mut bits, &mut coder, summary, len)?;
    if bits.decoder.overrun(payload) > OVERRUN {
        return Err(Error::truncated("coefficients of a picture end too early"));
    }
    if bits.decoder.has_rest(payload) {
        return Err(Error::corrupt("bytes are left after the last coefficient"));
    }
    Ok(raw)
}

/// Puts `len` raw bytes together from the rest of a payload and the content, as decoding a block does; for
/// fuzzing.
///
/// # Errors
///
/// Those of damaged payloads.
#[doc(hidden)]
pub fn rebuild(rest: &[u8], content: &[u8], pictures: u64, blocks: u64, len: usize) -> Result<Vec<u8>> {
    restore(rest, content, Summary { pictures, blocks }, *LINES.start(), len)
}
