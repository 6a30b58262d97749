//! The cost of symbols by their own frequencies.

/// The bits of all symbols together, each of which occurs as often as its count says.
pub fn bits(counts: &[u64]) -> f64 {
    let all: u64 = counts.iter().sum();
    let of = |n: u64| n as f64 * (all as f64 / n as f64).log2();
    counts.iter().filter(|n| **n > 0).map(|n| of(*n)).sum()
}

/// The mean bits of a symbol; 0 where there are none.
pub fn mean(counts: &[u64]) -> f64 {
    bits(counts) / counts.iter().sum::<u64>().max(1) as f64
}

/// The number of symbols that occur.
pub fn used(counts: &[u64]) -> usize {
    counts.iter().filter(|n| **n > 0).count()
}
