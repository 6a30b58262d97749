//! Finds deflate streams in bytes: gzip, zlib, the IDAT chunks of PNG files, members of ZIP archives.

use super::inflate::{Parsed, Vain, parse};
use super::picture::Rows;
use super::sums::{adler32, crc32};
use std::ops::Range;

/// The bytes around a stream that can be computed from its inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// None.
    Bare,
    /// The Adler-32 of zlib, after the stream.
    Zlib,
    /// The CRC-32 and the length of gzip, after the stream.
    Gzip,
    /// The chunk headers and CRCs of a PNG file: a zlib stream is cut into IDAT chunks of these lengths.
    Png(Vec<u32>),
}

/// A stream that was found.
pub struct Found {
    /// The raw bytes that are recreated: the stream and the bytes computed from its inside. Of a PNG file,
    /// they reach from the first IDAT chunk to the last; the two bytes of zlib's header among them are
    /// stored.
    pub range: Range<usize>,
    pub form: Form,
    /// The first two bytes of a zlib stream in a PNG file.
    pub head: [u8; 2],
    pub stream: Parsed,
    /// The shape of the picture's rows, where the inside is a picture.
    pub rows: Option<Rows>,
}

/// The longest inside of a stream that is undone, in bytes.
const MOST: usize = 64 << 20;
/// The shortest stream that is worth undoing, in bytes.
const LEAST: usize = 24;
/// The number of bytes that may be unpacked in vain, in addition to one for each byte of the block.
const VAIN: usize = 4 << 20;

/// Walks through bytes from stream to stream.
pub struct Finder<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The number of bytes that may still be unpacked in vain.
    vain: usize,
    /// The start of a stream that goes on after the end of the bytes.
    open: Option<usize>,
}

/// A stream that is cut off counts as one if at least this many of its bytes are there.
const LEAST_OPEN: usize = 4096;

/// The best place to cut bytes that go on in another block: before a stream that the cut would split, unless
/// the bytes start with it.
pub fn cut(bytes: &[u8]) -> usize {
    let mut finder = Finder::new(bytes);
    while finder.open.is_none() && finder.next(MOST).is_some() {}
    finder.open.filter(|at| *at > 0).unwrap_or(bytes.len())
}

impl<'a> Finder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, vain: VAIN + bytes.len(), open: None }
    }

    /// The next stream whose inside has at most `most` bytes.
    pub fn next(&mut self, most: usize) -> Option<Found> {
        let most = most.min(MOST);
        while self.vain > 0 {
            let at = self.at + candidate(&self.bytes[self.at..])?;
            self.at = at;
            if let Some(found) = self.try_at(at, most) {
                self.at = found.range.end;
                return Some(found);
            }
            self.at = at + 1;
        }
        None
    }

    fn try_at(&mut self, at: usize, most: usize) -> Option<Found> {
        let bytes = &self.bytes[at..];
        match bytes {
            [0x1F, 0x8B, 8, ..] => self.gzip(at, most),
            [b'P', b'K', 3, 4, ..] => self.zip(at, most),
            [0x89, b'P', b'N', b'G', 13, 10, 26, 10, ..] => self.png(at, most),
            _ => self.zlib(at, most),
        }
    }

    /// Parses what may be a stream; `right` confirms that it is one. Bytes unpacked in vain are counted, so
    /// that hostile input costs no more time than other input.
    fn parse(&mut self, bytes: &[u8], most: usize, right: impl Fn(&Parsed) -> bool) -> Option<Parsed> {
        let unpacked = match parse(bytes, most) {
            Ok(stream) if stream.len >= LEAST && right(&stream) => return Some(stream),
            Ok(stream) => stream.raw.len(),
            Err(Vain { unpacked, open }) => {
                if open && bytes.len() >= LEAST_OPEN {
                    self.open.get_or_insert(self.at);
                }
                unpacked
            }
        };
        self.vain = self.vain.saturating_sub(unpacked + 1);
        None
    }

    fn gzip(&mut self, at: usize, most: usize) -> Option<Found> {
        let start = at + gzip_header(&self.bytes[at..])?;
        let stream = self.parse(self.bytes.get(start..)?, most, |_| true)?;
        let end = start + stream.len;
        let trailer = self.bytes.get(end..end + 8);
        let expected = gzip_trailer(&stream.raw);
        let (form, end) = if trailer == Some(&expected) { (Form::Gzip, end + 8) } else { (Form::Bare, end) };
        Some(Found { range: start..end, form, head: [0; 2], stream, rows: None })
    }

    fn zip(&mut self, at: usize, most: usize) -> Option<Found> {
        let header = self.bytes.get(at..at + 30)?;
        let u16_at = |i: usize| usize::from(u16::from_le_bytes([header[i], header[i + 1]]));
        let (flags, method) = (u16_at(6), u16_at(8));
        if flags & 1 != 0 || method != 8 {
            return None;
        }
        let start = at + 30 + u16_at(26) + u16_at(28);
        let stream = self.parse(self.bytes.get(start..)?, most, |_| true)?;
        let range = start..start + stream.len;
        Some(Found { range, form: Form::Bare, head: [0; 2], stream, rows: None })
    }

    fn zlib(&mut self, at: usize, most: usize) -> Option<Found> {
        let bytes = self.bytes.get(at + 2..)?;
        let stream = self.parse(bytes, most, |s| {
            bytes.get(s.len..s.len + 4).is_some_and(|sum| sum == adler32(&s.raw).to_be_bytes())
        })?;
        let range = at + 2..at + 2 + stream.len + 4;
        Some(Found { range, form: Form::Zlib, head: [0; 2], stream, rows: None })
    }

    fn png(&mut self, at: usize, most: usize) -> Option<Found> {
        let (mut p, mut ends) = (at + 8, false);
        let (mut rows, mut first, mut lens, mut joined) = (None, None, Vec::new(), Vec::new());
        while let Some(chunk) = self.bytes.get(p..).and_then(chunk) {
            match (chunk.kind, chunk.right) {
                (b"IDAT", true) => {
                    first.get_or_insert(p);
                    lens.push(chunk.data.len() as u32);
                    joined.extend_from_slice(chunk.data);
                }
                (b"IHDR", _) => rows = shape(chunk.data),
                _ if first.is_some() => break,
                _ => {}
            }
            p += 12 + chunk.data.len();
            ends = chunk.kind == b"IEND";
        }
        if !ends && self.bytes.get(p..).and_then(chunk).is_none() {
            self.open.get_or_insert(at);
        }
        let range = first?..p;
        let head = *joined.first_chunk()?;
        if !is_zlib(head) {
            return None;
        }
        let stream =
            self.parse(&joined[2..], most, |s| joined[2 + s.len..] == adler32(&s.raw).to_be_bytes())?;
        Some(Found { range, form: Form::Png(lens), head, stream, rows })
    }
}

/// The offset of the next bytes that may start or precede a stream.
fn candidate(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| {
        let starts = match w[0] {
            0x1F => w[1] == 0x8B && w[2] == 8,
            b'P' => w[1] == b'K' && w[2] == 3 && w[3] == 4,
            0x89 => w[1] == b'P' && w[2] == b'N' && w[3] == b'G',
            _ => false,
        };
        starts || is_zlib([w[0], w[1]]) && w[2] & 6 != 6
    })
}

/// Whether two bytes may be a zlib header without a dictionary.
fn is_zlib([a, b]: [u8; 2]) -> bool {
    a & 0x8F == 8 && b & 0x20 == 0 && (u16::from(a) << 8 | u16::from(b)).is_multiple_of(31)
}

/// The length of the gzip header at the start of bytes.
fn gzip_header(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.get(3)?;
    if flags & 0xE0 != 0 {
        return None;
    }
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|b| *b == 0)? + 1;
        }
    }
    Some(if flags & 2 != 0 { at + 2 } else { at })
}

/// The gzip trailer for an inside: CRC-32 and length.
pub fn gzip_trailer(raw: &[u8]) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc32(&[raw]).to_le_bytes());
    trailer[4..].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    trailer
}

struct Chunk<'a> {
    kind: &'a [u8; 4],
    data: &'a [u8],
    /// Whether its CRC is right. Only looked at for IDAT chunks.
    right: bool,
}

/// The chunk at the start of bytes of a PNG file.
fn chunk(bytes: &[u8]) -> Option<Chunk<'_>> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let kind = rest.first_chunk::<4>()?;
    let len = u32::from_be_bytes(*len) as usize;
    let data = rest.get(4..len.checked_add(4)?)?;
    let crc = rest.get(4 + len..8 + len)?;
    let right = kind == b"IDAT" && crc == crc32(&[kind, data]).to_be_bytes();
    Some(Chunk { kind, data, right })
}

/// The shape of the rows of the picture with this IHDR chunk; `None` if it is interlaced and has several pixels in a byte.
fn shape(header: &[u8]) -> Option<Rows> {
    let &[a, b, c, d, e, f, g, h, depth, colour, _, _, interlace @ 0..=1] = header else { return None };
    let (width, height) =
        (u32::from_be_bytes([a, b, c, d]) as usize, u32::from_be_bytes([e, f, g, h]) as usize);
    let interlaced = (interlace == 1).then_some(height);
    let channels = match colour {
        0 | 3 => 1,
        2 => 3,
        4 => 2,
        6 => 4,
        _ => return None,
    };
    let bits = channels * usize::from(depth);
    let row = width.checked_mul(bits)?.div_ceil(8);
    let whole = interlaced.is_none_or(|height| height > 0 && bits.is_multiple_of(8));
    (row > 0 && whole && matches!(depth, 1 | 2 | 4 | 8 | 16)).then_some(Rows {
        row,
        pixel: bits.div_ceil(8),
        interlaced,
    })
}
