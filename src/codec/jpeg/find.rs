//! Finds pictures in bytes: whole files, and those inside of others.

use super::picture::{Picture, parse};
use super::recipe::Left;

/// The work in vain, in bytes and blocks, that is allowed in addition to some for each byte.
const VAIN: usize = 1 << 20;
/// A picture that the end cuts counts as one if at least this many of its bytes are there.
const LEAST_OPEN: usize = 4096;
/// The levels of pictures inside the headers of pictures: thumbnails, and what they may hold.
const LEVELS: usize = 3;

/// Walks through bytes from picture to picture.
pub struct Finder<'a> {
    bytes: &'a [u8],
    /// Work that may still be done in vain.
    vain: usize,
    /// The blocks and bytes that pictures may still take.
    left: Left,
    /// The start of a picture that goes on after the end of the bytes.
    open: Option<usize>,
}

/// The start of the first bytes that may be those of a picture.
fn candidate(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|w| w == [0xFF, 0xD8, 0xFF])
}

/// The best place to cut bytes that go on in another block: before a picture that the cut would split, unless
/// the bytes start with it.
pub fn cut(bytes: &[u8]) -> usize {
    let mut finder = Finder::new(bytes, u64::MAX);
    finder.each(0..bytes.len(), LEVELS, &mut |_| {});
    finder.open.filter(|at| *at > 0).unwrap_or(bytes.len())
}

/// Calls `take` with each picture, in the order in which their scans come to be complete: those inside the
/// header of another one before it.
pub fn each(bytes: &[u8], most_blocks: u64, take: &mut dyn FnMut(Picture)) {
    let mut finder = Finder::new(bytes, most_blocks);
    finder.each(0..bytes.len(), LEVELS, take);
}

impl<'a> Finder<'a> {
    /// Pictures have at most `most_blocks` blocks together.
    fn new(bytes: &'a [u8], most_blocks: u64) -> Self {
        let len = bytes.len();
        let mut left = Left::of(len, most_blocks);
        left.blocks = left.blocks.min(most_blocks);
        Self { bytes, vain: VAIN + 4 * len, left, open: None }
    }

    fn each(&mut self, range: std::ops::Range<usize>, levels: usize, take: &mut dyn FnMut(Picture)) {
        let bytes = &self.bytes[..range.end];
        let mut at = range.start;
        while let Some(skip) = candidate(&bytes[at..]).filter(|_| self.vain > 0) {
            at += skip;
            match parse(bytes, at, self.left.blocks) {
                Ok(picture) => {
                    let (scans, head) = (picture.scans.len() as u64, picture.head.len());
                    // Once more than it has, as a decoder counts it.
                    if self.left.take(picture.blocks() + 1, scans, head).is_none() {
                        at += 2;
                        self.vain = self.vain.saturating_sub(picture.blocks() as usize + head);
                        continue;
                    }
                    if levels > 1 {
                        self.each(at + 2..picture.head.end, levels - 1, take);
                    }
                    let end = picture.end();
                    if end == self.bytes.len() || picture.cut {
                        self.open.get_or_insert(at);
                    }
                    at = end;
                    take(picture);
                }
                Err(vain) => {
                    self.vain = self.vain.saturating_sub(vain.work);
                    if vain.open && bytes.len() == self.bytes.len() && bytes.len() - at >= LEAST_OPEN {
                        self.open.get_or_insert(at);
                    }
                    at += 2;
                }
            }
        }
    }
}
