//! Which contexts each kind of data is modelled with.

use super::history::{History, mix_hash};

/// Most contexts any kind uses.
pub const MAX_CONTEXTS: usize = 32;

/// What a block looks like; chosen by the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Binary,
}

#[inline(always)]
fn pair(a: u32, b: u32) -> u32 {
    mix_hash(mix_hash(0, a), b)
}

#[inline(always)]
fn triple(a: u32, b: u32, c: u32) -> u32 {
    mix_hash(pair(a, b), c)
}

/// Fills the context hashes before the next byte and returns how many there are.
pub fn fill(kind: Kind, period: usize, h: &History, out: &mut [u32; MAX_CONTEXTS]) -> usize {
    let n = match kind {
        Kind::Text => text(h, out),
        Kind::Binary => binary(h, period, out),
    };
    for (i, hash) in out[..n].iter_mut().enumerate() {
        *hash = mix_hash(*hash, i as u32 + 1).wrapping_mul(0x9E37_79B1);
    }
    n
}

fn list(out: &mut [u32; MAX_CONTEXTS], hashes: &[u32]) -> usize {
    out[..hashes.len()].copy_from_slice(hashes);
    hashes.len()
}

fn text(h: &History, out: &mut [u32; MAX_CONTEXTS]) -> usize {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let w = if h.word != 0 { h.word } else { h.gap };
    list(out, &[
        c1,
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c4,
        pair(c4, c8 & 0xff),
        pair(c4, c8 & 0xffff),
        pair(c4, c8),
        w,
        pair(w, h.words[0]),
        triple(w, h.words[0], h.words[1]),
        pair(w, h.words[1]),
        pair(w, c1 | c4 & 0xff00),
        pair(h.above(), c1),
        pair(h.shape, h.prefix),
        pair(h.tag, w),
        pair(h.field, pair(h.first.into(), h.prefix)),
        triple(h.above(), h.field, w),
        0,
    ])
}

fn binary(h: &History, period: usize, out: &mut [u32; MAX_CONTEXTS]) -> usize {
    let (c4, c8) = (h.c4, h.c8);
    let c1 = c4 & 0xff;
    let period = period.max(1);
    let column = (h.len() % period) as u32;
    let (up, up2) = (h.back(period), h.back(2 * period));
    list(out, &[
        c1,
        c4 & 0xffff,
        c4 & 0xff_ffff,
        c4,
        pair(c4, c8 & 0xffff),
        0,
        c4 & 0xff00,
        c4 & 0xff_0000,
        c4 & 0xff00_0000,
        c4 & 0xffff_0000,
        c4 & 0xff_ff00,
        c8 & 0xff,
        pair(up, column),
        pair(up, c1),
        triple(up, up2, column),
        pair(up, h.back(period + 1)),
        triple(up, c1, h.back(period + 1)),
        pair(column, c1),
        pair(c4 & 0xf0f0_f0f0, c8 & 0xf0f0),
        c4 & 0xf8f8f8,
    ])
}
