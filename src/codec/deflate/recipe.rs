//! Puts the bytes of a block together from its contents: pieces of the first content, and streams with the
//! bytes around them. The same functions encode and decode.

use super::adaptive::{Bit, Coder, Number};
use super::find::{Form, gzip_trailer};
use super::inflate::Parsed;
use super::method::Method;
use super::models::Models;
use super::output::Output;
use super::picture::{Rows, WIDEST};
use super::record::{State, stream};
use super::split::Split;
use super::sums::{adler32, crc32};
use crate::codec::buffer::reserve;
use crate::error::{Error, Result};

/// One step of a block: a number of bytes of the first content, then a stream.
pub struct Step<'a> {
    pub before: usize,
    /// The number of the content that holds the inside, from 1.
    pub content: usize,
    pub split: Split,
    pub form: &'a Form,
    pub stream: &'a Parsed,
    pub method: Method,
}

/// The models and the state that all steps of a block share.
pub struct Recipe {
    pub models: Models,
    steps: StepModels,
    pub state: State,
}

#[derive(Clone, Default)]
struct StepModels {
    more: Bit,
    before: Number,
    content: Number,
    len: Number,
    is_split: Bit,
    rows: [Number; 3],
    form: [Bit; 4],
    chunks: [Number; 2],
    alike: Bit,
}

impl Recipe {
    pub fn new() -> Self {
        Self { models: Models::new(), steps: StepModels::default(), state: State::new() }
    }
}

fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("a deflate block {what}"))
}

/// The contents of a block, and how far each has been used.
pub struct Contents<'a> {
    bytes: &'a [Vec<u8>],
    used: Vec<usize>,
}

impl<'a> Contents<'a> {
    pub fn new(bytes: &'a [Vec<u8>]) -> Self {
        Self { bytes, used: vec![0; bytes.len()] }
    }

    fn take(&mut self, content: usize, len: usize) -> Result<&'a [u8]> {
        let bytes = self.bytes.get(content).and_then(|b| b.get(self.used[content]..)?.get(..len));
        let bytes = bytes.ok_or_else(|| corrupt("that uses more than its contents have"))?;
        self.used[content] += len;
        Ok(bytes)
    }
}

/// What a step says before the record of its stream.
struct Shape {
    content: usize,
    /// The length of the inside.
    len: usize,
    split: Split,
    form: Form,
}

/// The number that stands for arrays where those of pictures tell the bytes of a pixel.
const ARRAY: usize = 2 * WIDEST + 1;

/// Codes how an inside is split.
fn split<C: Coder>(c: &mut C, m: &mut StepModels, given: Split) -> Split {
    if !c.flag(&mut m.is_split, given != Split::Whole) {
        return Split::Whole;
    }
    let (row, kind) = match given {
        Split::Whole => (1, 1),
        Split::Array(header) => (header, ARRAY),
        Split::Picture(rows) => (rows.row, rows.pixel + if rows.interlaced.is_some() { WIDEST } else { 0 }),
    };
    let row = c.number(&mut m.rows[0], row as u32 - 1) as usize + 1;
    let kind = c.number(&mut m.rows[1], kind as u32 - 1) as usize + 1;
    if kind == ARRAY {
        return Split::Array(row);
    }
    let is_interlaced = kind > WIDEST;
    let pixel = if is_interlaced { kind - WIDEST } else { kind };
    let height = if let Split::Picture(Rows { interlaced: Some(n), .. }) = given { n } else { 1 };
    let interlaced = is_interlaced.then(|| c.number(&mut m.rows[2], height as u32 - 1) as usize + 1);
    Split::Picture(Rows { row, pixel, interlaced })
}

/// Codes all of a step but the record of its stream.
fn shape<C: Coder>(c: &mut C, m: &mut StepModels, given: Option<&Step<'_>>) -> Result<Shape> {
    let content = c.number(&mut m.content, given.map_or(0, |s| s.content as u32 - 1)) as usize + 1;
    let len = c.number(&mut m.len, given.map_or(0, |s| s.stream.raw.len() as u32)) as usize;
    let split = split(c, m, given.map_or(Split::Whole, |s| s.split));
    if matches!(split, Split::Picture(rows) if rows.pixel > WIDEST) || split.lens(len).is_none() {
        return Err(corrupt("with an inside of no shape"));
    }
    let form = match given.map(|s| s.form) {
        Some(Form::Zlib) => 1,
        Some(Form::Gzip) => 2,
        Some(Form::Png(_)) => 3,
        _ => 0,
    };
    let form = match c.tree(&mut m.form, 2, form) {
        0 => Form::Bare,
        1 => Form::Zlib,
        2 => Form::Gzip,
        _ => Form::Png(chunks(c, m, given)?),
    };
    c.check()?;
    Ok(Shape { content, len, split, form })
}

/// Codes the lengths of a PNG file's chunks. The last chunk takes the rest of the stream, so its length is
/// not coded.
fn chunks<C: Coder>(c: &mut C, m: &mut StepModels, given: Option<&Step<'_>>) -> Result<Vec<u32>> {
    let given: &[u32] = match given.map(|s| s.form) {
        Some(Form::Png(lens)) => lens,
        _ => &[],
    };
    let but_last = given.split_last().map_or(&[][..], |(_, rest)| rest);
    let count = c.number(&mut m.chunks[0], but_last.len() as u32);
    let alike = count > 1 && c.flag(&mut m.alike, but_last.iter().all(|n| *n == but_last[0]));
    let mut lens: Vec<u32> = Vec::new();
    for i in 0..count as usize {
        let len = match lens.first() {
            Some(first) if alike => *first,
            _ => c.number(&mut m.chunks[1], but_last.get(i).copied().unwrap_or(0)),
        };
        if lens.len() == lens.capacity() {
            c.check()?;
            lens.try_reserve(1024)
                .map_err(|_| Error::limit("not enough memory for the chunks of a PNG file"))?;
        }
        if lens.len() > MOST_CHUNKS {
            return Err(corrupt("with a PNG file of too many chunks"));
        }
        lens.push(len);
    }
    Ok(lens)
}

/// The most chunks of a PNG file.
pub const MOST_CHUNKS: usize = 1 << 20;

/// Codes the end of the steps, after which `rest` bytes of the first content are left.
pub fn finish<C: Coder>(c: &mut C, recipe: &mut Recipe, rest: usize) {
    c.number(&mut recipe.steps.before, rest as u32);
    c.flag(&mut recipe.steps.more, false);
}

/// Encodes a step.
///
/// # Errors
///
/// Those of [`stream`]. None occur for a stream that was found and a method that explains it.
pub fn put<C: Coder>(c: &mut C, recipe: &mut Recipe, step: &Step<'_>) -> Result<()> {
    c.number(&mut recipe.steps.before, step.before as u32);
    c.flag(&mut recipe.steps.more, true);
    shape(c, &mut recipe.steps, Some(step))?;
    let given = Some((step.stream, step.method));
    stream(c, &mut recipe.models, &mut recipe.state, &step.stream.raw, given, &mut Output::default())
}

/// The numbers that a block's parameters declare: its streams, and the bytes inside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub streams: u64,
    pub inside: u64,
}

/// Puts a block of `len` bytes together from its contents, by decoding its record.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] and [`crate::ErrorKind::Truncated`] where record and contents do not make up
/// such a block; [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn recreate<C: Coder>(c: &mut C, bytes: &[Vec<u8>], summary: Summary, len: usize) -> Result<Vec<u8>> {
    let mut recipe = Recipe::new();
    let mut contents = Contents::new(bytes);
    let mut raw = Vec::new();
    reserve(&mut raw, len)?;
    let mut seen = Summary::default();
    loop {
        let before = c.number(&mut recipe.steps.before, 0) as usize;
        let plain = contents.take(0, before)?;
        if plain.len() > len - raw.len() {
            return Err(corrupt("that is longer than its raw length"));
        }
        raw.extend_from_slice(plain);
        c.check()?;
        if !c.flag(&mut recipe.steps.more, false) {
            break;
        }
        let Shape { content, len: inside_len, split, form } = shape(c, &mut recipe.steps, None)?;
        seen.streams += 1;
        seen.inside += inside_len as u64;
        if seen.inside > summary.inside || seen.streams > summary.streams {
            return Err(corrupt("with more inside than it says"));
        }
        let (part_len, first_len) = split.lens(inside_len).unwrap_or_default();
        let (part, first) = (contents.take(content, part_len)?, contents.take(0, first_len)?);
        if matches!(split, Split::Picture(_)) && first.iter().any(|filter| *filter > 4) {
            return Err(corrupt("with a filter of no kind"));
        }
        let mut joined = Vec::new();
        let inside = if split == Split::Whole {
            part
        } else {
            reserve(&mut joined, inside_len)?;
            split.join(part, first, &mut joined);
            &joined
        };
        let head = if matches!(form, Form::Png(_)) { contents.take(0, 2)? } else { &[] };
        let mut out = Output::new(head, len - raw.len())?;
        stream(c, &mut recipe.models, &mut recipe.state, inside, None, &mut out)?;
        let mut bytes = out.bytes;
        match form {
            Form::Bare => {}
            Form::Zlib | Form::Png(_) => bytes.extend_from_slice(&adler32(inside).to_be_bytes()),
            Form::Gzip => bytes.extend_from_slice(&gzip_trailer(inside)),
        }
        if let Form::Png(lens) = &form {
            bytes = cut(&bytes, lens, len - raw.len())?;
        }
        if bytes.len() > len - raw.len() {
            return Err(corrupt("that is longer than its raw length"));
        }
        raw.extend_from_slice(&bytes);
    }
    if raw.len() != len
        || contents.used.iter().zip(bytes).any(|(used, b)| *used != b.len())
        || seen != summary
    {
        return Err(corrupt("that does not use its contents up"));
    }
    Ok(raw)
}

/// Cuts a zlib stream into IDAT chunks of these lengths and one chunk of the rest; at most `most` bytes in
/// all.
fn cut(bytes: &[u8], lens: &[u32], most: usize) -> Result<Vec<u8>> {
    let total = bytes.len() as u64 + 12 * (lens.len() as u64 + 1);
    if total > most as u64 || lens.iter().map(|n| u64::from(*n)).sum::<u64>() > bytes.len() as u64 {
        return Err(corrupt("with chunks that are longer than their stream"));
    }
    let mut out = Vec::new();
    reserve(&mut out, total as usize)?;
    let mut rest = bytes;
    let mut chunk = |data: &[u8]| {
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        out.extend_from_slice(b"IDAT");
        out.extend_from_slice(data);
        out.extend_from_slice(&crc32(&[b"IDAT", data]).to_be_bytes());
    };
    for len in lens {
        let (data, after) = rest.split_at(*len as usize);
        chunk(data);
        rest = after;
    }
    chunk(rest);
    Ok(out)
}
