//! Encoding of blocks: all pictures of a block are undone, and the rest is a content.

use super::find::each;
use super::recipe::{Recorder, recreate};
use super::{MOST_BLOCKS, Params, max_raw, memory_need};
use crate::codec::Codec;
use crate::codec::encoding::{Content, EncodedBlock};
use crate::codec::inside::{self, Nested, Packed, Unpacked};
use crate::coder::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::Result;
use crate::format::block::Units;
use crate::format::varint;
use crate::model::mix::jpeg::{Coder, Reading};

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;

/// The most lines for each context that an encoder uses, as log2: 96 MB for all of them.
const MOST_LINES: u8 = 16;

/// log2 of the number of lines for each context.
fn lines(recreated: usize) -> u8 {
    ((recreated.max(1) as u64).ilog2() as u8).saturating_sub(3).clamp(8, MOST_LINES)
}

/// Undoes the pictures of a block of 1..=2^30 bytes. `None` where it has none, or where decoding would take more
/// than `limit` bytes of memory. `depth` is the number of levels of deflate streams that may be undone in the
/// rest.
///
/// # Errors
///
/// Those of coding the rest; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn undo(raw: &[u8], depth: u8, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>> {
    let most = MOST_BLOCKS.min(limit / 1024);
    let mut recorder = Recorder::default();
    let mut pictures = Vec::new();
    each(raw, most, &mut |picture| {
        recorder.add(raw, &picture);
        pictures.push(picture.planes);
    });
    if pictures.is_empty() {
        return Ok(None);
    }
    recorder.finish(raw);
    let Recorder { record, content, summary, recreated, .. } = recorder;
    if content.is_empty() {
        return Ok(None);
    }
    let mut params = Params { depth: 0, lines: lines(recreated), summary };
    let need = memory_need(content.len() as u64, &params, raw.len() as u64) + 2 * raw.len() as u64;
    let Some(left) = limit.checked_sub(need) else { return Ok(None) };
    let mut encoder = BinaryEncoder::new(Vec::new());
    let mut coder = Coder::new(params.lines.into())?;
    for planes in &mut pictures {
        coder.picture(&mut encoder, planes)?;
    }
    drop((pictures, coder));
    let bits = encoder.finish();
    // A block that does not come back exactly is left to other codecs.
    let mut reading = Reading { decoder: BinaryDecoder::new(&bits, 0), payload: &bits };
    let mut coder = Coder::new(params.lines.into())?;
    let back = recreate(&record, &content, &mut reading, &mut coder, summary, raw.len());
    if !back.is_ok_and(|b| b == raw) {
        return Ok(None);
    }
    let block = nested(&Content::bytes(&content), Packed { depth, pictures: false, inside: true }, left)?;
    if !inside::fits(&block) {
        return Ok(None);
    }
    let mut payload = Vec::new();
    params.depth = inside::put(block, &mut payload)?;
    varint::put(&mut payload, record.len() as u64);
    payload.extend_from_slice(&record);
    payload.extend_from_slice(&bits);
    if raw.len() as u64 > max_raw(payload.len() as u64) || payload.len() > 2 * raw.len() {
        return Ok(None);
    }
    let block = EncodedBlock {
        codec: Codec::Jpeg,
        raw_len: raw.len() as u32,
        model: None,
        params: Some(params.put()),
        units: Units::fixed(UNIT_LOG2, raw),
        payload,
    };
    Ok(Some(Unpacked { block, taken: recreated }))
}
