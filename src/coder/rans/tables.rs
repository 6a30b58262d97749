//! The tables of an encoder, and which one a symbol uses.

use super::freqs::Freqs;

/// The table that each symbol of a sequence uses.
#[derive(Clone, Copy)]
pub enum Contexts<'a> {
    /// All symbols use the first table.
    One,
    /// Symbol i uses the table with the i-th number. There must be as many numbers as symbols, all below the
    /// number of tables.
    Many(&'a [u8]),
}

impl<'a> Contexts<'a> {
    /// The contexts of `count` symbols from `start` on.
    pub(super) fn part(self, start: usize, count: usize) -> Self {
        match self {
            Contexts::One => Contexts::One,
            Contexts::Many(ids) => Contexts::Many(&ids[start..start + count]),
        }
    }
}

/// One or more tables, laid out for encoding: for each table an entry for each of 256 symbols.
pub struct Encoder {
    /// floor(2^32 / f), or 2^32 − 1 where f is 1. The upper half of its product with a state is the state
    /// divided by f, or one less; so a comparison replaces the division.
    pub(super) reciprocals: Vec<u32>,
    /// The frequency in bits 0..16, the start in 16..32.
    pub(super) places: Vec<u32>,
}

impl Encoder {
    /// Prepares tables; contexts count them from 0.
    pub fn new(tables: &[Freqs]) -> Self {
        let mut all = Self { reciprocals: Vec::new(), places: Vec::new() };
        for freqs in tables {
            let mut start = 0u32;
            for &f in &freqs.0 {
                let f = u32::from(f);
                all.reciprocals.push(if f < 2 { u32::MAX } else { ((1u64 << 32) / u64::from(f)) as u32 });
                all.places.push(f | start << 16);
                start += f;
            }
        }
        all
    }
}
