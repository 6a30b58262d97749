//! The `zstd` codec: the payload is one Zstandard frame without its magic number.

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, OrderedBlock, UnitKind};
use super::buffer::reserve;
use super::encoding::{Content, Effort, EncodedBlock};
use super::ordered::{self, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::Units;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, FrameFormat, InBuffer, OutBuffer, WriteBuf};

/// The magic number of Zstandard frames, which is not stored.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Largest window that a frame may ask for, as log2 of bytes.
pub const MAX_WINDOW_LOG: u32 = 27;
/// log2 of the smallest check unit that the encoder chooses, in raw bytes.
const UNIT_LOG2: u32 = 20;
/// The most check units that the encoder gives a block.
const MAX_UNITS: usize = 8;

/// The zstd level for each of nzip's levels 1..=9.
const LEVELS: [i32; 9] = [3, 9, 19, 19, 19, 19, 19, 19, 22];
/// The most bytes that are decoded at a time where the block is long for its payload.
const PIECE: usize = 1 << 20;

/// The memory that zstd takes to decode a frame in addition to its window, in bytes.
const CONTEXT: u64 = 512 << 10;

/// The codec `zstd`.
pub struct Zstd;

impl BlockCodec for Zstd {
    fn id(&self) -> Codec {
        Codec::Zstd
    }

    fn name(&self) -> &'static str {
        "zstd"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        payload_len << 15
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        encode(content.raw, level(effort.level), false).map(Some)
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        // In pieces, raw bytes are gathered in a buffer that grows by doubling, and zstd keeps a window of
        // its own.
        (CONTEXT + u64::from(block.header.raw_len)).saturating_add(window_len(payload))
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let whole = raw.len() + block.block.header.raw_len as usize;
        if block.modest {
            reserve(raw, block.block.header.raw_len as usize)?;
        } else if window_len(block.payload).saturating_add(CONTEXT) > block.memory {
            let (window, cap) = (window_len(block.payload), block.memory);
            return Err(Error::limit(format!(
                "a zstd window of {window} bytes; the memory cap leaves {cap}"
            )));
        }
        Ok(Box::new(BlockReader { frame: Decoder::new(block.modest)?, whole }))
    }
}

/// Decodes the frame of a block: in place where there is room for the whole block, otherwise in pieces.
struct BlockReader {
    frame: Decoder<'static>,
    /// The length of the buffer once it holds the whole block.
    whole: usize,
}

impl Reader for BlockReader {
    fn fill(&mut self, payload: &[u8], end: usize, raw: &mut Vec<u8>) -> Result<()> {
        if self.in_place() {
            let (at, mut room) = (raw.len(), Room { raw, len: self.whole });
            return self.frame.fill(payload, &mut OutBuffer::around_pos(&mut room, at), end);
        }
        while raw.len() < end {
            let start = raw.len();
            let step = (end - start).min(PIECE);
            if raw.capacity() < start + step {
                reserve(raw, step.max(start).min(end - start))?;
            }
            raw.resize(start + step, 0);
            self.frame.fill(payload, &mut OutBuffer::around(&mut raw[start..]), step)?;
        }
        Ok(())
    }

    fn finish(&mut self, payload: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        if !self.in_place() {
            return self.frame.finish(payload, &mut OutBuffer::around(&mut [0; 0][..]));
        }
        let (at, mut room) = (raw.len(), Room { raw, len: self.whole });
        self.frame.finish(payload, &mut OutBuffer::around_pos(&mut room, at))
    }

    fn in_place(&self) -> bool {
        self.frame.in_place
    }
}

/// A vector that zstd may fill up to `len` bytes, however much room a vector that is used again has: a frame
/// that goes on must fail at the same byte in every reader.
struct Room<'a> {
    raw: &'a mut Vec<u8>,
    len: usize,
}

// SAFETY: all is the vector's own but for the capacity, which is never above the vector's.
#[allow(unsafe_code)] // a binding
unsafe impl WriteBuf for Room<'_> {
    fn as_slice(&self) -> &[u8] {
        self.raw.as_slice()
    }

    fn capacity(&self) -> usize {
        self.raw.capacity().min(self.len)
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    unsafe fn filled_until(&mut self, n: usize) {
        // SAFETY: the caller has written the first `n` bytes, which are no more than the capacity.
        unsafe { self.raw.set_len(n) }
    }
}

/// The zstd level that goes with a level of 1..=9.
pub fn level(level: u8) -> i32 {
    LEVELS[usize::from(level.clamp(1, 9)) - 1]
}

/// The memory in bytes that compressing `len` bytes at a level takes, in addition to these bytes and
/// including a second result.
pub fn memory(level: i32, len: usize) -> u64 {
    // Base-2 logarithms of the window, the chains and the hash table, which shrink with the length.
    let (window, chain, hash) = match level {
        ..=3 => (21, 16, 17),
        4..=9 => (22, 20, 21),
        10..=15 => (22, 23, 23),
        16..=19 => (23, 24, 22),
        _ => (27, 27, 25),
    };
    let needed = (len.max(1 << 12) - 1).ilog2() + 1;
    let window = needed.min(window);
    let (chain, hash) = (chain.min(window + 1), hash.min(window + 1));
    (4 << chain) + (4 << hash) + (3 << 20) + 2 * len as u64
}

/// Compresses bytes into one frame without its magic number, at a level of Zstandard.
pub fn compress(raw: &[u8], level: i32) -> Result<Vec<u8>> {
    compress_as(raw, &[CParameter::CompressionLevel(level)])
}

/// Does the same as [`compress`] with long-distance matching and a window that holds all of `raw`.
pub fn compress_far(raw: &[u8], level: i32) -> Result<Vec<u8>> {
    let whole = raw.len().next_power_of_two().trailing_zeros();
    let far = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(whole.clamp(20, MAX_WINDOW_LOG)),
        CParameter::EnableLongDistanceMatching(true),
    ];
    compress_as(raw, &far)
}

fn compress_as(raw: &[u8], parameters: &[CParameter]) -> Result<Vec<u8>> {
    let mut ctx = CCtx::try_create().ok_or_else(out_of_memory)?;
    let alike = [
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::Format(FrameFormat::Magicless),
    ];
    for &parameter in parameters.iter().chain(&alike) {
        ctx.set_parameter(parameter).map_err(failed)?;
    }
    let mut frame = Vec::new();
    frame.try_reserve_exact(zstd_safe::compress_bound(raw.len())).map_err(|_| out_of_memory())?;
    ctx.compress2(&mut frame, raw).map_err(failed)?;
    Ok(frame)
}

/// The longest distance of repetitions, in bytes, that a level of 1..=9 finds without long-distance matching.
pub fn window(at: u8) -> usize {
    // From zstd's own table of parameters for long inputs.
    let log = match level(at) {
        ..=3 => 21,
        4..=15 => 22,
        16..=19 => 23,
        _ => 27,
    };
    1 << log
}

/// A frame without its magic number that holds the bytes uncompressed.
pub fn uncompressed(raw: &[u8]) -> Vec<u8> {
    // Neither length nor check value; a window of 2^17 bytes, which is also the largest size of a block.
    let mut frame = vec![0, (17 - 10) << 3];
    let count = raw.len().div_ceil(1 << 17).max(1);
    for i in 0..count {
        let block = &raw[i << 17..raw.len().min((i + 1) << 17)];
        let header = u32::from(i + 1 == count) | (block.len() as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

/// Codes a block of 1..=2^30 bytes at a level of Zstandard. With `far`, repetitions at any distance are
/// found.
pub fn encode(raw: &[u8], level: i32, far: bool) -> Result<EncodedBlock> {
    let log2 = raw.len().div_ceil(MAX_UNITS).next_power_of_two().trailing_zeros().max(UNIT_LOG2);
    Ok(EncodedBlock {
        codec: Codec::Zstd,
        raw_len: raw.len() as u32,
        model: None,
        params: None,
        units: Units::fixed(log2 as u8, raw),
        payload: if far { compress_far(raw, level)? } else { compress(raw, level)? },
    })
}

/// The window that a frame without its magic number asks for, in bytes (RFC 8878, 3.1.1.1); 0 where its
/// header is cut.
fn window_len(frame: &[u8]) -> u64 {
    let Some((&descriptor, rest)) = frame.split_first() else { return 0 };
    if descriptor & 1 << 5 == 0 {
        let Some(&window) = rest.first() else { return 0 };
        let base = 1u64 << (10 + (window >> 3));
        return base + base / 8 * u64::from(window & 7);
    }
    // A single segment: the window is the content, whose length follows the id of a dictionary.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (len, more) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
    let Some(bytes) = rest.get(dictionary..dictionary + len) else { return 0 };
    bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b)).saturating_add(more)
}

/// Decodes a frame front to back, in one of two ways.
/// *In place*, all calls get the same buffer: zstd writes into it without copying, and reads earlier bytes
/// from it. *In pieces*, each call gets a buffer of its own, and zstd keeps a window of earlier bytes.
pub struct Decoder<'a> {
    ctx: DCtx<'a>,
    in_place: bool,
    started: bool,
    consumed: usize,
    /// The number of input bytes that zstd asks for next: a zstd block and the header of the one after it.
    hint: usize,
    ended: bool,
}

impl Decoder<'_> {
    /// Starts at the first byte of the frame.
    pub fn new(in_place: bool) -> Result<Self> {
        let mut ctx = DCtx::try_create().ok_or_else(out_of_memory)?;
        ctx.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(failed)?;
        ctx.set_parameter(DParameter::StableOutBuffer(in_place)).map_err(failed)?;
        Ok(Self { ctx, in_place, started: false, consumed: 0, hint: 0, ended: false })
    }

    /// Decodes until `out` is filled up to `end`. In place, decoding may go on up to 128 KiB further. Every
    /// call must be given the same whole frame as `payload`.
    ///
    /// # Errors
    /// `Corrupt` where the frame is damaged or ends before `end`.
    pub fn fill<B: WriteBuf + ?Sized>(
        &mut self,
        payload: &[u8],
        out: &mut OutBuffer<'_, B>,
        end: usize,
    ) -> Result<()> {
        while out.pos() < end {
            if self.ended {
                return Err(Error::corrupt("the zstd frame ends before the block's raw length"));
            }
            self.step(payload, out)?;
        }
        Ok(())
    }

    /// Checks that the frame ends with the payload and decodes to no more bytes.
    ///
    /// # Errors
    /// `Corrupt` where it does not.
    pub fn finish<B: WriteBuf + ?Sized>(&mut self, payload: &[u8], out: &mut OutBuffer<'_, B>) -> Result<()> {
        let pos = out.pos();
        while !self.ended {
            self.step(payload, out)?;
        }
        if out.pos() != pos {
            return Err(Error::corrupt("the zstd frame does not end with the block's raw length"));
        }
        if self.consumed != payload.len() {
            let left = payload.len() - self.consumed;
            return Err(Error::corrupt(format!("{left} payload bytes after the zstd frame")));
        }
        Ok(())
    }

    fn step<B: WriteBuf + ?Sized>(&mut self, payload: &[u8], out: &mut OutBuffer<'_, B>) -> Result<()> {
        if !self.started {
            // The magic number is a call of its own, so that zstd checks the window size of every frame.
            self.started = true;
            self.hint = self.ctx.decompress_stream(out, &mut InBuffer::around(&MAGIC)).map_err(failed)?;
        }
        let rest = &payload[self.consumed..];
        // In place, only the end of the input keeps zstd from decoding on to the end of the frame.
        let most = if self.in_place { self.hint.min(rest.len()) } else { rest.len() };
        let mut input = InBuffer::around(&rest[..most]);
        let before = out.pos();
        self.hint = self.ctx.decompress_stream(out, &mut input).map_err(damaged)?;
        let moved = input.pos() > 0 || out.pos() > before;
        self.consumed += input.pos();
        self.ended = self.hint == 0;
        if !moved && !self.ended {
            return Err(Error::corrupt(
                "the zstd frame does not end with the block's payload and raw length",
            ));
        }
        Ok(())
    }
}

/// Decodes a whole frame into `raw`, which it must fill exactly.
pub fn decompress(payload: &[u8], raw: &mut [u8]) -> Result<()> {
    let mut decoder = Decoder::new(true)?;
    let end = raw.len();
    let mut out = OutBuffer::around(raw);
    decoder.fill(payload, &mut out, end)?;
    decoder.finish(payload, &mut out)
}

fn out_of_memory() -> Error {
    Error::new(ErrorKind::LimitExceeded, "not enough memory for zstd")
}

fn failed(code: usize) -> Error {
    Error::bad_argument(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

fn damaged(code: usize) -> Error {
    Error::corrupt(format!("zstd frame: {}", zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces() {
        let raw: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let frame = compress(&raw, 3).unwrap();
        for piece in [1000, 4096, 131_072, 300_000] {
            let mut decoder = Decoder::new(false).unwrap();
            let mut out = vec![0xAA; raw.len()];
            for p in out.chunks_mut(piece) {
                let end = p.len();
                decoder.fill(&frame, &mut OutBuffer::around(p), end).unwrap();
            }
            decoder.finish(&frame, &mut OutBuffer::around(&mut [0; 0][..])).unwrap();
            assert!(out == raw);

            let mut decoder = Decoder::new(true).unwrap();
            let mut out = Vec::with_capacity(raw.len() + 1000);
            while out.len() < raw.len() {
                let (at, end) = (out.len(), (out.len() + piece).min(raw.len()));
                decoder.fill(&frame, &mut OutBuffer::around_pos(&mut out, at), end).unwrap();
            }
            decoder.finish(&frame, &mut OutBuffer::around_pos(&mut out, raw.len())).unwrap();
            assert!(out == raw);
        }
    }

    #[test]
    fn windows_are_read_from_the_header() {
        for (len, level) in [(100, 1), (100_000, 1), (3 << 20, 3)] {
            let raw = vec![7; len];
            let frame = compress(&raw, level).unwrap();
            assert!(window_len(&frame) >= (len as u64).min(1 << 19), "{len}: {}", window_len(&frame));
            assert!(window_len(&frame) <= (len as u64).next_power_of_two().max(1 << 10), "{len}");
            let sized = zstd::bulk::compress(&raw, level).unwrap();
            // A single segment where the level's window holds all.
            assert_eq!(window_len(&sized[4..]), (len as u64).min(2 << 20));
        }
        assert_eq!((window_len(&[]), window_len(&[0]), window_len(&[32])), (0, 0, 0));
    }

    #[test]
    fn uncompressed_frames_decode() {
        for len in [0, 1, 1 << 17, (1 << 17) + 1, 300_000] {
            let raw: Vec<u8> = (0..len).map(|i| (i / 3) as u8).collect();
            let mut out = vec![1; len];
            decompress(&uncompressed(&raw), &mut out).unwrap();
            assert!(out == raw, "{len}");
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let raw = vec![5; 100_000];
        let frame = compress(&raw, 3).unwrap();
        for len in [0, 1, 99_999, 100_001] {
            assert!(decompress(&frame, &mut vec![0; len]).is_err(), "{len}");
        }
        assert!(decompress(&frame[..frame.len() - 1], &mut vec![0; raw.len()]).is_err());
        let mut two = frame.clone();
        two.extend_from_slice(&MAGIC);
        two.extend_from_slice(&frame);
        assert!(decompress(&two, &mut vec![0; raw.len()]).is_err());
    }
}
