//! Chooses tables by classes that each group stores: which of several tables codes a group's elements best.
//!
//! A *cell* is the part of a group that has one class: the elements of one of its stripes.

use super::field_parts::FieldParts;
use crate::codec::tensor::kernel::histogram;
use crate::codec::tensor::predictor::repeat_classes;
use crate::codec::tensor::stored::{Context, FieldParams, MAX_TABLES};
use crate::coder::rans::Freqs;

/// The number of cells that are looked at to find tables.
const SAMPLE: usize = 1 << 11;
/// How many times the cells of a sample are reassigned.
const ROUNDS: usize = 6;
/// The numbers of tables that are tried.
const CHOICES: [usize; 4] = [16, 8, 4, 2];
/// The weight that the symbols of all cells get in each table of a sample, which has not seen every symbol.
const PRIOR: u32 = 32;

/// The cost of each symbol with each table, in 1/256 bits.
type Costs = Vec<[u16; MAX_TABLES]>;

/// Gives a field classes of `stripes` stripes where that is smaller than its single table. `tiles` holds the
/// field's parts in all tiles.
pub fn choose_by_classes(field: &mut FieldParams, tiles: &mut [&mut FieldParts], stripes: usize) {
    let per = field.per_group();
    let cells: usize = tiles.iter().map(|t| t.symbols.len() / per * stripes).sum();
    let [alone] = &field.tables[..] else { return };
    let before = alone.stored_cost() + alone.cost(&histogram(tiles.iter().map(|t| &t.symbols[..])));
    let step = cells.div_ceil(SAMPLE).max(1);
    let sample: Vec<Vec<u8>> = (0..stripes)
        .flat_map(|s| tiles.iter().flat_map(move |t| t.symbols.chunks_exact(per).map(move |g| (g, s))))
        .step_by(step)
        .map(|(group, s)| group.iter().skip(s).step_by(stripes).copied().collect())
        .collect();
    let Some(tables) = CHOICES.iter().map(|n| learn(&sample, *n)).min_by_key(|f| f.1).map(|f| f.0) else {
        return;
    };
    let costs = costs(&tables);
    let mut by_class = vec![[0u32; 256]; tables.len()];
    let mut sorted: Vec<Vec<u8>> = Vec::new();
    for t in tiles.iter() {
        let mut classes = Vec::with_capacity(t.symbols.len() / per * stripes);
        for group in t.symbols.chunks_exact(per) {
            for s in 0..stripes {
                let class = cheapest(&costs, &tables, group.iter().skip(s).step_by(stripes).copied());
                let counts = &mut by_class[class];
                group.iter().skip(s).step_by(stripes).for_each(|x| counts[usize::from(*x)] += 1);
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

/// The table of a class, while classes are learned.
struct ClassTable {
    freqs: Freqs,
    /// The cost of saying that a cell has the class, in 1/256 bits.
    choice_cost: u64,
}

fn costs(tables: &[ClassTable]) -> Costs {
    let mut costs = vec![[u16::MAX; MAX_TABLES]; 256];
    for (k, table) in tables.iter().enumerate() {
        for (symbol, cost) in (0..=255).zip(costs.iter_mut()) {
            cost[k] = table.freqs.cost_of(symbol) as u16;
        }
    }
    costs
}

/// The table that codes these symbols at the least cost; of equal ones, the first.
fn cheapest(costs: &Costs, tables: &[ClassTable], symbols: impl Iterator<Item = u8>) -> usize {
    let mut sums = [0u32; MAX_TABLES];
    for s in symbols {
        for (sum, cost) in sums.iter_mut().zip(&costs[usize::from(s)]) {
            *sum += u32::from(*cost);
        }
    }
    let total = |k: &usize| u64::from(sums[*k]) + tables[*k].choice_cost;
    (0..tables.len()).min_by_key(total).unwrap_or(0)
}

/// Finds up to `most` tables for a sample of cells, and the cost of the cells with them, in the manner of
/// k-means: tables are made from the cells of each class, cells move to the class that codes them at the
/// least cost, and so on as long as that helps.
fn learn(sample: &[Vec<u8>], most: usize) -> (Vec<ClassTable>, u64) {
    let all = histogram(sample.iter().map(|c| &c[..]));
    let sum: u64 = all.iter().map(|c| u64::from(*c)).sum::<u64>().max(1);
    let prior = all.map(|c| ((u64::from(c) * u64::from(PRIOR)).div_ceil(sum)) as u32);
    let mut classes = first_classes(sample, most);
    let mut best = (Vec::new(), u64::MAX);
    for _ in 0..ROUNDS {
        // The symbols and the number of cells of each class.
        let mut counts = vec![(prior, 0u64); most];
        for (cell, class) in sample.iter().zip(&classes) {
            counts[*class].1 += 1;
            cell.iter().for_each(|s| counts[*class].0[usize::from(*s)] += 1);
        }
        let used: Vec<_> = counts.iter().filter(|c| c.1 > 0).collect();
        let mut shares = [0; 256];
        shares.iter_mut().zip(&used).for_each(|(s, c)| *s = c.1 as u32);
        let shares = Freqs::from_counts(&shares);
        let table = |(k, c): (usize, &&([u32; 256], u64))| ClassTable {
            freqs: Freqs::from_counts(&c.0),
            choice_cost: shares.cost_of(k as u8).into(),
        };
        let tables: Vec<ClassTable> = used.iter().enumerate().map(table).collect();
        let mut cost: u64 =
            used.iter().zip(&tables).map(|(c, t)| t.freqs.cost(&c.0) + c.1 * t.choice_cost).sum();
        cost += tables.iter().map(|t| t.freqs.stored_cost()).sum::<u64>();
        if cost >= best.1 {
            break;
        }
        let costs = costs(&tables);
        classes = sample.iter().map(|c| cheapest(&costs, &tables, c.iter().copied())).collect();
        best = (tables, cost);
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
