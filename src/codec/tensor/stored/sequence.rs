//! Sequences of symbols, each stored in the smallest of three modes.

use crate::coder::rans::{Coded, Contexts, Decoder, Encoder, Runs, encode, lanes};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;
use crate::kernel::Kernel;

/// The first byte of a sequence: how its symbols are stored.
const RANS: u8 = 0;
const SAME: u8 = 1;
const PLAIN: u8 = 2;

/// A stored sequence of symbols.
#[derive(Clone, Copy)]
pub enum Sequence<'a> {
    /// Coded by rANS: the states of the lanes, then the words.
    Rans(&'a [u8]),
    /// All symbols are this one.
    Same(u8),
    /// The symbols as bytes.
    Plain(&'a [u8]),
}

impl<'a> Sequence<'a> {
    /// Reads a sequence of `count` symbols.
    pub fn parse(c: &mut Cursor<'a>, count: usize) -> Parsed<Self> {
        match c.u8()? {
            RANS => {
                let words = c.varint_in("number of words", 0..=count as u64)? as usize;
                Ok(Self::Rans(c.take(4 * lanes(count) + 2 * words)?))
            }
            SAME => Ok(Self::Same(c.u8()?)),
            PLAIN => Ok(Self::Plain(c.take(count)?)),
            other => Err(crate::codec::newer(&format!("plane mode {other}")).into()),
        }
    }

    /// Decodes the sequence into `out`, whose length must be the number of symbols that it was parsed with.
    ///
    /// # Errors
    ///
    /// Those of [`Self::runs`], [`SequenceRuns::decode`] and [`SequenceRuns::finish`].
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

    /// Starts decoding the sequence in runs that have `count` symbols in total.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::new`].
    pub fn runs(&self, count: usize) -> Result<SequenceRuns<'a>> {
        Ok(match self {
            Self::Rans(payload) => SequenceRuns::Rans(Runs::new(payload, count)?),
            Self::Same(symbol) => SequenceRuns::Same(*symbol),
            Self::Plain(symbols) => SequenceRuns::Plain(symbols),
        })
    }
}

/// A sequence that is decoded in runs: the tables of a run may depend on the symbols of earlier runs.
pub enum SequenceRuns<'a> {
    /// Coded by rANS.
    Rans(Runs<'a>),
    /// All symbols are this one.
    Same(u8),
    /// The symbols that are left.
    Plain(&'a [u8]),
}

impl SequenceRuns<'_> {
    /// Decodes the next run, which is as long as `out`.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::decode`], and [`crate::ErrorKind::Corrupt`] where fewer symbols are left.
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

    /// Checks that no symbol is left.
    ///
    /// # Errors
    ///
    /// Those of [`Runs::finish`], and [`crate::ErrorKind::Corrupt`] for symbols that belong to no run.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Rans(runs) => runs.finish(),
            Self::Same(_) | Self::Plain([]) => Ok(()),
            Self::Plain(_) => Err(Error::corrupt("a sequence of more symbols than its runs")),
        }
    }
}

/// Writes sequences one after the other.
pub struct SequenceWriter {
    /// The bytes so far. Callers append whatever stands between sequences.
    pub out: Vec<u8>,
    kernel: Kernel,
    coded: Coded,
}

impl SequenceWriter {
    /// A writer that appends to `out`. The kernel only affects the speed.
    pub fn new(out: Vec<u8>, kernel: Kernel) -> Self {
        Self { out, kernel, coded: Coded::default() }
    }

    /// Appends a sequence in the smallest mode.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::BadArgument`] for a symbol that has no frequency.
    pub fn put(&mut self, symbols: &[u8], encoder: &Encoder, contexts: Contexts<'_>) -> Result<()> {
        self.put_runs(symbols, encoder, contexts, symbols.len())
    }

    /// Appends a sequence that is decoded in runs of `run` symbols, in the smallest mode.
    ///
    /// # Errors
    ///
    /// Those of [`Self::put`].
    pub fn put_runs(
        &mut self,
        symbols: &[u8],
        encoder: &Encoder,
        contexts: Contexts<'_>,
        run: usize,
    ) -> Result<()> {
        let out = &mut self.out;
        if let Some((first, rest)) = symbols.split_first()
            && rest.iter().all(|s| s == first)
        {
            out.extend_from_slice(&[SAME, *first]);
            return Ok(());
        }
        let start = out.len();
        encode(encoder, self.kernel, symbols, contexts, run, &mut self.coded)?;
        out.push(RANS);
        varint::put(out, self.coded.words() as u64);
        self.coded.put(out);
        if out.len() - start > symbols.len() + 1 {
            out.truncate(start);
            out.push(PLAIN);
            out.extend_from_slice(symbols);
        }
        Ok(())
    }
}
