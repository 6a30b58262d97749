//! The contexts with which each kind of data is modelled. `formats/mix.md` lists them under the same names.

use super::history::{History, mix_hash};
use super::samples::Expected;

/// The number of contexts of a kind.
pub const MAX_CONTEXTS: usize = 24;

/// The kind of data of a block, which the encoder chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words, lines and tags.
    Text,
    /// Anything else.
    Binary,
    /// Records of `period` bytes.
    Records { period: usize },
    /// Machine code.
    Code(Machine),
    /// Rows of `stride` bytes that hold samples of `width` (1, 3 or 4) bytes, each byte a value of its own.
    Bytes { width: usize, stride: usize },
    /// Rows of `stride` bytes that hold 16-bit little-endian samples.
    Words { stride: usize },
    /// Signed 16-bit little-endian samples of sound, of 1 or 2 channels in turn.
    Audio { channels: usize },
}

/// A machine whose code has a kind of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86, of which only branches name addresses relative to themselves.
    X86,
    /// x86-64, in which other instructions do so as well.
    X64,
    /// ARM of 64 bits.
    Arm64,
}

impl Kind {
    /// Whether the history must be parsed into x86 instructions.
    pub fn is_x86(self) -> bool {
        matches!(self, Self::Code(Machine::X86 | Machine::X64))
    }

    /// Whether the data are rows of samples, which can be expected from their neighbours.
    pub fn has_samples(self) -> bool {
        matches!(self, Self::Bytes { .. } | Self::Words { .. } | Self::Audio { .. })
    }
}

/// The bytes of an ARM instruction.
const WORD: usize = 4;

/// A hash of two numbers.
#[inline(always)]
fn pair(a: u32, b: u32) -> u32 {
    mix_hash(mix_hash(0, a), b)
}

/// A hash of three numbers.
#[inline(always)]
fn triple(a: u32, b: u32, c: u32) -> u32 {
    mix_hash(pair(a, b), c)
}

/// The contexts of text that priming with phrases trains.
pub const PRIMED: [usize; 10] = [0, 1, 2, 3, 4, 5, 8, 9, 10, 16];

/// The number of contexts that the light predictor uses: the first ones of each kind.
pub const FIRST: usize = 6;

/// Computes the hashes of the first `N` contexts of the next byte. The first two contexts of `mix` also have direct
/// counters.
#[inline(always)]
pub fn first<const N: usize>(kind: Kind, h: &History) -> [u32; N] {
    // Each arm cuts its own list, so that the contexts after the cut are not computed.
    let cut = |all: [u32; MAX_CONTEXTS]| -> [u32; N] { std::array::from_fn(|i| all[i]) };
    let mut out = match kind {
        Kind::Text => cut(text(h)),
        Kind::Binary => cut(binary(h)),
        Kind::Records { period } => cut(records(h, period.max(1))),
        Kind::Code(Machine::Arm64) => cut(records(h, WORD)),
        Kind::Code(_) => cut(code(h)),
        Kind::Bytes { width, stride } => cut(bytes(h, width, stride)),
        Kind::Words { stride } => cut(words(h, stride)),
        Kind::Audio { channels } => cut(words(h, row_of_audio(channels))),
    };
    for (i, hash) in out.iter_mut().enumerate() {
        *hash = finish(*hash, i);
    }
    out
}

/// The contexts that contain what is expected of the next byte of samples, by their indices, with their hashes: they
/// replace others. None for kinds that hold no samples.
#[inline(always)]
pub fn expected(kind: Kind, h: &History, expected: Expected) -> Option<[(usize, u32); 3]> {
    let c1 = h.c4 & 0xff;
    let byte = u32::from(expected.byte);
    let (values, tag, shift) = match kind {
        Kind::Bytes { width, stride } => {
            let channel = (h.len() % stride % width) as u32;
            ([(0, byte, 0), (7, byte, c1), (10, byte, h.c4 & 0xffff)], channel, 8)
        }
        Kind::Words { .. } | Kind::Audio { .. } => {
            let low = if h.len() & 1 == 1 { c1 | 0x100 } else { 0 };
            let (sample, energy) = (expected.sample, expected.energy);
            ([(0, sample >> 4, 0), (9, sample >> 6, energy >> 1), (14, byte, energy)], low, 10)
        }
        _ => return None,
    };
    Some(values.map(|(i, a, b)| (i, finish(triple(a, b, tag | (i as u32 + 1) << shift), i))))
}

/// Computes the hashes of the contexts of text that priming trains, in the order of [`PRIMED`].
#[inline(always)]
pub fn primed(h: &History) -> [u32; PRIMED.len()] {
    let all = text(h);
    PRIMED.map(|i| finish(all[i], i))
}

/// The final hash of a context's value.
#[inline(always)]
fn finish(value: u32, i: usize) -> u32 {
    mix_hash(value, i as u32 + 1).wrapping_mul(0x9E37_79B1)
}

/// The contexts of text: orders 1 to 8, words, lines and fields, tags, sparse and indirect ones.
#[inline(always)]
fn text(h: &History) -> [u32; MAX_CONTEXTS] {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let w = h.word_or_gap();
    [
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c4,
        pair(c4, c8 & 0xffff),
        w,
        pair(w, h.words[0]),
        pair(h.shape, c1),
        pair(h.above(), c1),
        pair(c4, c8 & 0xff),
        pair(w, c4 & 0xffff),
        pair(w, h.words[1]),
        pair(h.tag, w),
        c4 & 0xff_ff00,
        pair(h.follow2(), c1),
        triple(h.above(), h.field, w),
        pair(h.tag, c4 & 0xffff),
        c1,
        pair(w, h.words[2]),
        pair(c4, c8),
        triple(w, h.words[0], h.words[1]),
        pair(h.field, pair(h.first.into(), h.prefix)),
        h.follow1(),
        pair(c4, h.words[0]),
        0,
    ]
}

/// The contexts of other binary data: orders 1 to 6, and sparse contexts, since fields have fixed places.
#[inline(always)]
fn binary(h: &History) -> [u32; MAX_CONTEXTS] {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let w = h.word_or_gap();
    [
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c1,
        c4,
        pair(c4, c8 & 0xffff),
        c4 & 0xff00,
        c4 & 0xff_ff00,
        c4 & 0xff_0000,
        pair(c4, c8 & 0xff),
        c4 & 0xff00_0000,
        c4 & 0xffff_0000,
        c4 & 0xff_00ff,
        pair(h.follow1(), c1),
        pair(h.follow2(), 0),
        pair(c4 & 0xffff, (h.len() & 3) as u32),
        w,
        c8 & 0xff,
        pair(c4 & 0xff00_00ff, 0),
        pair(c4 & 0xf0f0_f0f0, c8 & 0xf0f0),
        c4 & 0xf8_f8f8,
        pair(w, h.words[0]),
        pair(h.follow1(), 0),
        pair(h.follow2() & 0xff, c4 & 0xffff),
        0,
    ]
}

/// The contexts of x86 code: the place in the instruction with its opcode, earlier instructions, and orders.
#[inline(always)]
fn code(h: &History) -> [u32; MAX_CONTEXTS] {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let x = &h.x86;
    [
        pair(x.phase(), x.opcode),
        triple(x.phase(), x.opcode, c1),
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c4,
        triple(x.phase(), x.opcode, x.modrm),
        triple(x.phase(), x.start, x.previous[0]),
        c1,
        triple(x.phase(), x.opcode, pair(x.modrm, c1)),
        triple(x.phase(), x.opcode, x.previous[0]),
        triple(x.phase(), pair(x.opcode, x.modrm), pair(x.previous[0], x.previous[1])),
        pair(x.phase(), x.start),
        pair(c4, c8 & 0xff),
        c4 & 0xff00,
        c4 & 0xff_ff00,
        pair(h.follow2(), 0),
        pair(c4, c8 & 0xffff),
        0,
        c4 & 0xff_0000,
        c4 & 0xffff_0000,
        pair(c4, c8),
        x.phase(),
        triple(x.phase(), pair(x.opcode, x.previous[0]), pair(x.previous[1], x.previous[2])),
        pair(h.follow1(), c1),
    ]
}

/// The contexts of records: the bytes above (one and two records before), the bytes to the left, and the
/// column.
#[inline(always)]
fn records(h: &History, period: usize) -> [u32; MAX_CONTEXTS] {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let column = (h.len() % period) as u32;
    let (up, up2, left) = (h.back(period), h.back(2 * period), h.back(period + 1));
    [
        pair(up, column),
        column,
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c4,
        pair(up, c1),
        triple(up, up2, column),
        pair(c4, c8 & 0xffff),
        c1,
        pair(column, c1),
        triple(up, c1, left),
        pair(column, c4 & 0xffff),
        c4 & 0xff_ff00,
        triple(column, c1.wrapping_sub(left).wrapping_add(up), 1),
        triple(up | h.back(period - 1) << 8, c1, 3),
        pair(h.follow2(), 0),
        0,
        c4 & 0xff00,
        c4 & 0xffff_0000,
        pair(up, left),
        triple(column, (2 * up).wrapping_sub(up2), 0),
        triple(up, up2, c4 & 0xffff),
        triple(column, h.back(period - 1), up),
        triple(column, up, c1),
    ]
}

/// The contexts of samples whose bytes are independent values: neighbours in the picture, and predictions
/// from gradients. `N` is the sample above and `W` the one to the left, as in `formats/mix.md`.
#[inline(always)]
fn bytes(h: &History, width: usize, stride: usize) -> [u32; MAX_CONTEXTS] {
    let c1 = h.c4 & 0xff;
    let (w, ww) = (h.back(width), h.back(2 * width));
    let (n, nn) = (h.back(stride), h.back(2 * stride));
    let (nw, ne) = (h.back(stride + width), h.back(stride.saturating_sub(width).max(1)));
    let channel = (h.len() % stride % width) as u32;
    let clip = |v: i32| v.clamp(0, 255) as u32;
    let i = |v: u32| v as i32;
    let (p1, p2) = if width > 1 {
        (clip(i(w) + i(h.back(1)) - i(h.back(width + 1))), clip(i(n) + i(h.back(1)) - i(h.back(stride + 1))))
    } else {
        (clip(2 * i(w) - i(ww)), clip(2 * i(n) - i(nn)))
    };
    let grad = clip(i(w) + i(n) - i(nw));
    let mut k = 0;
    let mut c = |a: u32, b: u32| {
        k += 1;
        triple(a, b, channel | k << 8)
    };
    [
        c(grad, 0),
        c((w + n) / 2, 0),
        c(w, n),
        c(grad, w),
        c(p1, p2),
        c(h.c4 & 0xff_ffff, 0),
        c((w + n + nw + ne) / 4, p1),
        c(grad, n),
        c(w | n << 8, nw | ne << 8),
        c(p2, 0),
        c((w + ne) / 2, c1),
        c(w >> 2 | n >> 2 << 8, nw >> 2 | ne >> 2 << 8),
        c(ww, w),
        c(nn, n),
        c(clip(i(w) + i(ne) - i(n)), grad),
        c(w, c1),
        c(w, 0),
        c(n, 0),
        c(n, c1),
        c(clip(i(n) * 2 - i(nn)), clip(i(w) * 2 - i(ww))),
        c(p1, 0),
        c(n, ne),
        c(w, nw),
        c(h.c4, 0),
    ]
}

/// The contexts of 16-bit samples: those of [`bytes`], with the amount by which neighbours vary.
#[inline(always)]
fn words(h: &History, stride: usize) -> [u32; MAX_CONTEXTS] {
    let phase = h.len() & 1;
    let low = if phase == 1 { h.c4 & 0xff | 0x100 } else { 0 };
    let at = |back: usize| h.back(back + phase) | h.back(back + phase - 1) << 8;
    let s = |back: usize| at(back) as i32;
    let (w, ww, n, nn) = (s(2), s(4), s(stride), s(2 * stride));
    let (nw, ne) = (s(stride + 2), s(stride - 2));
    let grad = w + n - nw;
    let mut k = 0;
    let mut c = |a: i32, b: i32| {
        k += 1;
        triple(a as u32, b as u32, low | k << 10)
    };
    let spread = ((w - nw).abs() + (n - nw).abs() + (n - ne).abs()) as u32;
    let activity = (32 - spread.leading_zeros()) as i32;
    [
        c(grad, 0),
        c(n, 0),
        c(w, 0),
        c((w + n) / 2, activity),
        c((w + n + nw + ne) / 4, activity),
        c(w, n),
        c((3 * w + 3 * n - 2 * nw) / 4, activity),
        c(w >> 2, n >> 2 | ne >> 2 << 16),
        c(grad, activity),
        c((w + n) / 2, 0),
        c((w + ne) / 2, activity),
        c(w + ne - n, 0),
        c(w >> 1, ww >> 1),
        c(n, ne),
        c(h.c4 as i32, 0),
        c(w >> 3 | n >> 3 << 16, nw >> 3 | ne >> 3 << 16),
        c(2 * w - ww, 0),
        c(2 * n - nn, 0),
        c((h.c4 >> 8) as i32, h.c8 as i32),
        c((w + (n + ne) / 2) / 2, ((w + n) / 2 - nw) >> 2),
        c(activity, 0),
        c(grad + ((ne - n) >> 1), activity),
        c(n, nn),
        c(w, nw),
    ]
}

/// The class of a byte of text.
#[inline(always)]
fn class(byte: u32) -> u32 {
    match byte as u8 {
        b'\n' | b'\r' | 0 => 0,
        b' ' | b'\t' => 1,
        b'0'..=b'9' => 2,
        b'A'..=b'Z' => 3,
        b'a'..=b'z' => 4,
        b'<' | b'>' | b'&' | b'"' | b'=' | b'/' | b'[' | b']' | b'{' | b'}' => 5,
        128.. => 6,
        _ => 7,
    }
}

/// The class of the position, 0..=255, which selects rows of the mixer for a whole byte.
#[inline(always)]
pub fn selector(kind: Kind, h: &History) -> usize {
    let zero = |shift: u32| u32::from(h.c4 >> shift & 0xff == 0);
    (match kind {
        Kind::Text => class(h.c4 & 0xff) | class(h.c4 >> 8 & 0xff) << 3 | (class(h.c4 >> 16 & 0xff) & 6) << 5,
        Kind::Binary => h.len() as u32 & 3 | zero(0) << 2 | zero(8) << 3 | zero(16) << 4 | zero(24) << 5,
        Kind::Records { period } => ((h.len() % period.max(1)) as u32).min(255),
        Kind::Code(Machine::Arm64) => (h.len() % WORD) as u32,
        Kind::Code(_) => h.x86.phase() | (h.x86.modrm >> 6 & 3) << 6,
        Kind::Bytes { width, stride } => {
            let spread = h.back(width).abs_diff(h.back(stride + width))
                + h.back(stride).abs_diff(h.back(stride + width));
            (32 - spread.leading_zeros()) | ((h.len() % stride % width) as u32) << 4
        }
        Kind::Words { stride } => spread_of_words(h, stride),
        Kind::Audio { channels } => spread_of_words(h, row_of_audio(channels)),
    } & 255) as usize
}

/// The row in bytes of which the contexts of 16-bit samples are those of sound: two samples of each channel.
#[inline(always)]
fn row_of_audio(channels: usize) -> usize {
    4 * channels
}

/// How far the neighbours of a 16-bit sample are apart, and which of its bytes comes.
#[inline(always)]
fn spread_of_words(h: &History, stride: usize) -> u32 {
    let phase = h.len() & 1;
    let s = |back: usize| h.back(back + phase) | h.back(back + phase - 1) << 8;
    let spread = s(2).abs_diff(s(stride + 2)) + s(stride).abs_diff(s(stride + 2));
    ((32 - spread.leading_zeros()) * 2) | phase as u32
}
