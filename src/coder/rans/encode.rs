//! The encoder: its tables, and the loop in plain Rust. The loop in AVX2 is in `avx2_encode`.
//!
//! It processes the symbols from the last to the first, since a decoder undoes the steps in the opposite
//! order.

use super::tables::{Contexts, Encoder};
use super::{BITS, LOW, MANY, TOTAL, lanes};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, dispatch};

/// How many words below those that it writes a kernel may overwrite.
const SLACK: usize = 8;

/// A coded sequence. Its memory can be reused for the next one.
#[derive(Default)]
pub struct Coded {
    states: Vec<u32>,
    words: Vec<u16>,
    /// The number of unused entries at the start of `words`, which are filled from the end.
    at: usize,
}

impl Coded {
    /// The number of words.
    pub fn words(&self) -> usize {
        self.words.len() - self.at
    }

    /// Appends the payload: the lanes' states, then the words.
    pub fn put(&self, out: &mut Vec<u8>) {
        let words = &self.words[self.at..];
        self.states.iter().for_each(|s| out.extend_from_slice(&s.to_le_bytes()));
        let start = out.len();
        out.resize(start + 2 * words.len(), 0);
        out[start..].chunks_exact_mut(2).zip(words).for_each(|(o, w)| o.copy_from_slice(&w.to_le_bytes()));
    }
}

/// Codes a sequence in runs of `run` symbols, each of which begins with the first lane. If there are
/// contexts, there must be as many as symbols.
///
/// # Errors
///
/// [`crate::ErrorKind::BadArgument`] for a symbol without a frequency, and for a context without a table.
pub fn encode(
    encoder: &Encoder,
    kernel: Kernel,
    symbols: &[u8],
    contexts: Contexts<'_>,
    run: usize,
    coded: &mut Coded,
) -> Result<()> {
    let tables = encoder.places.len() >> 8;
    let known = match contexts {
        Contexts::One => tables > 0,
        Contexts::Many(ids) => {
            ids.len() == symbols.len() && usize::from(ids.iter().copied().max().unwrap_or(0)) < tables
        }
    };
    if !known {
        return Err(Error::bad_argument("a context without a table"));
    }
    let lanes = lanes(symbols.len());
    let mut states = [LOW; MANY];
    // The last word is written first.
    let words = &mut coded.words;
    words.resize(words.len().max(symbols.len() + SLACK), 0);
    let mut at = words.len();
    // The vector kernels hold the lanes of long sequences.
    let kernel = if lanes == MANY { kernel } else { Kernel::Scalar };
    let mut good = true;
    for (i, symbols) in symbols.chunks(run.max(1)).enumerate().rev() {
        let contexts = contexts.part(i * run, symbols.len());
        let whole = dispatch!(kernel, scalar: 0, avx2: symbols.len() / MANY * MANY);
        good &= scalar(encoder, &mut states[..lanes], words, &mut at, symbols, contexts, whole);
        good &= dispatch!(
            kernel,
            scalar: true,
            avx2: {
                let (symbols, contexts) = (&symbols[..whole], contexts.part(0, whole));
                super::avx2_encode::run(encoder, &mut states, words, &mut at, symbols, contexts)
            },
        );
    }
    if !good {
        return Err(Error::bad_argument("a symbol without a frequency"));
    }
    coded.at = at;
    coded.states.clear();
    coded.states.extend_from_slice(&states[..lanes]);
    Ok(())
}

/// Codes the symbols in plain Rust, from the last to the one at `first`, which belongs to the first lane.
/// Returns false where a symbol has no frequency. `words` must have room below `at` for one word per symbol.
fn scalar(
    encoder: &Encoder,
    states: &mut [u32],
    words: &mut [u16],
    at: &mut usize,
    symbols: &[u8],
    contexts: Contexts<'_>,
    first: usize,
) -> bool {
    let lanes = states.len();
    let mut good = true;
    let mut end = symbols.len();
    while end > first {
        let start = (end - 1) / lanes * lanes;
        for i in (start..end).rev() {
            let table = match contexts {
                Contexts::One => 0,
                Contexts::Many(ids) => usize::from(ids[i]) << 8,
            };
            let entry = table | usize::from(symbols[i]);
            let (f, c) = (encoder.places[entry] & 0xFFFF, encoder.places[entry] >> 16);
            if f == 0 {
                good = false;
                continue;
            }
            let mut x = states[i - start];
            if x >> (32 - BITS) >= f {
                *at -= 1;
                words[*at] = x as u16;
                x >>= 16;
            }
            let mut quotient = ((u64::from(x) * u64::from(encoder.reciprocals[entry])) >> 32) as u32;
            let mut rest = x - quotient * f;
            if rest >= f {
                (quotient, rest) = (quotient + 1, rest - f);
            }
            // The quotient is below 2^20.
            states[i - start] = quotient * TOTAL + rest + c;
        }
        end = start;
    }
    good
}
