//! Where positions stand in the chains of a search, and longer chains.
//!
//! Most positions of a chain agree in three or four bytes only and cannot be the longest match. A chain of the
//! positions that agree in more bytes has the same longest match after few steps. How many steps along the
//! first chain lead to it, and so whether zlib would have come so far, is told by ranks.

use super::chains::{HASHES, Links, MASK};
use std::ops::Range;

/// The numbers of bytes in which the positions of the longer chains agree.
pub const LONG: [usize; 2] = [5, 12];

/// Of a hash: how many positions were entered (modulo 2^16), and how many of them are in reach of the next.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    entered: u16,
    near: u16,
}

/// Of a position: its hash, its rank in its chain (modulo 2^16), and how many positions of its chain are in
/// reach of it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    hash: u16,
    rank: u16,
    near: u16,
}

/// The ranks of the positions in chains of three bytes, and the longer chains.
pub struct Ranks {
    counts: Vec<Count>,
    places: Vec<Place>,
    long: [Links; 2],
    /// The number of positions that were entered, and of those among them that are out of reach.
    entered: usize,
    out: usize,
}

impl Ranks {
    pub fn new() -> Self {
        Self {
            counts: vec![Count::default(); HASHES],
            places: vec![Place::default(); MASK + 1],
            long: [Links::new(), Links::new()],
            entered: 0,
            out: 0,
        }
    }

    /// Starts another inside.
    pub fn restart(&mut self) {
        self.leave(self.entered);
        (self.entered, self.out) = (0, 0);
    }

    /// Forgets all positions in the longer chains.
    pub fn clear(&mut self) {
        self.long.iter_mut().for_each(Links::clear);
    }

    /// Takes the positions before `end` out of reach.
    #[inline(always)]
    fn leave(&mut self, end: usize) {
        while self.out < end {
            self.counts[usize::from(self.places[self.out & MASK].hash)].near -= 1;
            self.out += 1;
        }
    }

    /// Enters position `p`, the next one, from which those from `first` on are in reach.
    #[inline(always)]
    pub fn enter(&mut self, p: usize, hash: u16, first: usize) {
        self.leave(first.min(p));
        let count = &mut self.counts[usize::from(hash)];
        self.places[p & MASK] = Place { hash, rank: count.entered, near: count.near };
        count.entered = count.entered.wrapping_add(1);
        count.near += 1;
        self.entered = p + 1;
    }

    /// Enters positions into the longer chains.
    pub fn link(&mut self, raw: &[u8], base: u32, positions: Range<usize>) {
        let [a, b] = &mut self.long;
        link::<{ LONG[0] }>(a, raw, base, positions.clone());
        link::<{ LONG[1] }>(b, raw, base, positions);
    }

    /// The number of positions in the chain of `p` that are in reach.
    #[inline(always)]
    pub fn near(&self, p: usize) -> u16 {
        self.places[p & MASK].near
    }

    /// The number of steps that lead from `p` to `q` along their chain.
    #[inline(always)]
    pub fn steps(&self, p: usize, q: usize) -> u16 {
        self.places[p & MASK].rank.wrapping_sub(self.places[q & MASK].rank)
    }

    /// The chains of positions that agree in `LONG[kind]` bytes, or have the same hash of these.
    #[inline(always)]
    pub fn long(&self, kind: usize) -> &Links {
        &self.long[kind]
    }
}

/// Enters positions by a hash of `N` bytes. Where fewer than that, or than 8, are left, the chain is empty.
fn link<const N: usize>(links: &mut Links, raw: &[u8], base: u32, positions: Range<usize>) {
    let end = (raw.len() + 1).saturating_sub(N.max(8)).clamp(positions.start, positions.end);
    (positions.start..end).for_each(|p| links.enter(base, p, hash::<N>(&raw[p..])));
    (end..positions.end).for_each(|p| links.cut(p));
}

/// A hash of the first `N` bytes, 4..=16, of at least 8.
#[inline(always)]
fn hash<const N: usize>(bytes: &[u8]) -> usize {
    let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let word = if N <= 8 {
        word(0) << (64 - 8 * N.min(8))
    } else {
        word(0).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29) ^ word(N.max(8) - 8)
    };
    (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

#[cfg(test)]
pub mod tests {
    /// Bytes in which short and long pieces come back, and runs.
    pub fn repetitive(len: usize) -> Vec<u8> {
        let mut raw = b"abcdefghij".to_vec();
        let mut state = 1u32;
        let mut next = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % n
        };
        while raw.len() < len {
            let (longest, reach) = ([4, 7, 14, 40, 400][next(5)], [20, 1_000, 40_000][next(3)]);
            let dist = 1 + next(reach.min(raw.len()));
            for _ in 0..=next(longest) {
                raw.push(raw[raw.len() - dist]);
            }
            let symbols = [4, 256][next(2)];
            raw.push(next(symbols) as u8);
        }
        raw
    }
}
