//! How a block is put together from its content and coefficients.

use super::header::{Headers, Scan, Walk};
use super::picture::{MOST_SCANS, Picture};
use super::scan::{self, LONGEST_RUN, Manner};
use crate::codec::buffer::reserve;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse};
use crate::format::varint;
use crate::model::mix::jpeg::{Bits, Coder};

fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("a jpeg block {what}"))
}

/// The numbers that a block's parameters declare: its pictures, and the most blocks that one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    pub pictures: u64,
    pub blocks: u64,
}

/// Writes records of pictures.
#[derive(Default)]
pub struct Recorder {
    pub record: Vec<u8>,
    /// The content: all bytes that are not recreated.
    pub content: Vec<u8>,
    pub summary: Summary,
    /// The number of raw bytes so far, and of those that are recreated.
    at: usize,
    pub recreated: usize,
}

impl Recorder {
    fn put(&mut self, value: usize) {
        varint::put(&mut self.record, value as u64);
    }

    /// Adds a picture of `raw`.
    pub fn add(&mut self, raw: &[u8], picture: &Picture) {
        self.put(picture.head.end - self.at);
        self.put(picture.head.len());
        self.put(picture.scans.len());
        for (i, (range, manner)) in picture.scans.iter().enumerate() {
            if i > 0 {
                self.put(range.start - self.at);
            }
            self.put(2 * (LONGEST_RUN - manner.run) as usize + usize::from(manner.zeros));
            self.content.extend_from_slice(&raw[self.at..range.start]);
            self.at = range.end;
            self.recreated += range.len();
        }
        let last = picture.scans.last().map_or(0, |s| s.0.len());
        self.put(if picture.cut { last + 1 } else { 0 });
        self.summary.pictures += 1;
        self.summary.blocks = self.summary.blocks.max(picture.blocks());
    }

    /// Adds what comes after all pictures.
    pub fn finish(&mut self, raw: &[u8]) {
        self.content.extend_from_slice(&raw[self.at..]);
    }
}

/// Reads records, and puts raw bytes together.
struct Builder<'a> {
    record: Cursor<'a>,
    content: &'a [u8],
    raw: Vec<u8>,
    len: usize,
    left: Left,
}

/// The blocks and bytes that pictures may still take.
pub struct Left {
    /// The most blocks of a picture, and of all that are still to come.
    pub each: u64,
    pub blocks: u64,
    /// Blocks times scans.
    pub visits: u64,
    /// Bytes of headers.
    pub heads: u64,
}

impl Left {
    /// The allowance of the pictures of a block of `len` raw bytes, of which each has at most `each` blocks.
    pub fn of(len: usize, each: u64) -> Self {
        let len = len as u64;
        Self { each, blocks: 4 * len, visits: 64 * len, heads: 4 * len }
    }

    /// Takes a picture off. `None` where too little is left.
    pub fn take(&mut self, blocks: u64, scans: u64, head: usize) -> Option<()> {
        if blocks > self.each {
            return None;
        }
        let (visits, head) = (blocks.checked_mul(scans)?, head as u64);
        (self.blocks, self.visits, self.heads) = (
            self.blocks.checked_sub(blocks)?,
            self.visits.checked_sub(visits)?,
            self.heads.checked_sub(head)?,
        );
        Some(())
    }
}

impl Builder<'_> {
    fn number(&mut self) -> Result<u64> {
        self.record.varint("number in a record").map_err(|e: Parse| e.at_end("the record of a jpeg block"))
    }

    /// Copies bytes of the content, and returns how many they are.
    fn copy(&mut self) -> Result<usize> {
        let count = self.number()?;
        let plain = usize::try_from(count).ok().and_then(|n| self.content.split_at_checked(n));
        let (plain, rest) = plain.ok_or_else(|| corrupt("that uses more than its content has"))?;
        if plain.len() > self.len - self.raw.len() {
            return Err(corrupt("that is longer than its raw length"));
        }
        self.raw.extend_from_slice(plain);
        self.content = rest;
        Ok(plain.len())
    }

    /// Has the headers walk through the last bytes, which must end with a scan header.
    fn scan(&self, headers: &mut Headers, len: usize, start: bool) -> Result<Scan> {
        match headers.walk(&self.raw[self.raw.len() - len..], start) {
            Walk::Scan(scan, n) if n == len => Ok(scan),
            _ => Err(corrupt("with a picture whose headers do not end with that of a scan")),
        }
    }

    fn picture<B: Bits>(&mut self, bits: &mut B, coder: &mut Coder) -> Result<()> {
        self.copy()?;
        let too_large = || corrupt("with pictures that are larger than declared");
        let head = self.number()?;
        let head = usize::try_from(head).ok().filter(|n| *n <= self.raw.len());
        let head = head.ok_or_else(|| corrupt("with a picture that starts before it"))?;
        // Before the headers are walked through, and again with all that they say.
        let count = self.number()?;
        if !(1..=MOST_SCANS as u64).contains(&count) {
            return Err(corrupt("with a picture of no scans, or too many"));
        }
        self.left.take(1, count, head).ok_or_else(too_large)?;
        let mut headers = Headers::default();
        let mut scan = self.scan(&mut headers, head, true)?;
        let frame = headers.frame.clone().ok_or_else(|| corrupt("with a picture without a frame"))?;
        self.left.take(frame.blocks(), count, 0).ok_or_else(too_large)?;
        let mut planes = headers.planes();
        for plane in &mut planes {
            plane.reserve()?;
        }
        coder.picture(bits, &mut planes)?;
        for i in 0..count {
            if i > 0 {
                let len = self.copy()?;
                scan = self.scan(&mut headers, len, false)?;
            }
            let manner = self.number()?;
            let run = u64::from(LONGEST_RUN).checked_sub(manner >> 1).filter(|run| *run > 0);
            let run = run.ok_or_else(|| corrupt("with a scan of no manner"))? as u32;
            let manner = Manner { zeros: manner & 1 != 0, run };
            let kept = if i + 1 == count { self.number()?.checked_sub(1) } else { None };
            let room = self.len - self.raw.len();
            let most = kept.and_then(|n| usize::try_from(n).ok()).unwrap_or(room);
            if most > room {
                return Err(corrupt("that is longer than its raw length"));
            }
            let out = scan::write(&headers, &frame, &scan, &planes, manner, most);
            let mut out = out.ok_or_else(|| corrupt("with coefficients that have no codes"))?;
            match kept {
                Some(_) if out.len() <= most => {
                    return Err(corrupt("with a scan that is shorter than it says"));
                }
                Some(_) => out.truncate(most),
                None if out.len() > most => return Err(corrupt("that is longer than its raw length")),
                None => {}
            }
            self.raw.extend_from_slice(&out);
        }
        Ok(())
    }
}

/// Puts a block of `len` bytes together from its record, its content and coefficients.
///
/// # Errors
///
/// [`crate::ErrorKind::Corrupt`] and [`crate::ErrorKind::Truncated`] where they do not make up such a block;
/// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
pub fn recreate<B: Bits>(
    record: &[u8],
    content: &[u8],
    bits: &mut B,
    coder: &mut Coder,
    summary: Summary,
    len: usize,
) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    reserve(&mut raw, len)?;
    let left = Left::of(len, summary.blocks);
    let mut builder = Builder { record: Cursor::new(record), content, raw, len, left };
    for i in 0..summary.pictures {
        builder.picture(bits, coder).map_err(|e| e.within(format!("picture {i}")))?;
    }
    if !builder.record.rest().is_empty() {
        return Err(corrupt("with a record that goes on"));
    }
    let Builder { content, mut raw, .. } = builder;
    if raw.len() + content.len() != len {
        return Err(corrupt("whose parts do not add up to its raw length"));
    }
    raw.extend_from_slice(content);
    Ok(raw)
}
