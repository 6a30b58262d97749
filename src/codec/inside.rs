//! Blocks inside the payload of a block: contents that other codecs code.

use super::block::{Block, Content, EncodedBlock};
use super::{Codec, newer};
use crate::error::{Error, Result};
use crate::format::block::{BlockHeader, Units};
use crate::format::consts::KIND_BLOCK;
use crate::format::cursor::{Cursor, Parse};

/// Codes a content with other codecs. Its arguments are the content, the levels of deflate streams that may
/// still be undone inside it, and the memory in bytes that decoding it may take.
pub type Nested<'a> = &'a (dyn Fn(&Content<'_>, u8, u64) -> Result<EncodedBlock> + Sync);

/// A content of a block: its header and its payload.
pub type Coded<'a> = (Block, &'a [u8]);

/// Whether a content may use a codec.
pub fn may_hold(codec: Codec) -> bool {
    use Codec::{Deflate, Jpeg, Light, Mix, Store, Table, Zstd};
    matches!(codec, Store | Zstd | Mix | Table | Deflate | Light | Jpeg)
}

/// Whether a block may be a content.
pub fn fits(block: &EncodedBlock) -> bool {
    block.model.is_none() && may_hold(block.codec)
}

/// The levels of deflate streams in a block that has been coded.
pub fn depth(block: &EncodedBlock) -> u8 {
    // Both codecs that hold contents start their parameters with it.
    let params = block.params.as_ref().filter(|_| matches!(block.codec, Codec::Deflate | Codec::Jpeg));
    params.and_then(|p| p.first().copied()).unwrap_or(0)
}

/// Writes a content: its header and its payload.
pub fn put(block: EncodedBlock, out: &mut Vec<u8>) {
    let (header, payload) = block.into_parts(None);
    header.put(out);
    out.extend_from_slice(&payload);
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
        return Err(Error::corrupt("not a block"));
    }
    let (header, len) = BlockHeader::parse(c.rest()).map_err(ended)?;
    c.take(len).map_err(ended)?;
    let payload = c.take(header.payload_len as usize).map_err(ended)?;
    let block = Block::check(header)?;
    let held = block.codec.id();
    if !may_hold(held) {
        return Err(newer(&format!("codec {} inside {codec} blocks", held.name())));
    }
    if block.header.model.is_some() || !matches!(block.header.units, Units::Fixed { .. }) {
        return Err(newer(&format!("models inside {codec} blocks")));
    }
    Ok((block, payload))
}
