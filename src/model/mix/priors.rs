//! Priors: the starting points of predictors, taken from the state of a trained predictor.

use super::apm::{HALF, counter};
use super::context::MAX_CONTEXTS;
use super::matcher::COUNTERS;
use super::mixer::{FAMILIES, FINALS, LANES, Row, Short, VECTORS, WIDTH};
use super::state::STATES;

/// The number of rows in each family of the mixer's first layer.
pub const SIZES: [usize; FAMILIES] = [256, 256, 384, 256, 2048];
/// The indices of the guess's two inputs in the first vector.
const GUESS: [usize; 2] = [5, 14];
/// The number of values in a row.
const INPUTS: usize = LANES * VECTORS;
/// The number of 16-bit values in the maps, and in a whole learned state: maps, counters, rows, second layer.
const MAPS: usize = MAX_CONTEXTS * 256;
pub const VALUES: usize = MAPS + 2 * COUNTERS + rows() * INPUTS + FINALS * WIDTH;

/// The number of rows of all families together.
const fn rows() -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < FAMILIES {
        sum += SIZES[i];
        i += 1;
    }
    sum
}

/// The starting point of a predictor.
#[derive(Clone)]
pub struct Priors {
    /// The 22-bit probabilities, by context and state.
    pub maps: Vec<u32>,
    /// The counters of the two match models.
    pub counters: Vec<u32>,
    /// The first layer's rows of weights, family after family.
    pub rows: Vec<Row>,
    /// The second layer's rows of weights.
    pub finals: Vec<Short>,
}

impl Priors {
    /// The starting point for kinds that have no learned one: maps give the share of ones in a history, and
    /// the mixer's weights are equal.
    pub fn untrained() -> Self {
        let mut row = [0; 256];
        for (c, [zeros, ones]) in row.iter_mut().zip(STATES.counts) {
            let (a, b) = (u32::from(zeros) * 2 + 1, u32::from(ones) * 2 + 1);
            *c = (1 << 22) / (a + b) * b;
        }
        row[0] = HALF;
        let mut last = Short([0; WIDTH]);
        last.0[..FAMILIES].fill((16384 / FAMILIES) as i16);
        let mut first = Row::splat(0);
        for (i, w) in first.0.as_flattened_mut().iter_mut().enumerate() {
            *w = if i < 16 || i % 2 == 0 { 3000 } else { 0 };
        }
        Self {
            maps: row.repeat(MAX_CONTEXTS),
            counters: vec![counter(52000); 2 * COUNTERS],
            rows: vec![first; rows()],
            finals: vec![last; FINALS],
        }
    }

    /// A starting point for guided text where no learned one exists, made from that of unguided text: the
    /// guess leads, and what text has learned counts half.
    pub fn guided(&self) -> Self {
        let mut priors = self.clone();
        for row in &mut priors.rows {
            row.0.as_flattened_mut().iter_mut().for_each(|w| *w /= 2);
            row.0[0][GUESS[0]] = 9000;
            row.0[0][GUESS[1]] = 0;
        }
        priors
    }

    /// Reads a learned state of little-endian 16-bit values. Maps and counters are stored as the upper 16
    /// bits of their probabilities. `None` for bytes of another length.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (values, rest) = bytes.as_chunks::<2>();
        if values.len() != VALUES || !rest.is_empty() {
            return None;
        }
        let (maps, values) = values.split_at(MAPS);
        let (counters, values) = values.split_at(2 * COUNTERS);
        let (rows, finals) = values.split_at(rows() * INPUTS);
        let wide = |v: &[u8; 2]| u32::from(u16::from_le_bytes(*v));
        let row = |v: &[[u8; 2]]| {
            Row(std::array::from_fn(|i| std::array::from_fn(|j| i16::from_le_bytes(v[LANES * i + j]))))
        };
        Some(Self {
            maps: maps.iter().map(|v| wide(v) << 6).collect(),
            counters: counters.iter().map(|v| wide(v) << 16 | 100).collect(),
            rows: rows.chunks_exact(INPUTS).map(row).collect(),
            finals: finals
                .chunks_exact(WIDTH)
                .map(|v| Short(std::array::from_fn(|i| i16::from_le_bytes(v[i]))))
                .collect(),
        })
    }

    /// Gives all columns of records the mean of what the first `period` columns have learned, since the
    /// records of other files have other columns.
    pub fn level_columns(&mut self, period: usize) {
        let columns = SIZES[FAMILIES - 1] / 8;
        let used = period.clamp(1, columns);
        let mean =
            |values: &mut dyn Iterator<Item = i16>| (values.map(i32::from).sum::<i32>() / used as i32) as i16;
        let start = self.rows.len() - SIZES[FAMILIES - 1];
        let rows = &mut self.rows[start..];
        for bit in 0..8 {
            let mut row = Row::splat(0);
            for (i, w) in row.0.as_flattened_mut().iter_mut().enumerate() {
                *w = mean(&mut (0..used).map(|s| rows[s * 8 + bit].0.as_flattened()[i]));
            }
            (0..columns).for_each(|s| rows[s * 8 + bit] = row);
        }
        let row = std::array::from_fn(|i| mean(&mut self.finals[..used].iter().map(|row| row.0[i])));
        self.finals[..columns].fill(Short(row));
    }

    /// The bytes that [`Priors::parse`] reads. Weights are rounded to multiples of 64, so that the files
    /// compress well.
    pub fn to_bytes(&self) -> Vec<u8> {
        let round = |w: i16| (w.saturating_add(32) & !63) as u16;
        let maps = self.maps.iter().map(|&p| (p >> 6) as u16);
        let counters = self.counters.iter().map(|&c| (c >> 16) as u16);
        let rows = self.rows.iter().flat_map(|r| r.0.as_flattened()).map(|&w| round(w));
        let finals = self.finals.iter().flat_map(|r| r.0).map(round);
        maps.chain(counters).chain(rows).chain(finals).flat_map(u16::to_le_bytes).collect()
    }
}
