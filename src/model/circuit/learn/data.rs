//! The records that a circuit is learned from, variable by variable, as classes of symbols.

use super::logarithm::log2;
use crate::error::{Error, Result};

/// A partition of the 256 symbols into classes. Leaves give probabilities to classes; inside a class a
/// symbol has a fixed share, the same for all variables with this alphabet.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// Class of each symbol.
    pub class: Vec<u8>,
    /// How often each symbol was seen, smoothed; its share inside its class is proportional to it.
    pub weight: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
    /// Whether neighbouring symbols resemble each other.
    pub ordinal: bool,
}

/// Records as columns.
#[derive(Debug)]
pub struct Dataset {
    pub alphabets: Vec<Partition>,
    /// Alphabet of each variable.
    pub alphabet: Vec<usize>,
    /// `columns[v][n]`: class of variable v in record n.
    pub columns: Vec<Vec<u8>>,
    pub records: usize,
    /// Bits that the symbols inside their classes cost, summed over all records.
    pub inside_bits: f64,
}

impl Partition {
    /// Classes from how often each symbol was seen: symbols that make up over `1 / classes` of the records stand
    /// alone, runs of rarer ones of about equal mass share a class.
    pub fn from_counts(counts: &[u64], classes: usize, ordinal: bool) -> Self {
        let total: u64 = counts.iter().sum();
        let smooth = |c: u64| c as f32 + 0.05;
        let weight: Vec<f32> = counts.iter().map(|&c| smooth(c)).collect();
        let symbols = counts.len();
        if symbols <= classes {
            let class = (0..symbols).map(|s| s as u8).collect();
            return Self { class, weight, classes: symbols, ordinal };
        }
        // A symbol stands alone where it is more than twice an equal share of what is not 'alone' yet.
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
                // A run is broken by a symbol that stands alone only where room remains for another.
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

    /// Numbers the classes by their smallest symbol.
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

    /// Bits of each symbol inside its class.
    pub fn inside_bits(&self) -> Vec<f64> {
        let mut sums = vec![0f64; self.classes];
        for (s, &c) in self.class.iter().enumerate() {
            sums[usize::from(c)] += f64::from(self.weight[s]);
        }
        let share = |s: usize| f64::from(self.weight[s]) / sums[usize::from(self.class[s])];
        (0..self.class.len()).map(|s| -log2(share(s))).collect()
    }

    /// A number between 0 and 1 for each class, for ordinal alphabets: the mean symbol.
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
    /// Records of bytes, `width` each, whose variables share one alphabet for each of the channels that they take turns in.
    pub fn from_bytes(bytes: &[u8], width: usize, channels: usize, classes: usize) -> Result<Self> {
        if width == 0 || bytes.len() < width || channels == 0 || !width.is_multiple_of(channels) {
            return Err(Error::bad_argument("no whole record"));
        }
        let mut counts = vec![vec![0u64; 256]; channels];
        bytes.iter().enumerate().for_each(|(i, &b)| counts[i % channels][usize::from(b)] += 1);
        let alphabets = counts.iter().map(|c| Partition::from_counts(c, classes, true)).collect();
        Self::with_alphabets(bytes, width, alphabets, (0..width).map(|v| v % channels).collect())
    }

    /// Records of bytes under alphabets that are given.
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

    /// Number of variables.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Number of classes of a variable.
    pub fn classes(&self, v: usize) -> usize {
        self.alphabets[self.alphabet[v]].classes
    }
}
