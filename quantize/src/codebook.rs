//! A few values for a tensor, found by entropy-constrained k-means (Chou, Lookabaugh and Gray, "Entropy-constrained vector
//! quantization", 1989), in one dimension.

use crate::entropy;
use crate::grid::WORTH;
use crate::values::rounded;
use nzip::tensor::Dtype;

/// Rounds in which values choose entries, and entries move to the means of their values.
const ROUNDS: usize = 12;
/// The most values from which entries are found.
const SAMPLE: usize = 1 << 18;

/// What chooses an entry.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Group {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// The squared error around the mean.
    fn error(&self) -> f64 {
        (self.squares - self.sum * self.mean()).max(0.0)
    }
}

/// The entries of a tensor, in rising order. One of them is zero.
pub struct Codebook {
    entries: Vec<f32>,
    /// Bits of each entry.
    costs: Vec<f64>,
    counts: Vec<u64>,
    /// What a bit is worth in squared error.
    worth: f64,
}

impl Codebook {
    /// At most `most` entries, at least 2, for finite values, where a bit is worth as much as with uniform levels of a step.
    pub fn fit(values: &[f32], step: f64, most: usize, dtype: Dtype) -> Self {
        let every = values.len().div_ceil(SAMPLE);
        let sample: Vec<f32> = values.iter().step_by(every | 1).copied().collect();
        let range = values.iter().fold((0.0f32, 0.0f32), |(a, b), v| (a.min(*v), b.max(*v)));
        let (low, high) = (f64::from(range.0), f64::from(range.1));
        // Uniform entries to start with, with a step that is coarse enough for the range, or for the most part of it.
        let farthest = (most - 1) as f64 / 2.0;
        let square = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len().max(1) as f64;
        let spread = step.max((high - low).min(8.0 * square.sqrt()) / (most - 1) as f64);
        let first = (low / spread).round().max(-farthest.floor());
        let last = (high / spread).round().min(farthest.ceil());
        let mut entries: Vec<f64> = (first as i64..=last as i64).map(|i| i as f64 * spread).collect();
        entries.truncate(most);
        let mut book = Self {
            costs: vec![0.0; entries.len()],
            counts: vec![0; entries.len()],
            entries: entries.iter().map(|e| *e as f32).collect(),
            worth: WORTH * step * step,
        };
        for round in 0..ROUNDS {
            let mut groups = vec![Group::default(); book.entries.len()];
            sample.iter().for_each(|v| groups[book.choose(*v)].add(f64::from(*v)));
            for (entry, group) in book.entries.iter_mut().zip(&groups) {
                if group.count > 0.0 && *entry != 0.0 {
                    *entry = group.mean() as f32;
                }
            }
            // Entries that nothing chooses halve the groups with the greatest errors, while there is time to settle.
            if round < ROUNDS / 2 {
                let mut errors: Vec<f64> = groups.iter().map(Group::error).collect();
                for empty in 0..groups.len() {
                    if groups[empty].count > 0.0 || book.entries[empty] == 0.0 {
                        continue;
                    }
                    let worst =
                        (0..errors.len()).max_by(|a, b| errors[*a].total_cmp(&errors[*b])).unwrap_or(empty);
                    let group = &groups[worst];
                    if errors[worst] > 0.0 {
                        book.entries[empty] = (group.mean() + (group.error() / group.count).sqrt()) as f32;
                    }
                    errors[worst] /= 4.0;
                }
            }
            let all = sample.len().max(1) as f64;
            book.costs = groups.iter().map(|g| -((g.count + 0.1) / all).log2()).collect();
            let mut order: Vec<usize> = (0..book.entries.len()).collect();
            order.sort_by(|a, b| book.entries[*a].total_cmp(&book.entries[*b]));
            book.entries = order.iter().map(|i| book.entries[*i]).collect();
            book.costs = order.iter().map(|i| book.costs[*i]).collect();
        }
        book.entries.iter_mut().for_each(|e| *e = rounded(dtype, *e));
        values.iter().for_each(|v| {
            let chosen = book.choose(*v);
            book.counts[chosen] += 1;
        });
        book
    }

    /// The number of the entry at which squared error and cost are least together.
    pub fn choose(&self, value: f32) -> usize {
        if value == 0.0 {
            return self.entries.iter().position(|e| *e == 0.0).unwrap_or(0);
        }
        let near = self.entries.partition_point(|e| *e < value);
        let cost =
            |i: usize| (f64::from(value) - f64::from(self.entries[i])).powi(2) + self.worth * self.costs[i];
        let (first, last) = (near.saturating_sub(2), (near + 1).min(self.entries.len() - 1));
        (first..=last).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(first)
    }

    /// The value of an entry.
    pub fn value(&self, entry: usize) -> f32 {
        self.entries[entry]
    }

    /// The entropy of the entries in bits for each value.
    pub fn entropy(&self) -> f64 {
        entropy::mean(&self.counts)
    }

    /// The number of entries in use.
    pub fn used(&self) -> usize {
        entropy::used(&self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_few_and_find_clusters() {
        let mut random = nzip::internal::SplitMix(3);
        let mut noise = || (random.next_u64() >> 40) as f32 / (1 << 24) as f32 * 0.02 - 0.01;
        let values: Vec<f32> = (0..4000)
            .map(|i| [-1.3, 0.0, 0.4, 2.1][i % 4] + if i % 4 == 1 { 0.0 } else { noise() })
            .collect();
        let book = Codebook::fit(&values, 0.1, 4, Dtype::F32);
        assert!(book.used() <= 4, "{}", book.used());
        let off = values.iter().map(|v| (v - book.value(book.choose(*v))).abs()).fold(0.0, f32::max);
        assert!(off < 0.02 && book.value(book.choose(0.0)) == 0.0, "{off}");
        let two = Codebook::fit(&values, 0.1, 2, Dtype::F16);
        assert!(two.used() == 2 && two.entropy() <= 1.0);
    }

    #[test]
    fn outliers_and_constant_values_have_entries() {
        let mut values = vec![0.01f32; 500];
        values[3] = 1e6;
        for most in [2, 3, 256] {
            let book = Codebook::fit(&values, 0.001, most, Dtype::F32);
            assert!(book.used() <= most && values.iter().all(|v| book.value(book.choose(*v)).is_finite()));
        }
        assert_eq!(Codebook::fit(&[0.0; 9], 1.0, 8, Dtype::F32).used(), 1);
    }
}
