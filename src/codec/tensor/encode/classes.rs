//! Chooses tables by classes that each group stores: which of several tables codes a group's elements best.
//!
//! A *cell* is the part of a group that has one class: the elements of one of its stripes.

use super::field_parts::FieldParts;
use crate::codec::tensor::kernel::histogram;
use crate::codec::tensor::predictor::repeat_classes;
use crate::codec::tensor::stored::{Context, FieldParams, MAX_TABLES};
use crate::coder::rans::Freqs;

/// The numbers of tables that are tried where time allows.
const CHOICES: [usize; 4] = [16, 8, 4, 2];
/// The weight that the symbols of all cells get in each table of a sample, which has not seen every symbol.
const PRIOR: u32 = 32;

/// How much is tried to find tables.
struct Search {
    /// The numbers of tables that are tried; of equal ones, the first is taken.
    choices: &'static [usize],
    /// The most symbols that are looked at, but for the least number of cells.
    symbols: usize,
    /// The most and the least cells that are looked at.
    cells: (usize, usize),
    /// How many times the cells of a sample are reassigned.
    rounds: usize,
}

impl Search {
    fn of(level: u8) -> Self {
        match level {
            0..=3 => Self { choices: &[8, 2], symbols: 1 << 13, cells: (1 << 11, 1 << 8), rounds: 3 },
            4..=6 => Self { choices: &CHOICES, symbols: 1 << 15, cells: (1 << 11, 1 << 9), rounds: 4 },
            _ => Self { choices: &CHOICES, symbols: usize::MAX, cells: (1 << 11, 1 << 11), rounds: 6 },
        }
    }

    /// Takes cells at equal distances from those of all tiles.
    fn sample(&self, tiles: &[&mut FieldParts], per: usize, stripes: usize) -> Vec<Vec<u8>> {
        let groups: usize = tiles.iter().map(|t| t.symbols.len() / per).sum();
        let (most, least) = self.cells;
        let wanted = (self.symbols / (per / stripes).max(1)).clamp(least, most);
        let step = (groups * stripes).div_ceil(wanted).max(1);
        (0..stripes)
            .flat_map(|s| tiles.iter().flat_map(move |t| t.symbols.chunks_exact(per).map(move |g| (g, s))))
            .step_by(step)
            .map(|(group, s)| group.iter().skip(s).step_by(stripes).copied().collect())
            .collect()
    }
}

/// Gives a field classes of `stripes` stripes where that is smaller than its single table. `tiles` holds the
/// field's parts in all tiles.
pub fn choose_by_classes(field: &mut FieldParams, tiles: &mut [&mut FieldParts], stripes: usize, level: u8) {
    let (per, search) = (field.per_group(), Search::of(level));
    let [alone] = &field.tables[..] else { return };
    let before = alone.stored_cost() + alone.cost(&histogram(tiles.iter().map(|t| &t.symbols[..])));
    let sample = search.sample(tiles, per, stripes);
    let found = search.choices.iter().map(|n| learn(&sample, *n, search.rounds));
    let Some(costs) = found.min_by_key(|f| f.1).map(|f| f.0) else { return };
    let mut by_class = vec![[0u32; 256]; costs.tables];
    let mut sorted: Vec<Vec<u8>> = Vec::new();
    let mut cell = Vec::new();
    for t in tiles.iter() {
        let mut classes = Vec::with_capacity(t.symbols.len() / per * stripes);
        for group in t.symbols.chunks_exact(per) {
            for s in 0..stripes {
                let symbols = if stripes == 1 {
                    group
                } else {
                    cell.clear();
                    cell.extend(group.iter().skip(s).step_by(stripes));
                    &cell[..]
                };
                let class = costs.cheapest(symbols);
                let counts = &mut by_class[class];
                symbols.iter().for_each(|x| counts[usize::from(*x)] += 1);
                classes.push(class as u8);
            }
        }
        sorted.push(classes);
    }
    let classes = histogram(sorted.iter().map(|c| &c[..]));
    let freqs = Freqs::from_counts(&classes);
    let tables: Vec<Freqs> = by_class.iter().map(Freqs::from_counts).collect();
    let with = |t: &Freqs, c: &[u32; 256]| t.cost(c) + t.stored_cost();
    let after = tables.iter().zip(&by_class).map(|(t, c)| with(t, c)).sum::<u64>() + with(&freqs, &classes);
    if after >= before {
        return;
    }
    for (t, classes) in tiles.iter_mut().zip(sorted) {
        t.contexts.clear();
        repeat_classes(&classes, stripes, per, &mut t.contexts);
        t.classes = classes;
    }
    (field.context, field.tables) = (Context::Classes { stripes, freqs: Box::new(freqs) }, tables);
}

/// What symbols cost with each of some tables, while classes are learned.
struct Costs {
    /// The number of tables.
    tables: usize,
    /// The cost of each symbol with each table, in 1/256 bits: 16 bits at most.
    symbols: Vec<[u16; MAX_TABLES]>,
    /// The cost of saying that a cell has a class, in 1/256 bits.
    choice: [u32; MAX_TABLES],
}

impl Costs {
    /// The most symbols whose costs together fit 16 bits.
    const PART: usize = 15;

    /// The costs with these tables, each of which codes so many cells.
    fn new(tables: &[(Freqs, u32)]) -> Self {
        let mut shares = [0; 256];
        shares.iter_mut().zip(tables).for_each(|(s, t)| *s = t.1);
        let shares = Freqs::from_counts(&shares);
        let mut costs =
            Self { tables: tables.len(), symbols: vec![[0; MAX_TABLES]; 256], choice: [0; MAX_TABLES] };
        for (k, (table, _)) in tables.iter().enumerate() {
            costs.choice[k] = shares.cost_of(k as u8);
            for (symbol, cost) in (0..=255).zip(&mut costs.symbols) {
                cost[k] = table.cost_of(symbol) as u16;
            }
        }
        costs
    }

    /// The table that codes these symbols at the least cost; of equal ones, the first.
    fn cheapest(&self, symbols: &[u8]) -> usize {
        let mut sums = self.choice;
        for part in symbols.chunks(Self::PART) {
            let mut of_part = [0u16; MAX_TABLES];
            for s in part {
                for (sum, cost) in of_part.iter_mut().zip(&self.symbols[usize::from(*s)]) {
                    *sum += cost;
                }
            }
            sums.iter_mut().zip(of_part).for_each(|(sum, part)| *sum += u32::from(part));
        }
        (0..self.tables).min_by_key(|k| sums[*k]).unwrap_or(0)
    }
}

/// Finds up to `most` tables for a sample of cells, and the cost of the cells with them, in the manner of
/// k-means: tables are made from the cells of each class, cells move to the class that codes them at the
/// least cost, and so on as long as that helps.
fn learn(sample: &[Vec<u8>], most: usize, rounds: usize) -> (Costs, u64) {
    let all = histogram(sample.iter().map(|c| &c[..]));
    let sum: u64 = all.iter().map(|c| u64::from(*c)).sum::<u64>().max(1);
    let prior = all.map(|c| ((u64::from(c) * u64::from(PRIOR)).div_ceil(sum)) as u32);
    let mut classes = first_classes(sample, most);
    let mut best = (Costs::new(&[]), u64::MAX);
    for _ in 0..rounds {
        // The symbols and the number of cells of each class.
        let mut counts = vec![(prior, 0u32); most];
        for (cell, class) in sample.iter().zip(&classes) {
            let (symbols, cells) = &mut counts[*class];
            *cells += 1;
            cell.iter().for_each(|s| symbols[usize::from(*s)] += 1);
        }
        counts.retain(|c| c.1 > 0);
        let tables: Vec<_> = counts.iter().map(|(symbols, n)| (Freqs::from_counts(symbols), *n)).collect();
        let costs = Costs::new(&tables);
        let with = |((t, n), c): (&(Freqs, u32), u32), symbols: &[u32; 256]| {
            t.cost(symbols) + t.stored_cost() + u64::from(*n) * u64::from(c)
        };
        let pairs = tables.iter().zip(costs.choice).zip(&counts);
        let cost = pairs.map(|(table, (symbols, _))| with(table, symbols)).sum();
        if cost >= best.1 {
            break;
        }
        classes = sample.iter().map(|c| costs.cheapest(c)).collect();
        best = (costs, cost);
    }
    best
}

/// The classes from which learning starts: by the mean of each cell, and among cells of similar means by how
/// far their symbols lie from it.
fn first_classes(sample: &[Vec<u8>], most: usize) -> Vec<usize> {
    let by_mean = if most > 4 { most / 4 } else { most };
    let by_width = most / by_mean;
    // Where most symbols are small or large bytes, they are signed numbers around 0.
    let all = sample.iter().flatten();
    let (outer, inner) =
        all.fold((0, 0), |(o, i), s| if (64..192).contains(s) { (o, i + 1) } else { (o + 1, i) });
    let low = sample.iter().flatten().all(|s| *s < 64);
    let signed = outer > inner && !low;
    let value = |s: u8| if signed { i64::from(s as i8) } else { i64::from(s) };
    let features: Vec<(i64, i64)> = sample
        .iter()
        .map(|cell| {
            let n = cell.len().max(1) as i64;
            let mean = cell.iter().map(|s| 16 * value(*s)).sum::<i64>() / n;
            (mean, cell.iter().map(|s| (16 * value(*s) - mean).abs()).sum::<i64>() / n)
        })
        .collect();
    let mut order: Vec<usize> = (0..sample.len()).collect();
    order.sort_by_key(|i| features[*i]);
    let mut classes = vec![0; sample.len()];
    for (m, part) in order.chunks_mut(sample.len().div_ceil(by_mean).max(1)).enumerate() {
        part.sort_by_key(|i| features[*i].1);
        let len = part.len().div_ceil(by_width).max(1);
        for (w, cells) in part.chunks(len).enumerate() {
            cells.iter().for_each(|i| classes[*i] = m * by_width + w);
        }
    }
    classes
}
