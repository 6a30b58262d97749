//! What stands in a tile, found without decoding it.

use super::low_bits::LowBits;
use super::params::{Context, Field};
use super::tile::Place;
use crate::coder::rans::{Contexts, Decoder, Runs, lanes};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::kernel::Kernel;

/// What a tile stores of a field up to its symbols. Where none are folded, what follows has a known length.
pub struct Sections<'a> {
    pub low_bits: LowBits,
    pub exceptions: Exceptions<'a>,
    pub contexts: Stored<'a>,
    pub symbols: Sequence<'a>,
}

/// What a tile stores of contexts.
pub enum Stored<'a> {
    Nothing,
    /// The classes of rows, two to a byte.
    Rows(&'a [u8]),
    /// Classes of groups.
    Classes(Sequence<'a>),
}

impl<'a> Sections<'a> {
    /// Reads up to the end of the symbols.
    pub fn parse(c: &mut Cursor<'a>, field: &Field, place: &Place<'_>, group: usize) -> Parsed<Self> {
        let low_bits = LowBits::parse(c, field, place, group)?;
        let exceptions = Exceptions::parse(c, field.element, place.count * (field.width / field.element))?;
        let contexts = match &field.context {
            Context::Rows { groups, .. } => {
                // A row has a group of the tile at least.
                Stored::Rows(c.take(place.rows(*groups).div_ceil(2) as usize)?)
            }
            Context::Classes { stripes, .. } => Stored::Classes(Sequence::parse(c, place.count * stripes)?),
            Context::Predicted(prediction) => {
                let row = prediction.row() as u64;
                if !place.first.is_multiple_of(row) || !(place.all as u64).is_multiple_of(row) {
                    return Err(Error::corrupt("predictions in a tile of parts of rows").into());
                }
                Stored::Rows(c.take(place.rows(row).div_ceil(2) as usize)?)
            }
            Context::None | Context::Fields { .. } | Context::Base { .. } => Stored::Nothing,
        };
        let symbols = Sequence::parse(c, place.count * field.per_group())?;
        Ok(Self { low_bits, exceptions, contexts, symbols })
    }
}

/// A sequence of symbols in one of its modes.
#[derive(Clone, Copy)]
pub enum Sequence<'a> {
    /// rANS: states, then words.
    Rans(&'a [u8]),
    /// All are this one.
    Same(u8),
    /// As they are.
    Plain(&'a [u8]),
}

impl<'a> Sequence<'a> {
    /// Reads a sequence of `count` symbols.
    pub fn parse(c: &mut Cursor<'a>, count: usize) -> Parsed<Self> {
        match c.u8()? {
            0 => {
                let words = c.varint_in("number of words", 0..=count as u64)? as usize;
                Ok(Self::Rans(c.take(4 * lanes(count) + 2 * words)?))
            }
            1 => Ok(Self::Same(c.u8()?)),
            2 => Ok(Self::Plain(c.take(count)?)),
            other => Err(crate::codec::newer(&format!("plane mode {other}")).into()),
        }
    }

    /// Decodes it into `out`, as long as it was said to be.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::new`], [`Run::decode`] and [`Run::finish`].
    pub fn decode(
        &self,
        decoder: &Decoder,
        kernel: Kernel,
        contexts: Contexts<'_>,
        out: &mut [u8],
    ) -> Result<()> {
        let mut runs = self.runs(out.len())?;
        runs.decode(decoder, kernel, contexts, out)?;
        runs.finish()
    }

    /// Begins to decode its `count` symbols in runs.
    pub fn runs(&self, count: usize) -> Result<Run<'a>> {
        Ok(match self {
            Self::Rans(payload) => Run::Rans(Runs::new(payload, count)?),
            Self::Same(symbol) => Run::Same(*symbol),
            Self::Plain(symbols) => Run::Plain(symbols),
        })
    }
}

/// A sequence that is decoded in runs.
pub enum Run<'a> {
    Rans(Runs<'a>),
    Same(u8),
    Plain(&'a [u8]),
}

impl Run<'_> {
    /// Decodes the next run, as long as `out`.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::decode`], and `Corrupt` where so many symbols are not there.
    pub fn decode(
        &mut self,
        decoder: &Decoder,
        kernel: Kernel,
        contexts: Contexts<'_>,
        out: &mut [u8],
    ) -> Result<()> {
        match self {
            Self::Rans(runs) => runs.decode(decoder, kernel, contexts, out)?,
            Self::Same(symbol) => out.fill(*symbol),
            Self::Plain(symbols) => {
                let (some, rest) = symbols
                    .split_at_checked(out.len())
                    .ok_or_else(|| Error::corrupt("a sequence of fewer symbols than its runs"))?;
                out.copy_from_slice(some);
                *symbols = rest;
            }
        }
        Ok(())
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::finish`], and `Corrupt` for symbols that belong to no run.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Rans(runs) => runs.finish(),
            Self::Same(_) | Self::Plain([]) => Ok(()),
            Self::Plain(_) => Err(Error::corrupt("a sequence of more symbols than its runs")),
        }
    }
}

/// Elements that have no symbol.
pub struct Exceptions<'a> {
    pub places: Vec<usize>,
    pub values: Vec<&'a [u8]>,
    element: usize,
}

impl<'a> Exceptions<'a> {
    /// Reads those of `all` elements.
    pub fn parse(c: &mut Cursor<'a>, element: usize, all: usize) -> Parsed<Self> {
        let count = c.varint_in("number of exceptions", 0..=all as u64)? as usize;
        c.expect(count * (1 + element))?;
        let (mut places, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut next = 0u64;
        for _ in 0..count {
            let at = c.varint_in("place of an exception", 0..=all as u64)? + next;
            in_range("place of an exception", at, 0..=all as u64 - 1)?;
            next = at + 1;
            places.push(at as usize);
            values.push(c.take(element)?);
        }
        Ok(Self { places, values, element })
    }

    /// Puts them in their places.
    pub fn put(&self, out: &mut [u8]) {
        for (at, value) in self.places.iter().zip(&self.values) {
            out[at * self.element..(at + 1) * self.element].copy_from_slice(value);
        }
    }
}
