//! The decoder: its tables, and the loop in plain Rust. Those in AVX2 and SIMD128 are in `avx2_decode` and
//! `simd128_decode`.

#[cfg(target_feature = "simd128")]
use super::simd128_decode::run as steps;
use super::tables::Contexts;
use super::{BITS, Freqs, LOW, MANY, TOTAL, lanes};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, dispatch};

/// One or more tables, laid out for decoding.
pub struct Decoder {
    /// See [`Self::slots`].
    pub(super) slots: Vec<u32>,
}

impl Decoder {
    /// The memory of a table, in bytes.
    pub const TABLE_BYTES: usize = 4 << BITS;

    /// Prepares tables; contexts count them from 0.
    pub fn new(tables: &[Freqs]) -> Self {
        let mut slots = Vec::with_capacity(tables.len() << BITS);
        for freqs in tables {
            for (symbol, &f) in freqs.0.iter().enumerate() {
                let entry = symbol as u32 | u32::from(f) << 8;
                slots.extend((0..u32::from(f)).map(|k| entry | k << 20));
            }
        }
        Self { slots }
    }

    /// For each table one entry for each of 2^12 slots (values of a state's low bits): the symbol that owns
    /// the slot in bits 0..8, its frequency in 8..20, and the slot's distance from the symbol's start in
    /// 20..32.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// The number of tables.
    pub fn tables(&self) -> usize {
        self.slots.len() >> BITS
    }
}

/// A sequence that is being decoded. It is decoded in runs, each of which begins with the first lane.
pub struct Runs<'a> {
    states: [u32; MANY],
    lanes: usize,
    /// The words that have not been read.
    words: &'a [u8],
}

impl<'a> Runs<'a> {
    /// Starts a sequence of `count` symbols; `payload` holds the states of its lanes and then exactly its
    /// words.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] for states that no encoder leaves.
    pub fn new(payload: &'a [u8], count: usize) -> Result<Self> {
        let lanes = lanes(count);
        if payload.len() < 4 * lanes {
            return Err(Error::corrupt("rANS: fewer bytes than the states take"));
        }
        let (head, words) = payload.split_at(4 * lanes);
        let mut states = [LOW; MANY];
        for (state, bytes) in states.iter_mut().zip(head.chunks_exact(4)) {
            *state = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        if states.iter().any(|x| *x < LOW) {
            return Err(Error::corrupt("rANS: a state below 2^16"));
        }
        Ok(Self { states, lanes, words })
    }

    /// Decodes the next run, which is as long as `out`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the words do not fit the symbols; what `out` holds then is
    /// unspecified.
    pub fn decode(
        &mut self,
        decoder: &Decoder,
        kernel: Kernel,
        contexts: Contexts<'_>,
        out: &mut [u8],
    ) -> Result<()> {
        if let Contexts::Many(ids) = contexts {
            let tables = decoder.tables();
            if ids.len() != out.len() || ids.iter().any(|&id| usize::from(id) >= tables) {
                return Err(Error::corrupt("a context without a table"));
            }
        }
        if decoder.slots.is_empty() {
            return Err(Error::corrupt("rANS: no table"));
        }
        let states = &mut self.states[..self.lanes];
        // The vector kernels hold the lanes of long sequences.
        let kernel = if self.lanes == MANY { kernel } else { Kernel::Scalar };
        let done = dispatch!(
            kernel,
            scalar: 0,
            avx2: super::avx2_decode::run(&decoder.slots, states, &mut self.words, contexts, out),
            v128: steps(&decoder.slots, states, &mut self.words, contexts, out),
        );
        scalar(decoder, states, &mut self.words, contexts, out, done)
    }

    /// Checks that the sequence ends where its encoder began.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where words are left or a lane does not end in the first state.
    pub fn finish(self) -> Result<()> {
        if !self.words.is_empty() || self.states.iter().any(|x| *x != LOW) {
            return Err(Error::corrupt("rANS: the lanes do not end in their first state"));
        }
        Ok(())
    }
}

/// Decodes whole steps of all lanes as long as there are words for the longest step, without branches: those on words that
/// are due once in several symbols cost more than all else. Returns how many symbols were decoded, and removes the words
/// that they used from the front of `words`.
#[cfg(target_arch = "aarch64")]
fn steps(
    slots: &[u32],
    states: &mut [u32],
    words: &mut &[u8],
    contexts: Contexts<'_>,
    out: &mut [u8],
) -> usize {
    let tables = slots.as_chunks::<{ TOTAL as usize }>().0;
    let Some(states) = states.first_chunk_mut::<MANY>() else { return 0 };
    let mut done = 0;
    for (i, row) in out.as_chunks_mut::<MANY>().0.iter_mut().enumerate() {
        let Some(next) = words.as_chunks::<2>().0.first_chunk::<MANY>() else { break };
        let used = match contexts {
            Contexts::One => step(|_| &tables[0], states, next, row),
            Contexts::Many(ids) => {
                let ids = &ids[i * MANY..(i + 1) * MANY];
                step(|lane| &tables[usize::from(ids[lane])], states, next, row)
            }
        };
        *words = &words[2 * used..];
        done += MANY;
    }
    done
}

/// Decodes one symbol in every lane; returns how many of `words`, of which there are as many as lanes, that took.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn step<'a>(
    table: impl Fn(usize) -> &'a [u32; TOTAL as usize],
    states: &mut [u32; MANY],
    words: &[[u8; 2]; MANY],
    row: &mut [u8; MANY],
) -> usize {
    let mut used = 0;
    for lane in 0..MANY {
        let x = states[lane];
        let entry = table(lane)[(x & (TOTAL - 1)) as usize];
        row[lane] = entry as u8;
        let next = (entry >> 8 & (TOTAL - 1)) * (x >> BITS) + (entry >> 20);
        let word = u32::from(u16::from_le_bytes(words[used % MANY]));
        let due = next < LOW;
        states[lane] = if due { next << 16 | word } else { next };
        used += usize::from(due);
    }
    used
}

/// Decodes in plain Rust from symbol `at` on, which belongs to the first lane.
fn scalar(
    decoder: &Decoder,
    states: &mut [u32],
    words: &mut &[u8],
    contexts: Contexts<'_>,
    out: &mut [u8],
    at: usize,
) -> Result<()> {
    let lanes = states.len();
    for (step, row) in out[at..].chunks_mut(lanes).enumerate() {
        let start = at + step * lanes;
        for (lane, (symbol, x)) in row.iter_mut().zip(states.iter_mut()).enumerate() {
            let table = match contexts {
                Contexts::One => 0,
                Contexts::Many(ids) => usize::from(ids[start + lane]) << BITS,
            };
            let entry = decoder.slots[table + (*x & (TOTAL - 1)) as usize];
            *symbol = entry as u8;
            let mut next = (entry >> 8 & (TOTAL - 1)) * (*x >> BITS) + (entry >> 20);
            if next < LOW {
                let (word, rest) =
                    words.split_at_checked(2).ok_or_else(|| Error::corrupt("rANS: no words are left"))?;
                next = next << 16 | u32::from(u16::from_le_bytes([word[0], word[1]]));
                *words = rest;
            }
            *x = next;
        }
    }
    Ok(())
}
