//! Windows: the types that a codec with windows receives and returns, and the bounds of their lengths.

use crate::error::{Error, Result};
use crate::format::block::Window;
use crate::progress::Meter;
use std::any::Any;

/// The sizes at which an encoder ends a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// W: the payload bytes of a window, a multiple of 4.
    pub payload: usize,
    /// R: the most raw bytes of a window.
    pub raw: usize,
}

/// One window as its codec has coded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedWindow {
    /// The number of raw bytes that it holds.
    pub raw_len: usize,
    /// The shortest byte string that decodes to them, at most W bytes; bits past its end read as zero.
    pub payload: Vec<u8>,
}

/// One window to decode.
#[derive(Debug)]
pub struct WindowJob<'a> {
    /// Payload bytes; bits past their end read as zero.
    pub payload: &'a [u8],
    /// The room for the raw bytes, exactly as long as the stored raw length.
    pub raw: &'a mut [u8],
}

/// The windows of a block to decode.
pub struct WindowedBlock<'a> {
    /// The block's parameters as the codec has parsed them ([`super::block::BlockParams`]); `None` where it
    /// has none.
    pub params: Option<&'a dyn Any>,
    /// The windows to decode. Where windows are chained, all from the block's first one on.
    pub windows: Vec<WindowJob<'a>>,
}

/// Takes the windows of all blocks out of them, in order.
pub fn all_windows<'a>(blocks: impl Iterator<Item = WindowedBlock<'a>>) -> Vec<WindowJob<'a>> {
    blocks.flat_map(|b| b.windows).collect()
}

/// How a codec wants the content of a file to be cut into blocks, and the blocks to be coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutting {
    /// Offset of the first byte that the codec takes. Other codecs code the bytes before it.
    pub start: u64,
    /// Offset just after the last byte that it takes; `u64::MAX` where that is the content's end.
    pub end: u64,
    /// Blocks and windows hold whole multiples of this many raw bytes, 1 or more.
    pub unit: usize,
    /// The last block holds a whole multiple of this many raw bytes, 1 or more.
    pub step: usize,
    /// Parameters of the blocks; `None` where they have none.
    pub params: Option<Vec<u8>>,
    /// Whether decoding a window needs all windows of the block before it.
    pub chained: bool,
}

impl Cutting {
    /// Any bytes, cut anywhere, in windows that decode alone.
    pub const BYTES: Self = Self { start: 0, end: u64::MAX, unit: 1, step: 1, params: None, chained: false };

    /// Cuts bytes, the first of which has offset `at` in the content, into those before what the codec takes,
    /// those that it takes, and those after it.
    pub fn split<'r>(&self, raw: &'r [u8], at: u64) -> [&'r [u8]; 3] {
        let to = |place: u64| usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX).min(raw.len());
        let (start, end) = (to(self.start), to(self.end));
        [&raw[..start], &raw[start..end], &raw[end..]]
    }

    /// The number of bytes from offset `at` to the start of the next unit; 0 where a unit starts there.
    pub fn left_of_unit(&self, at: u64) -> usize {
        let unit = self.unit as u64;
        let over = at.saturating_sub(self.start) % unit;
        if over > 0 { (unit - over) as usize } else { 0 }
    }
}

/// A codec whose blocks are made of windows, joined to its model.
pub trait WindowCoder: Send + Sync {
    /// How content that starts with `_head` is to be cut; for an empty head, what holds for any content.
    /// `_chained` says whether windows may depend on those before them, for codecs whose blocks become
    /// smaller that way.
    fn cutting(&self, _head: &[u8], _chained: bool) -> Cutting {
        Cutting::BYTES
    }

    /// Whether the model has symbols for these bytes.
    fn fits(&self, _cutting: &Cutting, _raw: &[u8]) -> bool {
        true
    }

    /// Codes blocks into windows; one window of each block steps together. `meter` counts the raw bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for limits or bytes that the codec cannot code;
    /// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    fn encode(
        &self,
        blocks: &[&[u8]],
        cutting: &Cutting,
        limits: WindowLimits,
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>>;

    /// Decodes the windows of blocks, all of them together, using at most `memory` bytes (approximate) in
    /// addition to payloads and raw bytes. A damaged payload may decode to any bytes: the caller compares
    /// check values. `meter` counts the raw bytes.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where a payload is not one that an encoder writes;
    /// [`crate::ErrorKind::LimitExceeded`] where memory is missing.
    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()>;

    /// Another coder for the same windows, for the case that this one gives wrong bytes without an error, as
    /// a faulty device may.
    fn fallback(&self) -> Option<&dyn WindowCoder> {
        None
    }
}

/// The most raw bytes per byte of payload, and the number of payload bytes that every window is credited with
/// for free: a rule of the format that bounds a reader's work. A codec may code more cheaply (`lm`: down to
/// 0.0007 bits a byte); its encoder then appends zeros.
const RAW_PER_BYTE: usize = 2048;
const FREE_BYTES: usize = 32;

/// The most raw bytes that a window of `payload_len` stored bytes may hold.
pub fn max_window_raw(payload_len: usize) -> usize {
    RAW_PER_BYTE * (payload_len + FREE_BYTES)
}

/// Makes a window's payload long enough for its raw bytes. Zeros at its end do not change what it decodes to.
pub fn lengthen(window: &mut EncodedWindow) {
    let least = window.raw_len.div_ceil(RAW_PER_BYTE).saturating_sub(FREE_BYTES);
    if window.payload.len() < least {
        window.payload.resize(least, 0);
    }
}

/// Fails where a window's payload is too short for its raw bytes.
pub fn check_lengths(windows: &[Window]) -> Result<()> {
    for (i, w) in windows.iter().enumerate() {
        if w.raw_len as usize > max_window_raw(w.payload_len as usize) {
            let (raw, payload) = (w.raw_len, w.payload_len);
            return Err(Error::corrupt(format!("window {i}: {payload} bytes cannot hold {raw} raw bytes")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(raw_len: usize, len: usize) -> EncodedWindow {
        EncodedWindow { raw_len, payload: vec![7; len] }
    }

    #[test]
    fn the_bound_is_the_same_from_both_sides() {
        for raw_len in [0, 1, 65_535, 65_536, 65_537, 67_584, 67_585, 1 << 20] {
            let mut shortest = window(raw_len, 0);
            lengthen(&mut shortest);
            let len = shortest.payload.len();
            assert!(raw_len <= max_window_raw(len), "{raw_len}");
            assert!(len == 0 || raw_len > max_window_raw(len - 1), "{raw_len}");
        }
    }
}
