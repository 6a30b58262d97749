//! Encoding of blocks: which streams are undone, and in which contents their insides are gathered.

use super::adaptive::Writing;
use super::analyse::{cost_with, settings};
use super::chains::Chains;
use super::find::{Finder, Form, Found};
use super::method::Method;
use super::picture::Rows;
use super::recipe::{Recipe, Step, Summary, finish, put, recreate};
use super::split::{Split, array};
use super::{MAX_CONTENTS, Params, max_raw, memory_need};
use crate::codec::Codec;
use crate::codec::encoding::{Content, EncodedBlock};
use crate::codec::glance::looks_like_text;
use crate::codec::hints::Hint;
use crate::codec::inside::{self, Nested, Packed, Unpacked};
use crate::coder::binary::BinaryEncoder;
use crate::error::Result;
use crate::format::block::Units;
use crate::format::varint;
use rayon::prelude::*;
use std::borrow::Cow;

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;
/// The most bytes inside the undone streams of a block.
const MOST: usize = 128 << 20;
/// The insides may take one part in so many of the memory for decoding.
const SHARE: u64 = 12;
/// How many times a block is coded anew without the streams that turned out to take too many steps.
const ROUNDS: usize = 4;
/// The least bytes of a picture or an array that gets a content of its own.
const OWN: usize = 16 << 10;
/// The most positions that a search by cost looks at for one match.
const CHAIN: u32 = 8192;
/// A stream is undone only if its record takes at most one part in so many of the stream.
const WORTH: usize = 6;

/// The kinds of contents that several insides share.
const TEXT: usize = 0;
const CODE: usize = 1;
const OTHER: usize = 2;

/// What is known of a content.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing.
    Bytes,
    /// A picture's raster: the bytes of a pixel, and of a row.
    Raster(usize, usize),
    /// The numbers of an array.
    Numbers(Hint),
}

/// The contents of a block while they are being gathered.
struct Pool {
    contents: Vec<Vec<u8>>,
    /// What is known of each content.
    kinds: Vec<Kind>,
    /// The numbers of the contents that are shared, by kind.
    shared: [Option<usize>; 3],
    inside: usize,
}

impl Pool {
    fn new() -> Self {
        Self { contents: vec![Vec::new()], kinds: vec![Kind::Bytes], shared: [None; 3], inside: 0 }
    }

    fn open(&mut self, kind: Kind) -> usize {
        self.contents.push(Vec::new());
        self.kinds.push(kind);
        self.contents.len() - 1
    }

    /// The number of the content that an inside goes to, or the part of it that is of this kind.
    fn place(&mut self, inside: &[u8], kind: Kind) -> usize {
        if kind != Kind::Bytes && inside.len() >= OWN && self.contents.len() < MAX_CONTENTS - 3 {
            return self.open(kind);
        }
        let kind = shared_kind(inside);
        match self.shared[kind] {
            Some(i) => i,
            None => {
                let i = self.open(Kind::Bytes);
                self.shared[kind] = Some(i);
                i
            }
        }
    }
}

/// How an inside may be split, and the kind of its larger part. `rows` tells the shape of a picture.
fn split_of(inside: &[u8], rows: Option<Rows>) -> (Split, Kind) {
    if let Some(rows) = rows {
        return (Split::Picture(rows), Kind::Raster(rows.pixel, rows.row));
    }
    let array = array(inside).map(|(header, hint)| (Split::Array(header), Kind::Numbers(hint)));
    array.unwrap_or((Split::Whole, Kind::Bytes))
}

/// The kind of shared content that suits an inside.
fn shared_kind(inside: &[u8]) -> usize {
    if inside.starts_with(b"\x7FELF") || inside.starts_with(b"MZ") {
        return CODE;
    }
    if looks_like_text(&inside[..inside.len().min(4096)]) { TEXT } else { OTHER }
}

/// Undoes the streams of a block of 1..=2^30 bytes. `None` where it has none that are worth it, or where
/// decoding would take more than `limit` bytes of memory. `depth` is the number of levels that may be undone,
/// at least 1.
///
/// # Errors
///
/// Those of coding the contents.
pub fn undo(raw: &[u8], depth: u8, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>> {
    // Whether a stream takes too many steps only shows when it is coded. The block is then coded anew without
    // it, because the models of all later streams have seen it.
    let mut refused = Vec::new();
    for _ in 0..ROUNDS {
        match undo_but(raw, limit, &refused) {
            Ok(Some(parts)) => return parts.block(raw, depth, limit, nested),
            Ok(None) => return Ok(None),
            Err(start) => refused.push(start),
        }
    }
    Ok(None)
}

/// The parts that a block is made of.
struct Parts {
    contents: Vec<Vec<u8>>,
    kinds: Vec<Kind>,
    record: Vec<u8>,
    summary: Summary,
    /// The number of raw bytes that the streams took.
    streams: usize,
}

/// The parts of a block with its streams undone, except for those that start at `refused`. Fails with the
/// start of a stream that cannot be coded.
fn undo_but(raw: &[u8], limit: u64, refused: &[usize]) -> std::result::Result<Option<Parts>, usize> {
    let most = MOST.min(usize::try_from(limit / SHARE).unwrap_or(MOST));
    let mut finder = Finder::new(raw);
    let mut pool = Pool::new();
    let mut recipe = Recipe::new();
    let mut c = Writing(BinaryEncoder::new(Vec::new()));
    let (mut at, mut streams, mut count) = (0, 0, 0);
    let mut analyst = Analyst { chains: Chains::new(), last: None };
    while let Some(found) = finder.next(most - pool.inside) {
        if refused.contains(&found.range.start) {
            continue;
        }
        let Some(method) = analyst.method(&recipe, &found) else { continue };
        let stream = &found.stream;
        let (split, kind) = split_of(&stream.raw, found.rows);
        let parts = split.split(&stream.raw);
        let (split, kind) = if parts.is_some() { (split, kind) } else { (Split::Whole, Kind::Bytes) };
        let content = pool.place(&stream.raw, kind);
        let before = found.range.start - at;
        let step = Step { before, content, split, form: &found.form, stream, method };
        pool.contents[0].extend_from_slice(&raw[at..found.range.start]);
        put(&mut c, &mut recipe, &step).map_err(|_| found.range.start)?;
        let (part, first) = parts.unwrap_or_else(|| ((&stream.raw[..]).into(), Cow::default()));
        pool.contents[0].extend_from_slice(&first);
        pool.contents[content].extend_from_slice(&part);
        if matches!(found.form, Form::Png(_)) {
            pool.contents[0].extend_from_slice(&found.head);
        }
        at = found.range.end;
        pool.inside += stream.raw.len();
        streams += found.range.len();
        count += 1;
    }
    let Pool { mut contents, kinds, inside, .. } = pool;
    contents[0].extend_from_slice(&raw[at..]);
    if count == 0 || contents.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    finish(&mut c, &mut recipe, raw.len() - at);
    let record = c.0.finish();
    let summary = Summary { streams: count, inside: inside as u64 };
    // A block that does not come back exactly is left to other codecs.
    let back = recreate(&mut super::Reading::new(&record), &contents, summary, raw.len());
    if !back.is_ok_and(|b| b == raw) {
        return Ok(None);
    }
    Ok(Some(Parts { contents, kinds, record, summary, streams }))
}

impl Parts {
    /// The finished block, with its contents coded.
    fn block(self, raw: &[u8], depth: u8, limit: u64, nested: Nested<'_>) -> Result<Option<Unpacked>> {
        let Self { contents, kinds, record, summary, streams } = self;
        let total = contents.iter().map(|c| c.len() as u64).sum();
        // Readers hold the payload as well, and a range of what has been decoded.
        let need = memory_need(total, summary.inside, raw.len() as u64) + 2 * raw.len() as u64;
        let Some(left) = limit.checked_sub(need) else { return Ok(None) };
        let packed = Packed { depth: depth - 1, pictures: true, inside: true };
        let mut blocks: Vec<EncodedBlock> = Vec::new();
        for (content, kind) in contents.iter().zip(kinds) {
            let content = Content::bytes(content);
            let content = match kind {
                Kind::Bytes => content,
                Kind::Raster(pixel, row) => Content { rows: Some((pixel, row)), ..content },
                Kind::Numbers(hint) => Content { numbers: Some(hint), ..content },
            };
            blocks.push(nested(&content, packed, left)?);
        }
        if !blocks.iter().all(inside::fits) {
            return Ok(None);
        }
        let mut deepest = 0;
        let mut payload = Vec::new();
        varint::put(&mut payload, blocks.len() as u64);
        for block in blocks {
            deepest = deepest.max(inside::put(block, &mut payload)?);
        }
        payload.extend_from_slice(&record);
        if raw.len() as u64 > max_raw(payload.len() as u64) || payload.len() > 2 * raw.len() {
            return Ok(None);
        }
        let block = EncodedBlock {
            codec: Codec::Deflate,
            raw_len: raw.len() as u32,
            model: None,
            params: Some(Params { depth: deepest + 1, summary }.put()),
            units: Units::fixed(UNIT_LOG2, raw),
            payload,
        };
        Ok(Some(Unpacked { block, taken: streams }))
    }
}

/// Chooses how streams are recorded.
struct Analyst {
    chains: Chains,
    /// The method of the last stream.
    last: Option<Method>,
}

impl Analyst {
    /// The method for a stream; `None` where its record would cost more than undoing is worth. zlib's search
    /// is tried first: if it gets at most one token in fifty wrong, the slow search by cost cannot do much
    /// better.
    fn method(&mut self, recipe: &Recipe, found: &Found) -> Option<Method> {
        let stream = &found.stream;
        let last = match self.last {
            Some(Method::Search(settings)) => Some(settings),
            _ => None,
        };
        let (settings, wrong, of) = settings(stream, last, &mut self.chains);
        let searched = Method::Search(settings);
        if wrong * 50 <= of {
            self.last = Some(searched);
            return Some(searched);
        }
        let methods = [
            searched,
            Method::Paths { chain: CHAIN, counted: false },
            Method::Paths { chain: CHAIN, counted: true },
        ];
        let costs: Vec<(usize, Method)> =
            methods.par_iter().filter_map(|&m| Some((cost_with(&recipe.models, stream, m)?, m))).collect();
        let (cost, method) = costs.into_iter().min_by_key(|c| c.0)?;
        if cost * WORTH > stream.len {
            return None;
        }
        self.last = Some(method);
        Some(method)
    }
}
