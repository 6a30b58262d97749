//! The decoder: scalar here, AVX2 beside it.

use super::{BITS, Freqs, LOW, MANY, TOTAL, lanes};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// Which table each symbol uses.
#[derive(Clone, Copy)]
pub enum Contexts<'a> {
    /// All of them the first one.
    One,
    /// The one with this number. Numbers are below the count of tables; there are as many as symbols.
    Many(&'a [u8]),
}

impl<'a> Contexts<'a> {
    /// Those of `count` symbols from `start` on.
    pub(super) fn part(self, start: usize, count: usize) -> Self {
        match self {
            Contexts::One => Contexts::One,
            Contexts::Many(ids) => Contexts::Many(&ids[start..start + count]),
        }
    }
}

/// One or more tables ready to decode with.
pub struct Decoder {
    /// See [`Self::slots`].
    pub(super) slots: Vec<u32>,
}

impl Decoder {
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

    /// For each table and each of 2^12 slots: symbol in bits 0..8, frequency in 8..20, slot less start in 20..32.
    #[cfg(feature = "gpu")]
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// Number of tables.
    pub fn tables(&self) -> usize {
        self.slots.len() >> BITS
    }
}

/// A sequence that is decoded in runs, each of which begins with the first lane.
pub struct Runs<'a> {
    states: [u32; MANY],
    lanes: usize,
    words: Words<'a>,
}

impl<'a> Runs<'a> {
    /// Of `count` symbols in all; `payload` holds the states and exactly its words.
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
        Ok(Self { states, lanes, words: Words { rest: words } })
    }

    /// Decodes the next run, as long as `out`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the words do not fit the symbols; `out` may hold anything then.
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
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if kernel == Kernel::Avx2 && kernel.is_supported() && self.lanes == MANY {
            done = super::avx2::run(&decoder.slots, states, &mut self.words.rest, contexts, out);
        }
        let _ = kernel;
        scalar(decoder, states, &mut self.words, contexts, out, done)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Corrupt`] where the lanes do not end where an encoder starts.
    pub fn finish(self) -> Result<()> {
        if !self.words.rest.is_empty() || self.states.iter().any(|x| *x != LOW) {
            return Err(Error::corrupt("rANS: the lanes do not end in their first state"));
        }
        Ok(())
    }
}

struct Words<'a> {
    rest: &'a [u8],
}

/// Decodes from symbol `at` on, which is the first lane's.
fn scalar(
    decoder: &Decoder,
    states: &mut [u32],
    words: &mut Words<'_>,
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
                let (word, rest) = words
                    .rest
                    .split_at_checked(2)
                    .ok_or_else(|| Error::corrupt("rANS: no words are left"))?;
                next = next << 16 | u32::from(u16::from_le_bytes([word[0], word[1]]));
                words.rest = rest;
            }
            *x = next;
        }
    }
    Ok(())
}
