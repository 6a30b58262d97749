//! The records from which a circuit is learned: for each variable a column of classes of symbols.

use super::logarithm::log2;
use crate::error::{Error, Result};

/// A partition of symbols into classes. The leaves of a circuit give probabilities to classes; within a
/// class, a symbol has a fixed share, which is the same for all variables with this alphabet. That way rare
/// symbols need few parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// The class of each symbol.
    pub class: Vec<u8>,
    /// The smoothed count of each symbol. Its share within its class is proportional to it.
    pub weight: Vec<f32>,
    /// The number of classes.
    pub classes: usize,
    /// Whether neighbouring symbols resemble each other.
    pub ordinal: bool,
}

/// The records, as columns.
#[derive(Debug)]
pub struct Dataset {
    pub alphabets: Vec<Partition>,
    /// The number of each variable's alphabet.
    pub alphabet: Vec<usize>,
    /// The columns: `columns[v][n]` is the class of variable v in record n.
    pub columns: Vec<Vec<u8>>,
    /// The number of records.
    pub records: usize,
    /// The bits that the symbols within their classes cost in all records together.
    pub inside_bits: f64,
}

impl Partition {
    /// Makes at most `classes` classes from the counts of symbols: frequent symbols get a class of their own,
    /// and runs of rarer ones with about equal total counts share a class.
    pub fn from_counts(counts: &[u64], classes: usize, ordinal: bool) -> Self {
        let total: u64 = counts.iter().sum();
        let smooth = |c: u64| c as f32 + 0.05;
        let weight: Vec<f32> = counts.iter().map(|&c| smooth(c)).collect();
        let symbols = counts.len();
        if symbols <= classes {
            let class = (0..symbols).map(|s| s as u8).collect();
            return Self { class, weight, classes: symbols, ordinal };
        }
        // A symbol stands alone where its count exceeds 1.5 times an equal share of the symbols that do not
        // stand alone yet.
        let mut alone = vec![false; symbols];
        let mut rest = total;
        let mut free = classes;
        while let Some(s) = (0..symbols)
            .filter(|&s| !alone[s] && free > 2 && counts[s] as f64 > 1.5 * rest as f64 / free as f64)
            .max_by_key(|&s| counts[s])
        {
            alone[s] = true;
            rest -= counts[s];
            free -= 1;
        }
        let mut class = vec![0u8; symbols];
        let (mut next, mut mass, mut open) = (0usize, 0u64, false);
        let mut left = rest;
        let mut left_classes = free;
        for s in 0..symbols {
            if alone[s] {
                // Numbered below. A symbol that stands alone does not end the run around it.
                class[s] = u8::MAX;
                continue;
            }
            if open && left_classes > 1 && (mass + counts[s] / 2) as f64 > left as f64 / left_classes as f64 {
                left -= mass;
                left_classes -= 1;
                next += 1;
                mass = 0;
            }
            open = true;
            class[s] = next as u8;
            mass += counts[s];
        }
        let mut count = next + usize::from(open);
        for s in (0..symbols).filter(|&s| alone[s]) {
            class[s] = count as u8;
            count += 1;
        }
        Self { class, weight, classes: count, ordinal }.in_order()
    }

    /// Numbers the classes in the order of their smallest symbols.
    fn in_order(mut self) -> Self {
        let mut map = vec![u8::MAX; self.classes];
        let mut next = 0;
        for c in &mut self.class {
            let m = &mut map[usize::from(*c)];
            if *m == u8::MAX {
                *m = next;
                next = next.wrapping_add(1);
            }
            *c = *m;
        }
        self
    }

    /// The bits that each symbol costs within its class.
    pub fn inside_bits(&self) -> Vec<f64> {
        let mut sums = vec![0f64; self.classes];
        for (s, &c) in self.class.iter().enumerate() {
            sums[usize::from(c)] += f64::from(self.weight[s]);
        }
        let share = |s: usize| f64::from(self.weight[s]) / sums[usize::from(self.class[s])];
        (0..self.class.len()).map(|s| -log2(share(s))).collect()
    }

    /// The position of each class of an ordinal alphabet: its mean symbol, scaled to 0..=1.
    pub fn positions(&self) -> Vec<f32> {
        let mut sums = vec![(0f32, 0f32); self.classes];
        for (s, &c) in self.class.iter().enumerate() {
            let entry = &mut sums[usize::from(c)];
            entry.0 += self.weight[s] * s as f32;
            entry.1 += self.weight[s];
        }
        let top = (self.class.len().max(2) - 1) as f32;
        sums.iter().map(|&(sum, mass)| sum / mass / top).collect()
    }
}

impl Dataset {
    /// Cuts bytes into records of `width` bytes. Variables belong to the channels in turn, and those of one
    /// channel share an alphabet.
    ///
    /// # Errors
    /// `BadArgument` where there is no whole record or `width` is no multiple of `channels`.
    pub fn from_bytes(bytes: &[u8], width: usize, channels: usize, classes: usize) -> Result<Self> {
        if width == 0 || bytes.len() < width || channels == 0 || !width.is_multiple_of(channels) {
            return Err(Error::bad_argument("no whole record"));
        }
        let mut counts = vec![vec![0u64; 256]; channels];
        bytes.iter().enumerate().for_each(|(i, &b)| counts[i % channels][usize::from(b)] += 1);
        let alphabets = counts.iter().map(|c| Partition::from_counts(c, classes, true)).collect();
        Self::with_alphabets(bytes, width, alphabets, (0..width).map(|v| v % channels).collect())
    }

    /// Cuts bytes into records of `width` bytes with the given alphabets.
    ///
    /// # Errors
    /// `BadArgument` for another number of bytes or variables, or a symbol outside of its alphabet.
    pub fn with_alphabets(
        bytes: &[u8],
        width: usize,
        alphabets: Vec<Partition>,
        alphabet: Vec<usize>,
    ) -> Result<Self> {
        if alphabet.len() != width || !bytes.len().is_multiple_of(width) {
            return Err(Error::bad_argument("records of another width"));
        }
        let records = bytes.len() / width;
        let mut columns = Vec::with_capacity(width);
        let mut inside_bits = 0f64;
        let inside: Vec<Vec<f64>> = alphabets.iter().map(Partition::inside_bits).collect();
        for v in 0..width {
            let a = &alphabets[alphabet[v]];
            let mut column = Vec::with_capacity(records);
            for record in bytes.chunks_exact(width) {
                let s = usize::from(record[v]);
                if s >= a.class.len() {
                    let message = format!("symbol {s} of variable {v} is outside its alphabet");
                    return Err(Error::bad_argument(message));
                }
                column.push(a.class[s]);
                inside_bits += inside[alphabet[v]][s];
            }
            columns.push(column);
        }
        Ok(Self { alphabets, alphabet, columns, records, inside_bits })
    }

    /// The number of variables.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The number of classes of a variable.
    pub fn classes(&self, v: usize) -> usize {
        self.alphabets[self.alphabet[v]].classes
    }
}
