//! The stored form of parameters: seven adaptive binary decisions for each code (`formats/circuit.md`,
//! "Parameters").

use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::Result;

/// The number of contexts for one kind of matrix: 64 by the history of the column, and one for the first row.
const CONTEXTS: usize = 65;
/// The number of codes.
pub const CODES: usize = 128;

/// The kind of matrix to which an entry belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Edge = 0,
    Leaf = 1,
}

/// A probability, as the mean of two that adapt at different speeds.
#[derive(Debug, Clone, Copy)]
struct Pair {
    fast: i32,
    slow: i32,
}

impl Pair {
    /// The probability of a 1 in 1/65536.
    fn one(self) -> u32 {
        ((self.fast + self.slow) >> 1).clamp(32, 65504) as u32
    }

    /// Learns the bit that came.
    fn learn(&mut self, bit: bool) {
        let target = if bit { 65535 } else { 0 };
        self.fast += (target - self.fast) >> 4;
        self.slow += (target - self.slow) >> 7;
    }
}

/// The adaptive probabilities of a file.
struct Adaptive(Vec<Pair>);

impl Adaptive {
    fn new() -> Self {
        Self(vec![Pair { fast: 32768, slow: 32768 }; 2 * CONTEXTS * CODES])
    }

    /// Codes one entry. `decide` gets the number of a decision and the probability of a 1 in 1/65536, and
    /// returns the bit: in writing the entry's own, in reading the decoded one.
    fn entry(
        &mut self,
        kind: Kind,
        context: usize,
        mut decide: impl FnMut(u32, u32) -> Result<bool>,
    ) -> Result<u8> {
        let base = (kind as usize * CONTEXTS + context) * CODES;
        let mut node = 1;
        for depth in 0..7 {
            let pair = &mut self.0[base + node];
            let bit = decide(depth, pair.one())?;
            pair.learn(bit);
            node = 2 * node + usize::from(bit);
        }
        Ok((node - CODES) as u8)
    }
}

/// Walks through a matrix row by row. `code` gets the index and the context of each entry and returns its
/// code.
fn columns(codes: usize, columns: usize, mut code: impl FnMut(usize, usize) -> Result<u8>) -> Result<()> {
    let mut history = vec![0i32; columns];
    for i in 0..codes {
        let (j, first) = (i % columns, i < columns);
        let context = if first { CONTEXTS - 1 } else { (history[j] >> 5) as usize };
        let found = code(i, context)?;
        let seen = 16 * i32::from(if found == 0 { 127 } else { found });
        history[j] = if first { seen } else { history[j] + ((seen - history[j]) >> 1) };
    }
    Ok(())
}

/// Writes matrices one after the other.
pub struct Writer {
    adaptive: Adaptive,
    coder: BitEncoder,
}

impl Writer {
    /// Starts an empty payload.
    pub fn new() -> Self {
        Self { adaptive: Adaptive::new(), coder: BitEncoder::default() }
    }

    /// Appends a matrix of `width` columns, whose codes are below [`CODES`].
    pub fn matrix(&mut self, kind: Kind, codes: &[u8], width: usize) {
        let (adaptive, coder) = (&mut self.adaptive, &mut self.coder);
        let done = columns(codes.len(), width, |i, context| {
            adaptive.entry(kind, context, |depth, one| {
                let bit = codes[i] >> (6 - depth) & 1 == 1;
                coder.encode(bit, one);
                Ok(bit)
            })
        });
        debug_assert!(done.is_ok());
    }

    /// The finished payload.
    pub fn finish(self) -> Vec<u8> {
        self.coder.payload()
    }
}

/// Reads the matrices that [`Writer`] wrote, in the same order.
pub struct Reader<'a> {
    adaptive: Adaptive,
    coder: BitDecoder<'a>,
}

impl<'a> Reader<'a> {
    /// Starts at the first matrix of a payload.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { adaptive: Adaptive::new(), coder: BitDecoder::new(payload) }
    }

    /// Reads a matrix of `width` columns into `codes`.
    ///
    /// # Errors
    /// `Corrupt` for a payload that no encoder writes.
    pub fn matrix(&mut self, kind: Kind, codes: &mut [u8], width: usize) -> Result<()> {
        let (adaptive, coder) = (&mut self.adaptive, &mut self.coder);
        columns(codes.len(), width, |i, context| {
            codes[i] = adaptive.entry(kind, context, |_, one| coder.decode(one))?;
            Ok(codes[i])
        })
    }
}
