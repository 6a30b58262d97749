//! The rows that a chained block learns for the head of the network (`formats/llm.md`, "Learned rows").
//!
//! Every token that has occurred so far gets a row of learned numbers, whose product with the head's input is
//! added to the token's logit. A row moves by the error of the token's probability times the input, which is
//! the gradient of the coding cost (dynamic evaluation, Krause et al., 2018, of the last layer alone).
//! Integer arithmetic only.

use super::kernel::elementwise as e;
use super::symbols::{Distribution, Symbol};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// The most rows; tokens that first occur later get none.
const ROWS: usize = 4096;
/// The number of entries in a group; rows are padded with zeros to whole groups.
const GROUP: usize = 32;
/// The largest magnitude of a feature; a typical one is 256.
const FEATURE: i64 = 1023;
/// The number of steps before features are used: until then their averages mean little.
const WARM: u32 = 8;
/// Averages run over 2^this steps.
const AVERAGE: u32 = 8;
/// The smallest error (Q16) from which a row learns.
const LEAST_ERROR: i32 = 64;
/// The largest magnitude of what a row adds to a logit, in Q8 octaves.
const CHANGE: i64 = 4096;
/// Stands for no row.
const NONE: u16 = u16::MAX;

/// The learned rows of a block.
#[derive(Debug)]
pub struct Online {
    kernel: Kernel,
    width: usize,
    /// Running averages of each number of the head's input (Q16), and of its distance from that average.
    averages: Vec<[i32; 2]>,
    steps: u32,
    /// The features: the head's input less its mean, in units of its spread (Q8), then a constant, then
    /// zeros.
    features: Vec<i16>,
    /// The row of each token of the vocabulary.
    row_of: Vec<u16>,
    /// The token of each row.
    tokens: Vec<Symbol>,
    /// How often the token of each row has occurred.
    counts: Vec<u8>,
    rows: Vec<i16>,
}

impl Online {
    /// The state without rows, for a head with `width` inputs.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(kernel: Kernel, width: usize, vocab: usize) -> Result<Self> {
        let padded = (width + 1).next_multiple_of(GROUP);
        let mut rows = Vec::new();
        rows.try_reserve_exact(ROWS.min(vocab) * padded)
            .map_err(|_| Error::limit("no memory for an llm's learned rows"))?;
        Ok(Self {
            kernel,
            width,
            averages: vec![[0; 2]; width],
            steps: 0,
            features: vec![0; padded],
            row_of: vec![NONE; vocab],
            tokens: Vec::new(),
            counts: Vec::new(),
            rows,
        })
    }

    /// The most bytes that the rows of a block take.
    pub fn bytes(width: usize, vocab: usize) -> usize {
        2 * (ROWS.min(vocab) * (width + 1).next_multiple_of(GROUP) + vocab)
    }

    /// Makes features of the head's input, which is `hidden` times 2^`shift` in Q16.
    pub fn look(&mut self, hidden: &[i16], shift: u32) {
        self.steps += 1;
        let rate = self.steps.ilog2().min(AVERAGE);
        let limit = if self.steps > WARM { FEATURE } else { 0 };
        let features = &mut self.features[..self.width];
        e::features(self.kernel, hidden, shift, rate, limit, &mut self.averages, features);
        self.features[self.width] = FEATURE as i16;
    }

    /// Adds the contributions of all rows to the logits (Q8 octaves).
    pub fn adjust(&self, logits: &mut [i32]) {
        let scale = (3i64 << 23) / self.width as i64;
        for (&token, row) in self.tokens.iter().zip(self.rows.chunks_exact(self.features.len())) {
            let change = (e::dot(self.kernel, row, &self.features) * scale + (1 << 32)) >> 33;
            let logit = &mut logits[token as usize];
            *logit = logit.saturating_add(change.clamp(-CHANGE, CHANGE) as i32);
        }
    }

    /// Learns that `token` occurred where the tokens had the weights of `d`.
    pub fn learn(&mut self, d: &Distribution<'_>, token: Symbol) {
        self.add(token);
        d.likeliest().into_iter().for_each(|token| self.add(token));
        // The largest weight is 2^22.
        let reciprocal = (1u64 << 56) / d.total().max(1 << 22);
        let (kernel, size) = (self.kernel, self.features.len());
        let rows = self.tokens.iter().zip(&mut self.counts).zip(self.rows.chunks_exact_mut(size));
        for ((&row_token, count), row) in rows {
            let mut error = -(((d.weight(row_token) as u64 * reciprocal) >> 40) as i32);
            if row_token == token {
                error += 1 << 16;
                *count = count.saturating_add(1);
            }
            if error.abs() < LEAST_ERROR {
                continue;
            }
            // Tokens that occur often move less, by the root of their count.
            let rate = ((1u64 << 24) / (u64::from(*count) + 1)).isqrt() as i64;
            e::learn_row(kernel, row, &self.features, ((i64::from(error) * rate + (1 << 11)) >> 12) as i32);
        }
    }

    /// Gives a token a row if it has none.
    fn add(&mut self, token: Symbol) {
        let row = &mut self.row_of[token as usize];
        if *row == NONE && self.tokens.len() < ROWS {
            *row = self.tokens.len() as u16;
            self.tokens.push(token);
            self.counts.push(0);
            self.rows.resize(self.rows.len() + self.features.len(), 0);
        }
    }
}
