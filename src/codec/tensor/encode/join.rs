//! Joins classes so that they share tables: a table for each class would often cost more to store than it
//! saves.

use crate::codec::tensor::stored::MAX_TABLES;
use crate::coder::rans::Freqs;

/// A run of neighbouring classes that share tables.
pub struct ClassRun {
    /// The number of classes.
    pub classes: usize,
    /// How often each symbol occurs in all of them together, for each place within a class.
    pub counts: Vec<[u32; 256]>,
    freqs: Vec<Freqs>,
    /// The cost of symbols and tables, in 1/256 bits.
    cost: u64,
}

/// Joins neighbouring classes as long as that saves space or more than [`MAX_TABLES`] tables are left.
/// `counts` holds the symbol counts of each class. Returns the table of each class, and the tables.
pub fn join_classes(counts: &[[u32; 256]]) -> (Vec<u8>, Vec<Freqs>) {
    let runs = join_runs(counts, 1, MAX_TABLES);
    let map = runs.iter().enumerate().flat_map(|(t, r)| std::iter::repeat_n(t as u8, r.classes)).collect();
    (map, runs.into_iter().flat_map(|r| r.freqs).collect())
}

/// Joins neighbouring classes as long as that saves space or more than `most` runs are left. Each class has a
/// table for each of `places` places; `counts` holds the counts of all places of the first class, then those
/// of the second, and so on.
///
/// Each step joins the two neighbours whose joining gains most; of equal ones, the first.
pub fn join_runs(counts: &[[u32; 256]], places: usize, most: usize) -> Vec<ClassRun> {
    let run = |classes: usize, counts: Vec<[u32; 256]>| {
        let freqs: Vec<Freqs> = counts.iter().map(Freqs::from_counts).collect();
        let cost = freqs.iter().zip(&counts).map(|(f, c)| f.cost(c) + f.stored_cost()).sum();
        ClassRun { classes, counts, freqs, cost }
    };
    let both = |a: &ClassRun, b: &ClassRun| {
        let mut counts = a.counts.clone();
        counts.iter_mut().flatten().zip(b.counts.iter().flatten()).for_each(|(x, y)| *x += y);
        run(a.classes + b.classes, counts)
    };
    // Classes without symbols go with the class before them, the first ones with the first class that has some.
    let mut runs: Vec<ClassRun> = Vec::new();
    let mut empty = 0;
    for counts in counts.chunks(places) {
        match runs.last_mut() {
            _ if counts.iter().flatten().any(|c| *c > 0) => {
                runs.push(run(1 + std::mem::take(&mut empty), counts.to_vec()));
            }
            Some(last) => last.classes += 1,
            None => empty += 1,
        }
    }
    if runs.is_empty() && empty > 0 {
        runs.push(run(empty, vec![[0; 256]; places]));
    }
    // What joining each run with the next one would give.
    let mut joined: Vec<ClassRun> = runs.windows(2).map(|w| both(&w[0], &w[1])).collect();
    while runs.len() > 1 {
        let gain = |i: &usize| runs[*i].cost as i64 + runs[i + 1].cost as i64 - joined[*i].cost as i64;
        let Some(i) = (0..joined.len()).max_by_key(|i| (gain(i), usize::MAX - i)) else { break };
        if gain(&i) <= 0 && runs.len() <= most {
            break;
        }
        runs[i] = joined.remove(i);
        runs.remove(i + 1);
        if i > 0 {
            joined[i - 1] = both(&runs[i - 1], &runs[i]);
        }
        if i + 1 < runs.len() {
            joined[i] = both(&runs[i], &runs[i + 1]);
        }
    }
    runs
}
