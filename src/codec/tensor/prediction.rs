//! How the encoder learns to predict numbers from those before them in their row. Not part of the format.
//!
//! Sums are integers. What is fitted to them are doubles, in a fixed order and with operations that every machine rounds
//! alike; what is stored are integers again, and sizes decide whether they are used.

use super::Hint;
use super::encode::Work;
use super::low_bits::Form;
use super::params::{Context, FOLDED, Field, MAX_PREDICTED_TABLES, Transform};
use super::plan::{join, join_rows};
use super::predict::{INTERVALS, MAX_ROW, Prediction, Predictor, coefficients, turn};
use crate::coder::rans::Freqs;
use crate::kernel::Kernel;
use crate::tensor::Dtype;
use crate::tensor::decimal::Decimal;
use rayon::prelude::*;
use std::f64::consts::SQRT_2;
use std::ops::Range;

/// Deviation of the numbers that symbols stand for, in units of these.
const UNIT: f64 = 4096.0;
/// Rows whose products are added up before the sums get more bits, and most size of the numbers then.
const BATCH: usize = 512;
const LARGEST: i32 = 2047;
/// Deviation of these numbers.
const SMALL_UNIT: f64 = 256.0;
/// Most coefficients.
const COEFFICIENTS: usize = 1 << 17;
/// Fewest rows that are worth the work.
const ROWS: usize = 64;
/// Symbols of a row from which on it has a size of its own.
const WIDE: usize = 64;
/// Deviations that the intervals of predictions cover on each side.
const SPAN: f64 = 2.5;
/// Classes of rows and columns to an octave of their size.
const CLASSES: f64 = 4.0;

/// The numeric value that each symbol stands for, about; `None` where numbers have no values that are known.
fn values(field: &Field, dtype: Dtype) -> Option<[f64; 256]> {
    let decimal =
        if let Transform::Decimal(digits) = field.transform { Some(Decimal::new(digits)) } else { None };
    let form = Form::new(field, 0);
    let half = (1u64 << field.low_bits) >> 1;
    let mut values = [0.0; 256];
    for (symbol, value) in values.iter_mut().enumerate() {
        let top = match symbol as u64 {
            s if s < field.fold.into() => field.base.wrapping_add(FOLDED * s + FOLDED / 2),
            s => field.direct().wrapping_add(s),
        };
        let bits = form.bits((top << field.low_bits).wrapping_add(half));
        let found = match (&decimal, &field.transform) {
            (Some(d), _) => {
                let (rank, sign) = (bits as u32 >> 1, bits as u32 & 1);
                let size = if rank < d.ranks() { f32::from_bits(d.number(rank)) } else { 0.0 };
                f64::from(if sign == 1 { -size } else { size })
            }
            (_, Transform::Palette(values)) => float(dtype, values.get(symbol).copied().unwrap_or(0))?,
            _ => float(dtype, bits)?,
        };
        *value = if found.is_finite() { found } else { 0.0 };
    }
    Some(values)
}

/// The number with these bits.
fn float(dtype: Dtype, bits: u64) -> Option<f64> {
    let (exponent_bits, mantissa_bits) = match dtype {
        Dtype::F16 => (5, 10),
        Dtype::Bf16 => (8, 7),
        Dtype::F32 | Dtype::C64 => return Some(f32::from_bits(bits as u32).into()),
        Dtype::F64 | Dtype::C128 => return Some(f64::from_bits(bits)),
        Dtype::F8E4m3 => (4, 3),
        Dtype::F8E5m2 => (5, 2),
        Dtype::I8 => return Some((bits as i8).into()),
        Dtype::U8 => return Some((bits as u8).into()),
        _ => return None,
    };
    let exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let implied = if exponent > 0 { 1 << mantissa_bits } else { 0 };
    let power = exponent.max(1) as i32 - ((1 << (exponent_bits - 1)) - 1) - mantissa_bits;
    // All of these powers are normal numbers.
    let size = (implied + mantissa) as f64 * f64::from_bits(((1023 + power) as u64) << 52);
    Some(if bits >> (exponent_bits + mantissa_bits) & 1 == 1 { -size } else { size })
}

/// A tile's symbols as columns, and its rows' classes.
struct Tile {
    symbols: Vec<u8>,
    rows: usize,
    /// Deviation of each row, in units of the stored values.
    sizes: Vec<f64>,
    classes: Vec<u8>,
}

/// Gives a field that is all there is of a row's elements this context; false where nothing can be predicted.
pub fn by_prediction(field: &mut Field, tiles: &mut [Work<'_>], hint: Hint, kernel: Kernel) -> bool {
    let row = hint.row_bytes as usize / field.element;
    let all: usize = tiles.iter().map(|t| t.fields[0].symbols.len()).sum();
    if !(2..=MAX_ROW as usize).contains(&row) || all / row < ROWS {
        return false;
    }
    let Some(values) = values(field, hint.dtype).and_then(|v| scaled(&v, tiles)) else { return false };
    let mut turned: Vec<Tile> = tiles.iter().map(|t| Tile::new(&t.fields[0].symbols, row, &values)).collect();
    let most = (1..row).rev().find(|n| coefficients(row, *n) <= COEFFICIENTS).unwrap_or(1);
    let Some((prediction, sizes)) = fit(&turned, &values, row, most) else { return false };
    let prediction = classify(prediction, &mut turned, &sizes);
    let places: Vec<Vec<u8>> = turned.par_iter().map(|tile| places(&prediction, tile, kernel)).collect();
    let mut counts = vec![[0u32; 256]; 256];
    for (tile, places) in turned.iter().zip(&places) {
        places.iter().zip(&tile.symbols).for_each(|(p, s)| counts[usize::from(*p)][usize::from(*s)] += 1);
    }
    let Some((map, tables)) = join_places(&counts) else { return false };
    for ((work, tile), mut places) in tiles.iter_mut().zip(turned).zip(places) {
        places.iter_mut().for_each(|p| *p = map[usize::from(*p)]);
        if !work.constant {
            work.fields[0].contexts = places;
            work.rows = tile.classes;
        }
    }
    field.context = Context::Predicted(Box::new(Prediction { map, ..prediction }));
    field.tables = tables;
    true
}

/// Values as they are stored: their deviation over all symbols is [`UNIT`].
fn scaled(values: &[f64; 256], tiles: &[Work<'_>]) -> Option<Box<[i16; 256]>> {
    let counts = super::encode::counts(tiles.iter().map(|t| &t.fields[0].symbols[..]));
    let (mut sum, mut n) = (0.0, 0.0);
    for (value, count) in values.iter().zip(counts) {
        sum += value * value * f64::from(count);
        n += f64::from(count);
    }
    let deviation = (sum / n).sqrt();
    if !deviation.is_normal() {
        return None;
    }
    Some(Box::new(values.map(|v| (v / deviation * UNIT).round_ties_even().clamp(-32767.0, 32767.0) as i16)))
}

impl Tile {
    fn new(symbols: &[u8], row: usize, values: &[i16; 256]) -> Self {
        let rows = symbols.len() / row;
        let mut columns = vec![0; symbols.len()];
        turn(symbols, row, &mut columns);
        // The size of a short row says as much of its numbers as these cost.
        let size = |row: &[u8]| {
            if row.len() < WIDE {
                return UNIT;
            }
            let squares = |s: &u8| i64::from(values[usize::from(*s)]).pow(2);
            (row.iter().map(squares).sum::<i64>() as f64 / row.len() as f64).sqrt()
        };
        let sizes = symbols.chunks_exact(row).map(size).collect();
        Self { symbols: columns, rows, sizes, classes: Vec::new() }
    }

    fn column(&self, column: usize) -> &[u8] {
        &self.symbols[column * self.rows..(column + 1) * self.rows]
    }

    /// The numbers of some rows of a column, in units of the sizes of row and column.
    fn numbers(&self, column: usize, rows: Range<usize>, values: &[i16; 256], size: f64) -> Vec<i16> {
        let pairs = self.column(column)[rows.clone()].iter().zip(&self.sizes[rows]);
        let number = |(s, row_size): (&u8, &f64)| match row_size * size {
            all if all > 0.0 => {
                let x = f64::from(values[usize::from(*s)]) / all * SMALL_UNIT;
                (x.round_ties_even() as i32).clamp(-LARGEST, LARGEST) as i16
            }
            _ => 0,
        };
        pairs.map(number).collect()
    }
}

/// Least squares for each column, from those of the first `most` that are before it. Also the size of what each column leaves,
/// in units of the values and of the row's size, and last the deviation of all predictions.
fn fit(tiles: &[Tile], values: &[i16; 256], row: usize, most: usize) -> Option<(Prediction, Vec<f64>)> {
    let rows: usize = tiles.iter().map(|t| t.rows).sum();
    let sizes = column_sizes(tiles, values, row);
    let mut products = Products::new(tiles, values, row, most, &sizes);
    products.factor(2.0 * row as f64 / rows as f64)?;
    let coefficients: Vec<Vec<f64>> = (0..row).map(|column| products.coefficients(column)).collect();
    let explained: f64 = products.lines.iter().flatten().map(|x| x * x).sum();
    let mut left: Vec<f64> = products.left.iter().zip(&sizes).map(|(l, size)| size * l.sqrt()).collect();
    // Finer steps than the rows can tell apart cost more than they bring; the less is left, the finer they are.
    let certain: f64 = products.left.iter().map(|l| -octaves(l.sqrt())).sum::<f64>() / row as f64;
    let wanted =
        (usize::BITS - (rows / 8).leading_zeros()) / 2 + certain.clamp(0.0, 7.0).round_ties_even() as u32;
    let largest = coefficients.iter().flatten().fold(0.0f64, |m, c| m.max(c.abs()));
    let bits = (0..=wanted).rev().find(|b| largest * f64::from(1u32 << b) < 126.5).unwrap_or(0);
    let unit = f64::from(1u32 << bits);
    let quantised = |c: &f64| (c * unit).round_ties_even().clamp(-127.0, 127.0) as i8;
    let multiplier = |s: &f64| (256.0 / s).round_ties_even().clamp(1.0, 65535.0) as u16;
    let prediction = Prediction {
        values: Box::new(*values),
        multipliers: sizes[..most].iter().map(multiplier).collect(),
        scales: [0; 16],
        columns: vec![8; row],
        coefficients: coefficients.iter().flatten().map(quantised).collect(),
        map: Box::new([0; 256]),
    };
    left.push((explained / row as f64).sqrt() * unit);
    Some((prediction, left))
}

/// Deviation of each column, every row brought to the same size.
fn column_sizes(tiles: &[Tile], values: &[i16; 256], row: usize) -> Vec<f64> {
    let size = |column: usize| {
        let (mut sum, mut n) = (0.0, 0.0);
        for tile in tiles {
            for (s, size) in tile.column(column).iter().zip(&tile.sizes).filter(|(_, size)| **size > 0.0) {
                let x = f64::from(values[usize::from(*s)]) / size;
                sum += x * x;
                n += 1.0;
            }
        }
        let size = (sum / f64::max(n, 1.0)).sqrt();
        if size > 0.0 { size } else { 1.0 }
    };
    (0..row).into_par_iter().map(size).collect()
}

/// Mean products of columns, rows and columns brought to the same size.
struct Products {
    /// For each column its products with those before it, of which no more than the first are looked at. Then the lower triangle
    /// whose product with itself has these products, without its diagonal.
    lines: Vec<Vec<f64>>,
    /// Products of each column with itself. Then what of them the others do not explain: squares of the diagonal.
    left: Vec<f64>,
}

impl Products {
    fn new(tiles: &[Tile], values: &[i16; 256], row: usize, most: usize, sizes: &[f64]) -> Self {
        let mut sums: Vec<Vec<i64>> = (0..row).map(|i| vec![0; i.min(most) + 1]).collect();
        let mut rows = 0;
        for tile in tiles {
            for first in (0..tile.rows).step_by(BATCH) {
                let range = first..tile.rows.min(first + BATCH);
                rows += range.len();
                let columns = 0..row;
                let numbers: Vec<Vec<i16>> =
                    columns.map(|c| tile.numbers(c, range.clone(), values, sizes[c])).collect();
                sums.par_iter_mut().enumerate().for_each(|(i, sums)| {
                    let others = numbers[..i.min(most)].iter().chain([&numbers[i]]);
                    sums.iter_mut().zip(others).for_each(|(sum, b)| *sum += product(&numbers[i], b));
                });
            }
        }
        let unit = rows as f64 * SMALL_UNIT * SMALL_UNIT;
        let mut lines: Vec<Vec<f64>> =
            sums.iter().map(|s| s.iter().map(|s| *s as f64 / unit).collect()).collect();
        let left = lines.iter_mut().filter_map(Vec::pop).collect();
        Self { lines, left }
    }

    /// Makes them a triangle; `more` is added to the products of columns with themselves. `None` where something else than
    /// rounding leaves nothing of a column.
    fn factor(&mut self, more: f64) -> Option<()> {
        for i in 0..self.lines.len() {
            let (before, rest) = self.lines.split_at_mut(i);
            let own = &mut rest[0];
            for j in 0..own.len() {
                let known: f64 = own[..j].iter().zip(&before[j]).map(|(x, y)| x * y).sum();
                own[j] = (own[j] - known) / self.left[j].sqrt();
            }
            self.left[i] += more - own.iter().map(|x| x * x).sum::<f64>();
            if self.left[i] <= 0.0 {
                return None;
            }
        }
        Some(())
    }

    /// What the columns before this one are multiplied by to predict it.
    fn coefficients(&self, column: usize) -> Vec<f64> {
        let mut found = self.lines[column].clone();
        for i in (0..found.len()).rev() {
            found[i] /= self.left[i].sqrt();
            let x = found[i];
            found.iter_mut().zip(&self.lines[i]).for_each(|(f, l)| *f -= l * x);
        }
        found
    }
}

fn product(a: &[i16], b: &[i16]) -> i64 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>().into()
}

/// Classes of rows and columns by their sizes, and what predictions of rows of each class are multiplied by.
fn classify(mut prediction: Prediction, tiles: &mut [Tile], sizes: &[f64]) -> Prediction {
    let (columns, deviation) = (&sizes[..sizes.len() - 1], sizes[sizes.len() - 1]);
    let rows: Vec<f64> = tiles.iter().flat_map(|t| &t.sizes).copied().collect();
    let (row_middle, column_middle) = (middle(rows), middle(columns.to_vec()));
    let class = |size: f64, middle: f64| {
        if size <= 0.0 {
            0
        } else {
            (8.0 + CLASSES * octaves(size / middle)).round_ties_even().clamp(1.0, 15.0) as u8
        }
    };
    for tile in tiles {
        tile.classes = tile.sizes.iter().map(|s| class(*s, row_middle)).collect();
    }
    prediction.columns = columns.iter().map(|s| class(*s, column_middle)).collect();
    // How far apart intervals are in rows of class 8, in units of what sums are divided by.
    let step = 2.0 * SPAN / INTERVALS as f64 * deviation * row_middle / 256.0;
    // A quarter of an octave.
    const QUARTERS: [f64; 4] = [1.0, 1.189_207_115_002_721, SQRT_2, 1.681_792_830_507_429];
    for (class, scale) in prediction.scales.iter_mut().enumerate() {
        let (octave, quarter) = ((class as i32 - 8).div_euclid(4), (class as i32 - 8).rem_euclid(4));
        let power = f64::from_bits(((1023 + octave) as u64) << 52);
        let size = power * QUARTERS[quarter as usize] * step;
        *scale = (65536.0 / size).round_ties_even().clamp(1.0, 32767.0) as u16;
    }
    prediction
}

/// The logarithm to the base 2, by the place between two powers.
fn octaves(x: f64) -> f64 {
    let bits = x.to_bits();
    let whole = (bits >> 52) as i32 - 1023;
    let part = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52) - 1.0;
    f64::from(whole) + part
}

fn middle(mut sizes: Vec<f64>) -> f64 {
    sizes.retain(|s| *s > 0.0);
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(1.0)
}

/// Where in the map each symbol of a tile finds its table.
fn places(prediction: &Prediction, tile: &Tile, kernel: Kernel) -> Vec<u8> {
    let mut predictor = Predictor::default();
    predictor.start(prediction, tile.rows);
    let mut places = vec![0; tile.symbols.len()];
    for (column, places) in places.chunks_exact_mut(tile.rows.max(1)).enumerate() {
        predictor.places(prediction, kernel, column, &tile.classes, places);
        predictor.learn(prediction, column, tile.column(column));
    }
    places
}

/// Classes whose intervals have the same tables are joined, then the intervals of each of these; `None` for too many tables.
fn join_places(counts: &[[u32; 256]]) -> Option<(Box<[u8; 256]>, Vec<Freqs>)> {
    let (mut map, mut at, mut tables) = (Box::new([0; 256]), 0, Vec::new());
    for run in join_rows(counts, INTERVALS, INTERVALS) {
        let (found, some) = join(&run.counts);
        for place in 0..run.classes * INTERVALS {
            map[at + place] = (tables.len() + usize::from(found[place % INTERVALS])).try_into().ok()?;
        }
        at += run.classes * INTERVALS;
        tables.extend(some);
    }
    (tables.len() <= MAX_PREDICTED_TABLES).then_some((map, tables))
}
