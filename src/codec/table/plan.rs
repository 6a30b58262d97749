//! Decides how the encoder stores each column. Nothing here is part of the format.
//!
//! Every choice compares integers that come from counts, so it is the same on every machine.

use super::cells::{self, Style};
use super::predict::{self, Series};
use super::schema::{Column, MAX_LOW, MAX_SYMBOLS, Numbers, Prediction, Values};
use crate::coder::log2::log2;
use std::collections::HashMap;

/// At most one row in this many may have a cell for which its column has no symbol.
const RARE: usize = 50;
/// One bit per row, in the fixed-point units in which costs are compared.
const ONE: u64 = 1 << FRACTION;
const FRACTION: u32 = 16;
/// The bits per row that a prediction from the row before must save.
const PREVIOUS_GAIN: u64 = ONE / 4;
/// The bits per row that a prediction from other columns must save.
const TERMS_GAIN: u64 = ONE / 2;
/// The correction of an entropy for each symbol after the first, in total, not per row: log2(e) / 2 bits
/// (Miller and Madow). Without it, counts of few samples give too low an entropy.
const UNSEEN: u64 = 47_274;
/// The most entries of a list; one symbol is reserved for cells that are not in it.
const LISTED: usize = MAX_SYMBOLS - 1;

/// The statistics of one column.
pub struct Profile {
    /// For each row, the index of its cell in the list of distinct cells. It stops early in a column with
    /// more than [`MAX_DIFFERENT`] of these; such a column is left to the text.
    ids: Vec<u32>,
    /// How often each distinct cell occurs, in the order of first occurrence.
    counts: Vec<u32>,
    cells: Vec<Vec<u8>>,
    /// The column's numbers, if nearly all of its cells are numbers.
    pub series: Option<Series>,
    style: Option<Style>,
    /// The number of rows whose cell differs from that of the row before.
    changes: usize,
}

const MAX_DIFFERENT: usize = 1 << 20;

impl Profile {
    /// Gathers the statistics of a column, given its cells from the first row to the last.
    pub fn new(column: &[&[u8]]) -> Self {
        let mut index: HashMap<&[u8], u32> = HashMap::new();
        let (mut ids, mut counts, mut cells) = (Vec::with_capacity(column.len()), Vec::new(), Vec::new());
        for &cell in column {
            let id = *index.entry(cell).or_insert_with(|| {
                counts.push(0);
                cells.push(cell.to_vec());
                counts.len() as u32 - 1
            });
            counts[id as usize] += 1;
            ids.push(id);
            if counts.len() > MAX_DIFFERENT {
                break;
            }
        }
        let changes = ids.windows(2).filter(|w| w[0] != w[1]).count();
        let mut profile = Self { ids, counts, cells, series: None, style: None, changes };
        if profile.ids.len() == column.len() {
            profile.find_numbers();
        }
        profile
    }

    fn find_numbers(&mut self) {
        // A single cell written in another style must not spoil the style of the column.
        let common = self.counts.iter().copied().max().unwrap_or(0).min(2);
        let number = |cell: &[u8]| cells::style_of(std::iter::once(cell)).is_some();
        let usual = self.cells.iter().zip(&self.counts).filter(|(cell, c)| **c >= common && number(cell));
        let usual = usual.map(|(cell, _)| &cell[..]);
        let Some(style) = cells::style_of(usual) else { return };
        let numbers: Vec<Option<i64>> = self.cells.iter().map(|c| cells::parse(c, style)).collect();
        let missing: u64 =
            numbers.iter().zip(&self.counts).filter(|(n, _)| n.is_none()).map(|(_, &c)| u64::from(c)).sum();
        if missing * RARE as u64 <= self.ids.len() as u64 {
            self.style = Some(style);
            self.series = Some(Series::new(self.ids.iter().map(|&i| numbers[i as usize])));
        }
    }

    /// Whether the column has the same cell in all rows.
    fn constant(&self) -> bool {
        self.counts.len() == 1
    }

    /// The most common cells, as many as fit into a list beside the symbol for "as before", and the number of
    /// rows that have one of them.
    fn listed(&self) -> (Vec<u32>, u64) {
        let mut order: Vec<u32> = (0..self.counts.len() as u32).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(self.counts[i as usize]), i));
        order.truncate(LISTED - 1);
        let rows = order.iter().map(|&i| u64::from(self.counts[i as usize])).sum();
        (order, rows)
    }

    fn as_values(&self, previous: bool) -> Option<Column> {
        let (mut order, rows) = self.listed();
        if (self.ids.len() as u64 - rows) * RARE as u64 > self.ids.len() as u64 {
            return None;
        }
        // In rising order if the cells are numbers, so that neighbouring symbols resemble each other.
        let number = |i: u32| self.style.and_then(|s| cells::parse(&self.cells[i as usize], s));
        order.sort_by_key(|&i| (number(i), i));
        let values = order.iter().map(|&i| self.cells[i as usize].clone()).collect();
        Some(Column::Values(Values { values, previous, escape: true }))
    }

    /// The entropy of a cell by itself, and with one symbol that means "as in the row before".
    fn bits(&self) -> (u64, u64) {
        let plain = entropy(self.counts.iter().copied());
        let mut changed = vec![0u32; self.counts.len()];
        self.ids.windows(2).filter(|w| w[0] != w[1]).for_each(|w| changed[w[1] as usize] += 1);
        let same = (self.ids.len() - self.changes) as u32;
        let after = entropy(changed.into_iter().chain([same]));
        (plain, after)
    }
}

/// The entropy of a symbol with these counts, in units of 2^−[`FRACTION`] bits.
fn entropy(counts: impl Iterator<Item = u32>) -> u64 {
    let (mut total, mut sum, mut different) = (0u32, 0u64, 0u64);
    for c in counts.filter(|&c| c > 0) {
        (total, different) = (total + c, different + 1);
        sum += u64::from(c) * u64::from(log2(c, FRACTION));
    }
    if total == 0 {
        return 0;
    }
    let n = u64::from(total);
    (n * u64::from(log2(total, FRACTION)) - sum + (different - 1) * UNSEEN) / n
}

/// How often each number occurs.
fn tally(numbers: impl Iterator<Item = i64>) -> HashMap<i64, u32> {
    let mut counts = HashMap::new();
    numbers.for_each(|n| *counts.entry(n).or_insert(0) += 1);
    counts
}

/// How to code these numbers by a list: the fewest low bits, coded apart, for which a list of values above
/// them covers nearly all rows, and that list. `None` where more than [`MAX_LOW`] low bits would be needed.
fn digits(above: &[i64]) -> Option<(u8, Vec<i64>)> {
    let mut low = 0;
    while low <= MAX_LOW {
        let counts = tally(above.iter().map(|a| a >> low));
        let mut order: Vec<(i64, u32)> = counts.into_iter().collect();
        order.sort_by_key(|&(h, c)| (std::cmp::Reverse(c), h));
        order.truncate(LISTED);
        let rows: u64 = order.iter().map(|&(_, c)| u64::from(c)).sum();
        if (above.len() as u64 - rows) * RARE as u64 <= above.len() as u64 {
            let mut high: Vec<i64> = order.into_iter().map(|(h, _)| h).collect();
            high.sort_unstable();
            return Some((low, high));
        }
        low += 1;
    }
    None
}

fn numbers(style: Style, above: &[i64], prediction: Prediction) -> Option<Column> {
    let (low, high) = digits(above)?;
    Some(Column::Numbers(Numbers { style, prediction, low, high, escape: true }))
}

fn number_bits(above: &[i64]) -> u64 {
    let mut counts: Vec<(i64, u32)> = tally(above.iter().copied()).into_iter().collect();
    counts.sort_unstable();
    entropy(counts.into_iter().map(|(_, c)| c))
}

/// The ways to store all columns that are worth trying. The first leaves least to the text.
pub fn plans(profiles: &[Profile]) -> Vec<Vec<Column>> {
    let mut columns: Vec<(Column, u64)> = profiles.iter().map(simple).collect();
    predict_numbers(profiles, &mut columns);
    let all: Vec<Column> = columns.into_iter().map(|(c, _)| c).collect();
    let less = without_governed(profiles, &all);
    let mut plans = vec![all];
    plans.extend(less);
    plans
}

/// The best way to store a column that uses no other column, and its cost per row.
fn simple(p: &Profile) -> (Column, u64) {
    let text = (Column::Text, u64::MAX);
    if p.ids.is_empty() || p.counts.len() > MAX_DIFFERENT {
        return text;
    }
    let (plain, after) = p.bits();
    let mut best = text;
    if let Some(column) = p.as_values(false) {
        best = (column, plain);
        if after + PREVIOUS_GAIN < plain {
            best = (p.as_values(true).unwrap_or(Column::Text), after);
        }
    }
    let (Some(series), Some(style)) = (&p.series, p.style) else { return best };
    let listed = best.0 != Column::Text;
    if let Some(column) = numbers(style, &series.numbers, Prediction::None).filter(|_| !listed) {
        best = (column, plain);
    }
    let steps = series.steps();
    // A column that always rises by the same number costs nothing: its list of steps has one symbol.
    let bits = number_bits(&steps);
    if bits + PREVIOUS_GAIN < best.1 {
        let first = series.numbers[0].wrapping_sub(steps[0]);
        if let Some(column) = numbers(style, &steps, Prediction::Previous { first }) {
            best = (column, bits);
        }
    }
    best
}

/// The latest attempt to predict a column.
#[derive(Default)]
struct Tried {
    /// The candidates that it could use.
    allowed: Vec<usize>,
    fit: Option<predict::Fit>,
    /// The bits per row that it promises to save, in fixed point ([`ONE`]).
    gain: u64,
}

/// Predicts columns of numbers from others of the same row.
///
/// A decoder computes a column after those that it is predicted from, so predictions must not form a circle.
/// They are chosen greedily: the column that gains most is fixed first, and from then on no column that it
/// depends on may be predicted from it.
fn predict_numbers(profiles: &[Profile], columns: &mut [(Column, u64)]) {
    // Text columns and lists that follow from the row before take no part.
    let usable =
        |c: &Column| matches!(c, Column::Values(v) if !v.previous) || matches!(c, Column::Numbers(_));
    let candidates: Vec<usize> = (0..columns.len())
        .filter(|&c| {
            profiles[c].series.is_some() && usable(&columns[c].0) && columns[c].1 > ONE
                || is_delta(&columns[c].0)
        })
        .take(predict::MOST_COLUMNS)
        .collect();
    if candidates.len() < 2 {
        return;
    }
    let series: Vec<&Series> = candidates.iter().filter_map(|&c| profiles[c].series.as_ref()).collect();
    // For each candidate, the candidates that it is predicted from, as indices.
    let mut uses: Vec<Vec<usize>> = vec![Vec::new(); candidates.len()];
    let mut found: Vec<Option<(Vec<i64>, Prediction)>> = vec![None; candidates.len()];
    let mut open: Vec<usize> = (0..candidates.len()).collect();
    let mut tried: Vec<Tried> = (0..candidates.len()).map(|_| Tried::default()).collect();
    loop {
        for &i in &open {
            let allowed: Vec<usize> =
                (0..candidates.len()).filter(|&j| j != i && !reaches(&uses, j, i)).collect();
            if tried[i].allowed != allowed {
                let fit = predict::fit(&series, i, &allowed);
                let bits = fit.as_ref().map_or(u64::MAX, |f| number_bits(&f.above));
                tried[i] = Tried { gain: columns[candidates[i]].1.saturating_sub(bits), allowed, fit };
            }
        }
        let best = open.iter().copied().max_by_key(|&i| tried[i].gain);
        let Some(i) = best.filter(|&i| tried[i].gain > TERMS_GAIN) else { break };
        let Some(fit) = tried[i].fit.take() else { break };
        open.retain(|&o| o != i);
        uses[i] = fit.uses();
        found[i] = Some((fit.above.clone(), fit.prediction(&candidates)));
    }
    let turns = turns(&uses);
    for (i, f) in found.into_iter().enumerate() {
        let c = candidates[i];
        let (Some((above, mut prediction)), Some(style)) = (f, profiles[c].style) else { continue };
        if let Prediction::Terms { turn, .. } = &mut prediction {
            *turn = turns[i];
        }
        if let Some(column) = numbers(style, &above, prediction) {
            let bits = number_bits(&above);
            columns[c] = (column, bits);
        }
    }
    make_numbers(profiles, columns);
}

fn is_delta(c: &Column) -> bool {
    matches!(c, Column::Numbers(Numbers { prediction: Prediction::Previous { .. }, .. }))
}

/// The columns that a column is predicted from; a column may occur more than once.
fn factors(c: &Column) -> Vec<usize> {
    match c {
        Column::Numbers(Numbers { prediction: Prediction::Terms { terms, .. }, .. }) => {
            terms.iter().flat_map(|t| t.factors.iter().copied()).collect()
        }
        _ => Vec::new(),
    }
}

/// Stores as numbers those columns that others are predicted from, as the format demands.
fn make_numbers(profiles: &[Profile], columns: &mut [(Column, u64)]) {
    let used: Vec<usize> = columns.iter().flat_map(|(c, _)| factors(c)).collect();
    let mut lost = false;
    for c in used {
        if matches!(columns[c].0, Column::Numbers(_)) {
            continue;
        }
        let p = &profiles[c];
        let made = p
            .series
            .as_ref()
            .zip(p.style)
            .and_then(|(s, style)| numbers(style, &s.numbers, Prediction::None));
        lost |= made.is_none();
        columns[c].0 = made.unwrap_or(Column::Text);
    }
    if lost {
        // Rare: a column fits as a list of cells but not as numbers. Then all predictions are dropped.
        for (c, column) in columns.iter_mut().enumerate() {
            if column.0.turn() > 0 {
                *column = simple(&profiles[c]);
            }
        }
    }
}

/// Whether `from` is predicted from `to`, directly or through other columns.
fn reaches(uses: &[Vec<usize>], from: usize, to: usize) -> bool {
    uses[from].iter().any(|&u| u == to || reaches(uses, u, to))
}

fn turns(uses: &[Vec<usize>]) -> Vec<u8> {
    fn turn(uses: &[Vec<usize>], i: usize) -> u8 {
        uses[i].iter().map(|&u| turn(uses, u) + 1).max().unwrap_or(0)
    }
    (0..uses.len()).map(|i| turn(uses, i)).collect()
}

/// The same plan with more columns left to the text: those that change almost only where a column of text
/// changes. `mix` sees them next to that column and codes them almost for free. `None` where there are no
/// such columns.
fn without_governed(profiles: &[Profile], all: &[Column]) -> Option<Vec<Column>> {
    let rows = profiles.first()?.ids.len();
    let mut moves = vec![false; rows];
    for (p, c) in profiles.iter().zip(all) {
        if *c == Column::Text && p.ids.len() == rows && p.changes * 2 < rows {
            p.ids.windows(2).enumerate().filter(|(_, w)| w[0] != w[1]).for_each(|(i, _)| moves[i + 1] = true);
        }
    }
    let governed = |p: &Profile| {
        let with = p.ids.windows(2).enumerate().filter(|(i, w)| w[0] != w[1] && moves[i + 1]).count();
        !p.constant() && p.ids.len() == rows && with * 10 >= p.changes * 9
    };
    let used: Vec<usize> = all.iter().flat_map(factors).collect();
    let mut less = all.to_vec();
    for (i, (p, c)) in profiles.iter().zip(&mut less).enumerate() {
        if c.turn() == 0 && !used.contains(&i) && c.variables() > 0 && governed(p) {
            *c = Column::Text;
        }
    }
    (less != all).then_some(less)
}
