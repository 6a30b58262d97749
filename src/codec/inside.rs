//! Blocks inside the payload of a block: contents that other codecs code, and the codecs that find them in what other
//! programs have packed.

use super::block::{Block, BlockCodec, BlockJob, Environment};
use super::encoding::{Content, EncodedBlock};
use super::newer;
use crate::error::{Error, Result};
use crate::format::block::BlockHeader;
use crate::format::consts::KIND_BLOCK;
use crate::format::cursor::{Cursor, Parse, Parsed};
use crate::progress::Meter;
use crate::tensor::bases::Bases;

/// The most levels of deflate streams inside deflate streams.
pub const MAX_DEPTH: u8 = 2;

/// The packing that may be undone in a content.
#[derive(Debug, Clone, Copy)]
pub struct Packed {
    /// Levels of deflate streams inside deflate streams, 0..=[`MAX_DEPTH`].
    pub depth: u8,
    /// Whether pictures may be undone. What is left of a block without its pictures has none.
    pub pictures: bool,
    /// Whether the content lies inside another block, where not every codec is allowed.
    pub inside: bool,
}

/// Codes a content with other codecs. Its arguments are the content, what may be undone in it, and the memory in
/// bytes that decoding it may take.
pub type Nested<'a> = &'a (dyn Fn(&Content<'_>, Packed, u64) -> Result<EncodedBlock> + Sync);

/// A block in which something has been undone.
pub struct Unpacked {
    pub block: EncodedBlock,
    /// The number of raw bytes that what has been undone took.
    pub taken: usize,
}

/// A codec that undoes what other programs have packed, and has the content coded by other codecs.
pub trait Unpacker: BlockCodec {
    /// Undoes what is packed in a block of 1..=2^30 bytes. `None` where nothing may be undone or is worth it, or where
    /// decoding would take more than `limit` bytes of memory.
    ///
    /// # Errors
    /// Those of coding the contents.
    fn undo(&self, raw: &[u8], packed: Packed, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>>;

    /// The best place to cut bytes that go on in another block: before something packed that the cut would split,
    /// unless the bytes start with it.
    fn cut(&self, bytes: &[u8]) -> usize;
}

/// Reads the parameters of a block of a codec that undoes packing: what `fields` reads, all of them, with the levels of
/// deflate streams first.
///
/// # Errors
/// `Corrupt` where there are none, too many or too few; `NewerVersion` for too many levels; those of `fields`.
pub fn params<T>(
    codec: &dyn BlockCodec,
    header: &BlockHeader,
    fields: impl FnOnce(u8, &mut Cursor<'_>) -> Parsed<T>,
) -> Result<T> {
    let Some(bytes) = header.params.as_ref().filter(|_| !header.units.chained()) else {
        return Err(codec.unknown());
    };
    let name = codec.name();
    let mut c = Cursor::new(bytes);
    let read = c.u8().and_then(|depth| Ok((depth, fields(depth, &mut c)?))).map_err(|e| match e {
        Parse::Need(_) => Error::corrupt(format!("parameters of a {name} block that are cut")),
        Parse::Bad(e) => e,
    });
    let (depth, read) = read?;
    if !c.rest().is_empty() {
        return Err(Error::corrupt(format!(
            "parameters of a {name} block: {} bytes too many",
            c.rest().len()
        )));
    }
    if depth > MAX_DEPTH {
        return Err(newer(&format!("deflate streams {depth} levels deep")));
    }
    Ok(read)
}

/// A content of a block: its header and its payload.
pub type Coded<'a> = (Block, &'a [u8]);

/// Whether a block may be a content.
pub fn fits(block: &EncodedBlock) -> bool {
    block.model.is_none() && block.codec.object().may_be_inside()
}

/// Writes a content: its header and its payload. Gives the levels of deflate streams in it.
///
/// # Errors
/// Those of parameters that the codec would not read.
pub fn put(block: EncodedBlock, out: &mut Vec<u8>) -> Result<u8> {
    let codec = block.codec.object();
    let (header, payload) = block.into_parts(None);
    header.put(out);
    out.extend_from_slice(&payload);
    Ok(codec.params(&header)?.map_or(0, |params| params.depth()))
}

/// The error for contents of a codec that end too early.
pub fn ended(e: Parse, codec: &str) -> Error {
    e.at_end(&format!("the contents of a {codec} block"))
}

/// Reads the header of a content of a block of the codec named `codec`, and returns it with its payload.
///
/// # Errors
///
/// [`crate::ErrorKind::Truncated`] where it ends; [`crate::ErrorKind::NewerVersion`] for codecs and models that
/// contents do not have in this version; [`crate::ErrorKind::Corrupt`] for anything else.
pub fn read<'a>(c: &mut Cursor<'a>, codec: &str) -> Result<Coded<'a>> {
    let ended = |e| ended(e, codec);
    if c.rest().first().is_some_and(|kind| *kind != KIND_BLOCK) {
        return Err(Error::corrupt("the content of a block is not a block"));
    }
    let (header, len) = BlockHeader::parse(c.rest()).map_err(ended)?;
    c.take(len).map_err(ended)?;
    let payload = c.take(header.payload_len as usize).map_err(ended)?;
    let block = Block::check(header)?;
    if !block.codec.may_be_inside() {
        return Err(newer(&format!("codec {} inside {codec} blocks", block.codec.name())));
    }
    if !block.stands_alone() {
        return Err(newer(&format!("models, copies and bases inside {codec} blocks")));
    }
    Ok((block, payload))
}

/// Decodes a content in at most `memory` bytes of memory.
///
/// # Errors
/// Those of the content's codec.
pub fn decode(content: &Coded<'_>, memory: u64) -> Result<Vec<u8>> {
    let bases = Bases::default();
    let environment = Environment { bases: &bases, accelerator: None, memory, meter: Meter::NONE };
    let mut job = BlockJob::new(&content.0, None, environment, content.1);
    content.0.codec.decode(&mut [&mut job]);
    job.error.map_or(Ok(job.raw), Err)
}
