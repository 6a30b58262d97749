//! Coding blocks.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::Header;
use crate::codec::mix::filter::filtered;
use crate::codec::mix::machine::{machine, pays};
use crate::coder::range::{BitEncoder, Part};
use crate::error::Result;
use crate::kernel::{Kernel, dispatch};
use crate::model::mix::context::Kind;
use crate::model::sort::kernel::Bounds;
use crate::model::sort::mixture::Coder;
use crate::model::sort::transform::{self, Sorted};
use crate::model::sort::{self, Mode};

/// Sorted bytes of which a sample tells the mode: pieces of so many bytes, an eighth of all in between.
const LONG: usize = 256 << 10;
const PIECES: usize = 64;
const PIECE: RangeInclusive<usize> = 2 << 10..=8 << 10;
/// Below so many sorted bytes, a sample does not tell if the modes differ by less than one part in [`CLOSE`].
const UNCLEAR: usize = 1 << 20;
const CLOSE: usize = 64;

/// Codes a block of 1..=2^24 − 1 bytes to a payload.
///
/// # Errors
///
/// `LimitExceeded` where memory is missing.
pub fn encode_block(raw: &[u8]) -> Result<Vec<u8>> {
    let machine = Some(machine(raw)).filter(|machine| pays(*machine, raw));
    let bytes = machine.map_or(Ok(Cow::Borrowed(raw)), |machine| filtered(Kind::Code(machine), raw))?;
    let Sorted { bytes: sorted, starts } = transform::sort(&bytes)?;
    drop(bytes);
    let code = |mode, bytes: &[u8]| {
        let mut encoder = Writer(BitEncoder::default());
        run(bytes, mode, &mut encoder)?;
        // All that a decoder reads but the last 12 bytes, so that it can tell a payload that has been cut.
        let mut coded = encoder.0.payload();
        coded.resize(coded.len().max(encoder.0.payload_bound() - 4), 0);
        Ok::<_, crate::Error>(coded)
    };
    let (mode, coded) = match told(&sorted, code)? {
        Some(mode) => (mode, code(mode, &sorted)?),
        None => {
            let (ranks, symbols) = (code(Mode::Ranks, &sorted)?, code(Mode::Symbols, &sorted)?);
            if symbols.len() < ranks.len() { (Mode::Symbols, symbols) } else { (Mode::Ranks, ranks) }
        }
    };
    let mut payload = Header { mode, machine, starts }.write();
    payload.extend_from_slice(&coded);
    Ok(payload)
}

/// The mode that leaves less of sorted bytes, if a sample tells; short blocks have none.
fn told(sorted: &[u8], code: impl Fn(Mode, &[u8]) -> Result<Vec<u8>>) -> Result<Option<Mode>> {
    if sorted.len() < LONG {
        return Ok(None);
    }
    let step = sorted.len() / PIECES;
    let piece = (step / 8).clamp(*PIECE.start(), *PIECE.end());
    let sample: Vec<u8> = sorted.chunks(step).flat_map(|c| &c[..piece.min(c.len())]).copied().collect();
    let (ranks, symbols) = (code(Mode::Ranks, &sample)?.len(), code(Mode::Symbols, &sample)?.len());
    if sorted.len() < UNCLEAR && ranks.abs_diff(symbols) * CLOSE < ranks {
        return Ok(None);
    }
    Ok(Some(if symbols < ranks { Mode::Symbols } else { Mode::Ranks }))
}

/// Codes sorted bytes with the best kernel.
fn run(sorted: &[u8], mode: Mode, coder: &mut Writer) -> Result<()> {
    dispatch!(
        Kernel::best(),
        scalar: sort::encode::<false>(sorted, mode, coder),
        avx2: run_avx2(sorted, mode, coder),
        v128: sort::encode::<true>(sorted, mode, coder),
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(sorted: &[u8], mode: Mode, coder: &mut Writer) -> Result<()> {
    sort::encode::<true>(sorted, mode, coder)
}

/// Writes symbols.
struct Writer(BitEncoder);

impl Coder for Writer {
    #[inline(always)]
    fn symbol<const A: bool>(&mut self, symbol: usize, bounds: &Bounds) -> Result<usize> {
        let symbol = symbol & 15;
        let end = if symbol == 15 { 1 << 16 } else { bounds.0[symbol + 1].into() };
        self.0.encode_part(Part::<16>::new(symbol, bounds.0[symbol].into(), end));
        Ok(symbol)
    }

    #[inline(always)]
    fn bits(&mut self, value: u32, count: u32) -> Result<u32> {
        if count > 0 {
            let start = u64::from(value) << (16 - count);
            self.0.encode_part(Part::<16>::new(0, start, start + (1 << (16 - count))));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_vectors_code_the_same_bits() {
        let raw = include_bytes!("../../../formats/lm.md");
        for mode in [Mode::Ranks, Mode::Symbols] {
            let (mut fast, mut plain) = (Writer(BitEncoder::default()), Writer(BitEncoder::default()));
            let sorted = transform::sort(raw).unwrap().bytes;
            run(&sorted, mode, &mut fast).unwrap();
            sort::encode::<false>(&sorted, mode, &mut plain).unwrap();
            assert!(fast.0.payload() == plain.0.payload());
        }
    }
}
