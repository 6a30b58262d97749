//! Runs whose bytes are coded as they are.

use super::lengths::{Around, Lengths};
use super::mixture::{Coder, Mixture};
use super::{Past, length8, pair, push_run};
use crate::error::Result;

/// Codes bytes and lengths.
struct Symbols {
    high: Mixture<6>,
    low: Mixture<6>,
    lengths: Lengths,
    past: [Past; 256],
    /// The bytes of the last two runs, the newest first.
    before: [u8; 2],
    /// Their lengths.
    last: [u32; 2],
}

impl Symbols {
    fn new() -> Result<Self> {
        let limits = [30, 255, 14, 127, 127, 127];
        Ok(Self {
            high: Mixture::new([1, 1, 1, 256, 1 << 14, 256], limits, 8)?,
            low: Mixture::new([16, 16, 16, 4096, 1 << 15, 4096], limits, 16)?,
            lengths: Lengths::new()?,
            past: [Past::default(); 256],
            before: [0; 2],
            last: [0; 2],
        })
    }

    /// The contexts of the upper half of a byte, after two others.
    #[inline(always)]
    fn high_contexts(a: usize, b: usize) -> [usize; 6] {
        [0, 0, 0, a, pair(a, b, 14), b]
    }

    /// Codes a run.
    #[inline(always)]
    fn run<const A: bool>(&mut self, coder: &mut impl Coder, byte: u8, length: u32) -> Result<(u8, u32)> {
        let [a, b] = self.before.map(usize::from);
        let contexts = Self::high_contexts(a, b);
        let [.., hashed, _] = contexts;
        let low_contexts =
            |high: usize| [high, high, high, a << 4 | high, pair(hashed, high, 15), b << 4 | high];
        let hint = |high| self.low.prefetch(low_contexts(high));
        let set = length8(self.last[0]);
        let high = self.high.code::<A>(coder, usize::from(byte >> 4), contexts, set, hint)?;
        let (past, lengths, last) = (&self.past, &self.lengths, self.last);
        let around = |low: usize| {
            let byte = (high << 4 | low) as u8;
            Around { byte, before: a as u8, rank: 0, last_rank: 0, last, past: &past[usize::from(byte)] }
        };
        let hint = |low| lengths.prefetch(&around(low));
        let low = self.low.code::<A>(coder, usize::from(byte & 15), low_contexts(high), high, hint)?;
        let around = around(low);
        let byte = around.byte;
        self.high.prefetch(Self::high_contexts(usize::from(byte), a));
        let length = self.lengths.code::<A>(coder, length, &around, |_| ())?;
        let past = &mut self.past[usize::from(byte)];
        past.lengths = [length, past.lengths[0], past.lengths[1]];
        self.before = [byte, self.before[0]];
        self.last = [length, self.last[0]];
        Ok((byte, length))
    }
}

/// See [`super::encode`].
#[inline(always)]
pub fn encode<const A: bool>(sorted: &[u8], coder: &mut impl Coder) -> Result<()> {
    let mut symbols = Symbols::new()?;
    for run in sorted.chunk_by(|a, b| a == b) {
        symbols.run::<A>(coder, run[0], run.len() as u32)?;
    }
    Ok(())
}

/// See [`super::decode`].
#[inline(always)]
pub fn decode<const A: bool>(sorted: &mut Vec<u8>, len: usize, coder: &mut impl Coder) -> Result<()> {
    let mut symbols = Symbols::new()?;
    while sorted.len() < len {
        let (byte, length) = symbols.run::<A>(coder, 0, 0)?;
        push_run(sorted, len, byte, length)?;
    }
    Ok(())
}
