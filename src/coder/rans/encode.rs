//! The encoder.

use super::{Contexts, Freqs, LOW, MANY, TOTAL, lanes};
use crate::error::{Error, Result};

/// What coding one symbol needs.
#[derive(Clone, Copy, Default)]
struct Step {
    /// floor(2^64 / f) + 1, or 2^64 − 1 where f is 1.
    reciprocal: u64,
    /// States from here on lose a word first.
    limit: u64,
    /// Added to the state ...
    bias: u32,
    /// ... with this many times the quotient.
    rest: u32,
}

/// One or more tables ready to encode with.
pub struct Encoder {
    steps: Vec<[Step; 256]>,
}

impl Encoder {
    /// Prepares tables; contexts count them from 0.
    pub fn new(tables: &[Freqs]) -> Self {
        Self { steps: tables.iter().map(steps).collect() }
    }
}

fn steps(freqs: &Freqs) -> [Step; 256] {
    let mut steps = [Step::default(); 256];
    let mut start = 0u32;
    for (step, &f) in steps.iter_mut().zip(&freqs.0) {
        let f = u32::from(f);
        if f == 0 {
            continue;
        }
        // x/f·2^12 + x mod f + start = x + start + (x/f)·(2^12 − f). For f = 1 the reciprocal gives x − 1.
        *step = Step {
            reciprocal: if f == 1 { u64::MAX } else { u64::MAX / u64::from(f) + 1 },
            limit: u64::from(f) << 20,
            bias: if f == 1 { start + TOTAL - 1 } else { start },
            rest: TOTAL - f,
        };
        start += f;
    }
    steps
}

/// Appends the payload of a sequence: the lanes' states, then the words. Returns the number of words.
///
/// # Errors
///
/// [`crate::ErrorKind::BadArgument`] for a symbol without a frequency.
pub fn encode(encoder: &Encoder, symbols: &[u8], contexts: Contexts<'_>, out: &mut Vec<u8>) -> Result<usize> {
    let lanes = lanes(symbols.len());
    let mut states = [LOW; MANY];
    // Words come out last one first.
    let mut words: Vec<u16> = vec![0; symbols.len() + 1];
    let mut at = words.len();
    let good = match contexts {
        Contexts::One => run(&mut states[..lanes], &mut words, &mut at, symbols, |_| &encoder.steps[0]),
        Contexts::Many(ids) => {
            run(&mut states[..lanes], &mut words, &mut at, symbols, |i| &encoder.steps[usize::from(ids[i])])
        }
    };
    if !good {
        return Err(Error::bad_argument("a symbol without a frequency"));
    }
    let words = &words[at..];
    states[..lanes].iter().for_each(|s| out.extend_from_slice(&s.to_le_bytes()));
    words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    Ok(words.len())
}

/// Codes the symbols from the last to the first; false where one has no frequency.
#[inline(always)]
fn run<'a>(
    states: &mut [u32],
    words: &mut [u16],
    at: &mut usize,
    symbols: &[u8],
    table: impl Fn(usize) -> &'a [Step; 256],
) -> bool {
    let lanes = states.len();
    let mut good = true;
    let mut end = symbols.len();
    while end > 0 {
        let start = (end - 1) / lanes * lanes;
        for i in (start..end).rev() {
            let state = &mut states[i - start];
            let step = &table(i)[usize::from(symbols[i])];
            good &= step.limit != 0;
            let mut x = *state;
            // Branch-free: the word is always written, and kept where it counts.
            words[*at - 1] = x as u16;
            let full = u64::from(x) >= step.limit;
            *at -= usize::from(full && step.limit != 0);
            x = if full { x >> 16 } else { x };
            let quotient = ((u128::from(x) * u128::from(step.reciprocal)) >> 64) as u32;
            *state = x.wrapping_add(step.bias).wrapping_add(quotient.wrapping_mul(step.rest));
        }
        end = start;
    }
    good
}
