//! Runs whose bytes are told by ranks.
//!
//! All bytes that occur stand in a list, in the order in which their next runs begin. The first one is the byte of the run
//! that is coded; its rank is the place in the list to which it goes back: the number of others that come before it comes
//! again.

use super::lengths::{Around, Lengths};
use super::mixture::{Coder, Mixture};
use super::{Past, class8, class16, length8, pair, push_run};
use crate::error::Result;

/// Ranks below this one are one symbol.
const ESCAPE: u32 = 16;
/// The average of ranks counts none as more than this.
const MOST: i32 = 64;

/// Codes ranks and lengths.
struct Ranks {
    first: Mixture<6>,
    high: Mixture<4>,
    low: Mixture<4>,
    lengths: Lengths,
    past: [Past; 256],
    /// The last three ranks, the newest first.
    last: [u32; 3],
    /// The last two lengths.
    last_lengths: [u32; 2],
    before: u8,
    /// A running average of ranks, in 1/256.
    average: i32,
}

impl Ranks {
    fn new() -> Result<Self> {
        let sizes = [256, 4096, 4096, 1 << 14, 1 << 14, 8192];
        Ok(Self {
            first: Mixture::new(sizes, [30, 127, 127, 127, 127, 127], 16)?,
            high: Mixture::new([1, 256, 256, 16], [127; 4], 1)?,
            low: Mixture::new([16, 4096, 4096, 256], [127; 4], 1)?,
            lengths: Lengths::new()?,
            past: [Past::default(); 256],
            last: [0; 3],
            last_lengths: [0; 2],
            before: 0,
            average: 0,
        })
    }

    /// Codes the rank, 1..=255, of a byte, in front of the `next` one.
    #[inline(always)]
    fn rank<const A: bool>(&mut self, coder: &mut impl Coder, rank: u32, byte: u8, next: u8) -> Result<u32> {
        let past = &self.past[usize::from(byte)];
        let [a, b, c] = past.ranks;
        let byte = usize::from(byte);
        let average = class16((self.average >> 6) as u32);
        let contexts = [
            byte,
            class8(a) << 9 | class8(b) << 6 | class8(c) << 3 | length8(past.lengths[0]),
            class8(self.last[0]) << 9
                | class8(self.last[1]) << 6
                | class8(self.last[2]) << 3
                | length8(self.last_lengths[0]),
            byte << 6 | class8(a) << 3 | class8(b),
            pair(byte, next.into(), 14),
            average << 9 | class8(a) << 6 | class8(self.last[0]) << 3 | length8(past.lengths[0]),
        ];
        let symbol = rank.wrapping_sub(1).min(ESCAPE - 1) as usize;
        let symbol = self.first.code::<A>(coder, symbol, contexts, class16(a), |_| ())? as u32;
        if symbol < ESCAPE - 1 {
            return Ok(symbol + 1);
        }
        let left = rank.wrapping_sub(ESCAPE) as usize;
        let contexts = [0, byte, class16(a) << 4 | class16(b), average];
        let high = self.high.code::<A>(coder, left >> 4 & 15, contexts, 0, |_| ())?;
        let low = self.low.code::<A>(coder, left & 15, contexts.map(|c| c << 4 | high), 0, |_| ())?;
        Ok(ESCAPE + (high << 4 | low) as u32)
    }

    /// Codes a run of `byte`, whose rank and length are coded; there is no rank if no other byte occurs.
    #[inline(always)]
    fn run<const A: bool>(
        &mut self,
        coder: &mut impl Coder,
        list: &[u8],
        (rank, length): (u32, u32),
    ) -> Result<(u32, u32)> {
        let byte = list[0];
        let rank = if list.len() > 1 { self.rank::<A>(coder, rank, byte, list[1])? } else { 0 };
        let past = &mut self.past[usize::from(byte)];
        let around = Around {
            byte,
            before: self.before,
            rank,
            last_rank: self.last[0],
            last: self.last_lengths,
            past,
        };
        let length = self.lengths.code::<A>(coder, length, &around, |_| ())?;
        past.ranks = [rank, past.ranks[0], past.ranks[1]];
        past.lengths = [length, past.lengths[0], past.lengths[1]];
        self.last = [rank, self.last[0], self.last[1]];
        self.last_lengths = [length, self.last_lengths[0]];
        self.before = byte;
        self.average += ((rank as i32).min(MOST) * 256 - self.average) >> 3;
        Ok((rank, length))
    }
}

/// The runs of sorted bytes, the last one first, as ranks and lengths; and the list in front of the first run.
///
/// A rank takes the upper eight bits of a number, a length less one the others.
fn ranked(sorted: &[u8]) -> (Vec<u32>, Vec<u8>) {
    let (mut runs, mut list) = (Vec::new(), Vec::new());
    let mut end = sorted.len();
    while let Some(&byte) = sorted[..end].last() {
        let start = sorted[..end].iter().rposition(|&b| b != byte).map_or(0, |at| at + 1);
        let rank = match list.iter().position(|&b| b == byte) {
            Some(place) => {
                list[..=place].rotate_right(1);
                place
            }
            None => {
                list.insert(0, byte);
                list.len() - 1
            }
        };
        runs.push((rank as u32) << 24 | (end - start - 1) as u32);
        end = start;
    }
    (runs, list)
}

/// See [`super::encode`].
#[inline(always)]
pub fn encode<const A: bool>(sorted: &[u8], coder: &mut impl Coder) -> Result<()> {
    let (runs, mut list) = ranked(sorted);
    code_list(coder, &mut list)?;
    let mut ranks = Ranks::new()?;
    for run in runs.into_iter().rev() {
        // The last run of all has no rank of its own: its byte stays in front.
        let (rank, length) = ((run >> 24).max(u32::from(list.len() > 1)), (run & 0xFF_FFFF) + 1);
        ranks.run::<A>(coder, &list, (rank, length))?;
        list[..=rank as usize].rotate_left(1);
    }
    Ok(())
}

/// See [`super::decode`].
#[inline(always)]
pub fn decode<const A: bool>(sorted: &mut Vec<u8>, len: usize, coder: &mut impl Coder) -> Result<()> {
    let mut list = Vec::new();
    code_list(coder, &mut list)?;
    let mut ranks = Ranks::new()?;
    while sorted.len() < len {
        let byte = list[0];
        let (rank, length) = ranks.run::<A>(coder, &list, (0, 0))?;
        push_run(sorted, len, byte, length)?;
        let Some(moved) = list.get_mut(..=rank as usize) else {
            return Err(crate::Error::corrupt("a rank of a sort block is past the list's end"));
        };
        moved.rotate_left(1);
    }
    Ok(())
}

/// Codes the list in front of the first run: the number of bytes less one, then the bytes.
fn code_list(coder: &mut impl Coder, list: &mut Vec<u8>) -> Result<()> {
    let count = coder.bits((list.len() as u32).wrapping_sub(1) & 255, 8)? as usize + 1;
    list.resize(count, 0);
    for byte in list {
        *byte = coder.bits((*byte).into(), 8)? as u8;
    }
    Ok(())
}
