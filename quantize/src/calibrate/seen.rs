//! What a model's calibration has seen, and the sensitivities of tensors that follow from it.

use super::compensate::Sensitivity;
use super::factor::Factor;
use super::moments::{Moments, Outputs, Product, Table};
use super::product::Matrix;
use super::random::Random;
use super::tape::{Parameters, Tape};
use super::{Network, batches, sentences};
use crate::bad_argument;
use nzip::Result;

/// Tokens that are run through the network.
const TOKENS: usize = 24_576;
/// Tokens that are counted.
const COUNTED: usize = 4 << 20;
/// Tokens that are run at once.
const BATCH: usize = 1024;
/// Occurrences that each row of a table has beside those that were counted: rows that the calibration never saw are used
/// by other texts.
const UNSEEN: f64 = 1.0;
/// Occurrences at which a row's mean squared error counts as much as that of all rows.
const TYPICAL: f64 = 4.0;
/// The weight that each output of the last product has beside what was seen, as a share of the mean.
const UNSEEN_OUTPUT: f64 = 0.2;
/// The share of the inputs' mean that is left where a bias makes up for it.
const UNCORRECTED: f64 = 0.05;

/// What was seen.
pub struct Seen {
    pub moments: Moments,
    /// The number of the table of tokens, and how often each token occurs.
    words: usize,
    counts: Vec<f64>,
}

impl Seen {
    /// Runs texts through a network.
    ///
    /// # Errors
    /// [`nzip::ErrorKind::BadArgument`] where the texts have no tokens.
    pub fn new(network: &Network, parameters: &Parameters, texts: &[impl AsRef<[u8]>]) -> Result<Self> {
        let mut sequences = network.encode(texts);
        let all: usize = sequences.iter().map(Vec::len).sum();
        if all == 0 {
            return Err(bad_argument("the calibration texts have no tokens"));
        }
        if all > COUNTED {
            sequences = sentences::spread(&sequences, (sequences.len() * COUNTED / all).max(1));
        }
        let mut counts = Vec::new();
        for &id in sequences.iter().flatten() {
            let id = id as usize;
            if id >= counts.len() {
                counts.resize(id + 1, 0.0);
            }
            counts[id] += 1.0;
        }
        let some = sentences::spread(&sequences, (sequences.len() * TOKENS / all.min(COUNTED)).max(1));
        let mut random = Random::new(1);
        let mut moments = Moments::new(parameters);
        for batch in batches(&some, BATCH) {
            let mut tape = Tape::new(parameters, batch.iter().map(Vec::len).collect());
            let output = network.forward(&mut tape, batch);
            let errors = network.errors(tape.value(output), &mut random);
            moments.gather(&tape, output, errors);
        }
        Ok(Self { moments, words: network.words(), counts })
    }

    /// How the errors of a tensor are felt; `None` for one that the network does not use.
    pub fn sensitivity(&self, number: usize) -> Option<Sensitivity> {
        let probes = self.moments.probes;
        let found = match (self.moments.tables.get(&number), self.moments.products.get(&number)) {
            (Some(table), Some(product)) => Some(self.of_both(number, table, product, probes)),
            (Some(table), None) => Some(self.of_table(number, table, probes)),
            (None, Some(product)) => Some(of_product(product, probes)),
            (None, None) => None,
        };
        // Moments that are zero, or too large for floats, say nothing.
        found.filter(|s| s.rows.tells() && s.columns.tells())
    }

    fn of_table(&self, number: usize, table: &Table, probes: f64) -> Sensitivity {
        Sensitivity {
            rows: Factor::diagonal(&self.shares(number, table)),
            columns: factor(&table.errors, probes),
        }
    }

    /// A table that serves as the last product, too: the sum of both moments of columns, and for each row the mean of both
    /// weights.
    fn of_both(&self, number: usize, table: &Table, product: &Product, probes: f64) -> Sensitivity {
        let mut squares: Vec<f64> = match &product.outputs {
            Outputs::Full(m) => (0..m.rows).map(|i| f64::from(m.row(i)[i]) / probes).collect(),
            Outputs::Squares(sums) => sums.iter().map(|s| s / probes).collect(),
        };
        let usual = UNSEEN_OUTPUT * squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        squares.iter_mut().for_each(|s| *s += usual);
        let all: f64 = squares.iter().sum();
        let n = product.inputs.columns;
        let of_product = |i: usize, j: usize| f64::from(product.inputs.values[i * n + j]) / product.tokens;
        let of_table = |i: usize, j: usize| f64::from(table.errors.values[i * n + j]) / probes;
        let (a, b): (f64, f64) = (0..n)
            .map(|i| (all * of_product(i, i), of_table(i, i)))
            .fold((0.0, 0.0), |s, t| (s.0 + t.0, s.1 + t.1));
        let rows: Vec<f64> = squares
            .iter()
            .zip(self.shares(number, table))
            .map(|(s, t)| (a * s / all + b * t) / (a + b))
            .collect();
        let columns = Factor::new(n, |i, j| all * of_product(i, j) + of_table(i, j));
        Sensitivity { rows: Factor::diagonal(&rows), columns }
    }

    /// The share of the squared errors that comes from each row of a table.
    fn shares(&self, number: usize, table: &Table) -> Vec<f64> {
        let (seen, squares): (f64, f64) = (table.counts.iter().sum(), table.squares.iter().sum());
        let mean = squares / seen.max(1.0);
        // Counts of all texts belong to the table of tokens; others are as they were seen.
        let counted = if number == self.words { &self.counts } else { &table.counts };
        let weight = |r: usize| {
            let typical = (table.squares[r] + TYPICAL * mean) / (table.counts[r] + TYPICAL);
            (counted.get(r).copied().unwrap_or(0.0) + UNSEEN) * typical
        };
        let weights: Vec<f64> = (0..table.counts.len()).map(weight).collect();
        let all: f64 = weights.iter().sum();
        weights.iter().map(|w| w / all).collect()
    }
}

fn of_product(product: &Product, probes: f64) -> Sensitivity {
    let tokens = product.tokens;
    let mean: Vec<f64> = product.sum.iter().map(|s| s / tokens).collect();
    let off = if product.bias.is_some() { 1.0 - UNCORRECTED } else { 0.0 };
    let n = product.inputs.columns;
    let moment =
        |i: usize, j: usize| f64::from(product.inputs.values[i * n + j]) / tokens - off * mean[i] * mean[j];
    let rows = match &product.outputs {
        Outputs::Full(m) => factor(m, probes),
        Outputs::Squares(sums) => Factor::diagonal(&sums.iter().map(|s| s / probes).collect::<Vec<f64>>()),
    };
    Sensitivity { rows, columns: Factor::new(n, moment) }
}

fn factor(sum: &Matrix, count: f64) -> Factor {
    let n = sum.columns;
    Factor::new(n, |i, j| f64::from(sum.values[i * n + j]) / count)
}
