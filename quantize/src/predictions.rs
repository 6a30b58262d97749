//! What two language models expect of texts: each token's probabilities by both, compared. They are those of nzip's integer
//! step of imported models, as they are before its adaptive stage.

use crate::bad_argument;
use nzip::Result;
use nzip::internal::model::llm::{Column, MAX_COLUMNS, Model, Session, Weights};
use rayon::prelude::*;

/// Logits are 256ths of an octave.
const OCTAVE: f64 = 256.0;
/// The most tokens of a window; windows are computed side by side.
const WINDOW: usize = 1024;

/// A sum over tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Predictions {
    /// Bytes of text, and tokens that were predicted; bytes that no token has are left out.
    pub bytes: u64,
    pub tokens: u64,
    /// What the tokens cost with either model, in bits.
    pub original_bits: f64,
    pub other_bits: f64,
    /// The Kullback–Leibler divergence of the other model's probabilities from the original's, in bits.
    pub divergence: f64,
    /// Tokens before which both models expect the same token most.
    pub agreed: u64,
}

impl Predictions {
    /// Adds those of other tokens.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.tokens += other.tokens;
        self.original_bits += other.original_bits;
        self.other_bits += other.other_bits;
        self.divergence += other.divergence;
        self.agreed += other.agreed;
    }
}

/// Two models of one vocabulary.
pub struct Models {
    original: Model,
    other: Model,
}

impl Models {
    /// Loads two models, as [`nzip::llm::import_safetensors`] and [`nzip::llm::import_gguf`] give them.
    ///
    /// # Errors
    /// Those of broken files; [`nzip::ErrorKind::BadArgument`] for models of different vocabularies.
    pub fn new(original: &[u8], other: &[u8]) -> Result<Self> {
        let load = |bytes| Model::new(Weights::from_bytes(bytes)?);
        let (original, other) = (load(original)?, load(other)?);
        let vocabularies = [&original, &other].map(|m| m.tokenizer().vocab());
        let differ = |t: &u32| original.tokenizer().bytes_of(*t) != other.tokenizer().bytes_of(*t);
        if vocabularies[0] != vocabularies[1] || (0..vocabularies[0] as u32).any(|t| differ(&t)) {
            return Err(bad_argument("the models have different vocabularies"));
        }
        Ok(Self { original, other })
    }

    /// Compares what both expect of a text.
    ///
    /// # Errors
    /// [`nzip::ErrorKind::LimitExceeded`] where memory is missing.
    pub fn compare(&self, text: &[u8]) -> Result<Predictions> {
        let vocab = self.original.tokenizer().vocab() as u32;
        let symbols = self.original.tokenizer().encode(text).into_iter();
        let tokens: Vec<u32> = symbols.filter(|s| *s < vocab).collect();
        let window = WINDOW.min(self.original.shape().context).min(self.other.shape().context).max(1);
        let windows: Vec<&[u32]> = tokens.chunks(window).collect();
        let found = windows.par_iter().map(|w| self.window(w)).collect::<Result<Vec<_>>>()?;
        let mut sum = Predictions { bytes: text.len() as u64, ..Predictions::default() };
        found.iter().for_each(|p| sum.add(p));
        Ok(sum)
    }

    fn window(&self, tokens: &[u32]) -> Result<Predictions> {
        let mut a = Session::new(&self.original, 1, tokens.len())?;
        let mut b = Session::new(&self.other, 1, tokens.len())?;
        let starts = [&self.original, &self.other].map(|m| m.shape().start);
        let mut sum = Predictions::default();
        for (first, wanted) in (0..).step_by(MAX_COLUMNS).zip(tokens.chunks(MAX_COLUMNS)) {
            for (session, start) in [(&mut a, starts[0]), (&mut b, starts[1])] {
                let before = |i: usize| if i == 0 { start } else { tokens[i - 1] };
                let columns: Vec<Column> =
                    (first..first + wanted.len()).map(|i| Column { lane: 0, token: before(i) }).collect();
                session.step(&columns);
            }
            for (column, &token) in wanted.iter().enumerate() {
                sum.add(&compared(a.logits(column), b.logits(column), token as usize));
            }
        }
        Ok(sum)
    }
}

/// One token's part of the sums.
fn compared(original: &[i32], other: &[i32], token: usize) -> Predictions {
    let [(p, top), (q, other_top)] = [original, other].map(logarithms);
    let divergence = p.iter().zip(&q).map(|(p, q)| p.exp2() * (p - q)).sum();
    Predictions {
        bytes: 0,
        tokens: 1,
        original_bits: -p[token],
        other_bits: -q[token],
        divergence,
        agreed: u64::from(top == other_top),
    }
}

/// The logarithms of probabilities to base 2, and the first of the most probable tokens.
fn logarithms(logits: &[i32]) -> (Vec<f64>, usize) {
    let most = logits.iter().copied().max().unwrap_or(0);
    let octaves = |l: &i32| (f64::from(*l) - f64::from(most)) / OCTAVE;
    let sum: f64 = logits.iter().map(|l| octaves(l).exp2()).sum();
    let top = logits.iter().position(|l| *l == most).unwrap_or(0);
    (logits.iter().map(|l| octaves(l) - sum.log2()).collect(), top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_has_the_bits_and_the_divergence_of_its_probabilities() {
        // 1/2, 1/4, 1/4 and 1/4, 1/2, 1/4.
        let found = compared(&[256, 0, 0], &[-512, -256, -512], 0);
        assert_eq!((found.tokens, found.original_bits, found.other_bits), (1, 1.0, 2.0));
        assert!((found.divergence - 0.25).abs() < 1e-12 && found.agreed == 0);
        assert_eq!(compared(&[7, 3], &[9, 5], 1).divergence, 0.0);
        assert_eq!(compared(&[7, 3], &[9, 5], 1).agreed, 1);
    }
}
