//! The bytes so far, and the features of them from which contexts are made.

use super::x86::Instructions;
use crate::{Error, ErrorKind, Result};

/// Combines `b` with the hash `a`.
#[inline(always)]
pub fn mix_hash(a: u32, b: u32) -> u32 {
    let h = (a ^ b.wrapping_mul(0x9E37_79B1)).wrapping_mul(0x85EB_CA6B);
    h ^ (h >> 15)
}

/// The raw bytes of a block so far, with features that are updated byte by byte.
#[derive(Debug)]
pub struct History {
    bytes: Vec<u8>,
    /// The last four bytes, the newest in the lowest bits.
    pub c4: u32,
    /// The four bytes before those of `c4`.
    pub c8: u32,
    /// The four bytes before those of `c8`.
    pub c12: u32,
    /// A hash of the letters of the word in progress; 0 between words.
    pub word: u32,
    /// The hashes of the words before it, newest first.
    pub words: [u32; 4],
    /// A hash of the bytes since the last word; 0 inside of words.
    pub gap: u32,
    /// The starts of the current line and of the one before.
    pub line: [usize; 2],
    /// The first byte of the current line.
    pub first: u8,
    /// A hash of the line so far in which all digits count as equal, and a run of letters as one.
    pub shape: u32,
    /// The number of field separators (spaces, commas, tabs…) since the start of the line.
    pub field: u32,
    /// A hash of the name of the last tag or key.
    pub tag: u32,
    /// The name in progress, and whether there is one.
    tag_building: u32,
    in_tag: bool,
    /// A hash of the current field so far.
    pub prefix: u32,
    /// The last two bytes that followed each byte, and each pair of bytes.
    followers: Vec<u16>,
    /// The instruction in progress, if the bytes are code.
    pub x86: Instructions,
    code: bool,
}

/// The entries of the follower table: 256 for single bytes, then those for pairs.
const FOLLOWERS: usize = 256 + 65536;

impl History {
    /// An empty history. If the bytes are `code`, it follows x86 instructions.
    pub fn new(code: bool) -> Self {
        Self { followers: vec![0; FOLLOWERS], code, ..Self::empty() }
    }

    /// An empty history without memory for followers.
    fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            c4: 0,
            c8: 0,
            c12: 0,
            word: 0,
            words: [0; 4],
            gap: 0,
            line: [0; 2],
            first: 0,
            shape: 0,
            field: 0,
            tag: 0,
            tag_building: 0,
            in_tag: false,
            prefix: 0,
            followers: Vec::new(),
            x86: Instructions::default(),
            code: false,
        }
    }

    /// The number of bytes so far.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes so far.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The byte `back` positions before the end (1 for the newest byte); 0 before the start.
    #[inline(always)]
    pub fn back(&self, back: usize) -> u32 {
        let at = self.bytes.len().wrapping_sub(back);
        self.bytes.get(at).copied().map_or(0, u32::from)
    }

    /// The byte above the next one: that in the same column of the line before; 0 if there is none.
    #[inline(always)]
    pub fn above(&self) -> u32 {
        let column = self.column();
        let at = self.line[1] + column;
        if at < self.line[0] { u32::from(self.bytes[at]) } else { 0 }
    }

    /// The number of bytes since the start of the line.
    #[inline(always)]
    pub fn column(&self) -> usize {
        self.bytes.len() - self.line[0]
    }

    /// The two bytes that last followed the newest byte.
    #[inline(always)]
    pub fn follow1(&self) -> u32 {
        self.followers[(self.c4 & 0xff) as usize].into()
    }

    /// The two bytes that last followed the newest two bytes.
    #[inline(always)]
    pub fn follow2(&self) -> u32 {
        self.followers[256 + (self.c4 & 0xffff) as usize].into()
    }

    /// The hash of the word in progress, or that of the bytes since the last one.
    #[inline(always)]
    pub fn word_or_gap(&self) -> u32 {
        if self.word != 0 { self.word } else { self.gap }
    }

    /// Makes room for `more` bytes.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.bytes.try_reserve(more).map_err(|e| {
            Error::new(ErrorKind::LimitExceeded, format!("no memory for {more} bytes of history: {e}"))
        })
    }

    /// Forgets everything except which bytes followed which.
    pub fn cut(&mut self) {
        let followers = std::mem::take(&mut self.followers);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self { bytes, followers, code: self.code, ..Self::empty() };
    }

    /// Appends a byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
        for at in [(self.c4 & 0xff) as usize, 256 + (self.c4 & 0xffff) as usize] {
            self.followers[at] = self.followers[at] << 8 | u16::from(byte);
        }
        if self.code {
            self.x86.push(byte);
        }
        self.c12 = self.c12 << 8 | self.c8 >> 24;
        self.c8 = self.c8 << 8 | self.c4 >> 24;
        self.c4 = self.c4 << 8 | u32::from(byte);
        self.track_words(byte);
        self.track_line(byte);
        self.track_tags(byte);
    }

    /// Updates words and gaps.
    #[inline(always)]
    fn track_words(&mut self, byte: u8) {
        let lower = byte.to_ascii_lowercase();
        if lower.is_ascii_lowercase() || byte >= 128 || (byte == b'\'' && self.word != 0) {
            self.word = mix_hash(self.word.wrapping_add(1), u32::from(lower));
            self.gap = if self.gap & 1 == 0 { self.gap } else { 0 };
        } else if self.word != 0 {
            self.words.rotate_right(1);
            self.words[0] = self.word;
            self.word = 0;
            self.gap = mix_hash(1, u32::from(byte)) | 1;
        } else {
            self.gap = mix_hash(self.gap, u32::from(byte)) | 1;
        }
    }

    /// Updates lines, shapes and fields.
    #[inline(always)]
    fn track_line(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line = [self.bytes.len(), self.line[0]];
            self.shape = 0;
            self.field = 0;
            self.prefix = 0;
            return;
        }
        if self.bytes.len() == self.line[0] + 1 {
            self.first = byte;
        }
        let class = match byte {
            b'0'..=b'9' => b'0',
            b'a'..=b'z' | b'A'..=b'Z' | 128.. => b'a',
            other => other,
        };
        if !(class == b'a' && self.c4 >> 8 & 0xff != 0 && self.prev_is_letter()) {
            self.shape = mix_hash(self.shape.wrapping_add(1), u32::from(class));
        }
        if matches!(byte, b' ' | b',' | b'\t' | b';' | b'|') {
            self.field += 1;
            self.prefix = 0;
        } else {
            self.prefix = mix_hash(self.prefix.wrapping_add(1), u32::from(byte));
        }
    }

    /// Whether the byte before the newest one counts as a letter.
    #[inline(always)]
    fn prev_is_letter(&self) -> bool {
        let previous = (self.c4 >> 8) as u8;
        previous.is_ascii_alphabetic() || previous >= 128
    }

    /// Updates tags and keys: a name reaches from an opening sign to a closing one.
    #[inline(always)]
    fn track_tags(&mut self, byte: u8) {
        match byte {
            b'<' | b'"' | b'{' | b'[' => {
                self.in_tag = true;
                self.tag_building = u32::from(byte);
            }
            b'>' | b'=' | b':' | b' ' if self.in_tag => {
                self.in_tag = false;
                self.tag = self.tag_building;
            }
            _ if self.in_tag => self.tag_building = mix_hash(self.tag_building, u32::from(byte)),
            _ => {}
        }
    }
}
