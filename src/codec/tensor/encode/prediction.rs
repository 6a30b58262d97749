//! Chooses the prediction of numbers from those before them in their row.

use super::join::{join_classes, join_runs};
use super::least_squares::{FittedPrediction, fit};
use super::tile::TileParts;
use super::tile_columns::{TileColumns, octaves};
use super::values::{scale_values, symbol_values};
use crate::codec::hints::Hint;
use crate::codec::tensor::kernel::histogram;
use crate::codec::tensor::predictor::ColumnPredictor;
use crate::codec::tensor::stored::{
    Context, FieldParams, INTERVALS, LinearPrediction, MAX_PREDICTED_ROW, MAX_PREDICTED_TABLES, TableMap,
};
use crate::coder::rans::Freqs;
use crate::kernel::Kernel;
use rayon::prelude::*;
use std::f64::consts::SQRT_2;

/// The least number of rows that is worth the work.
const MIN_ROWS: usize = 64;
/// How many standard deviations of the predictions the intervals cover on each side of 0.
const SPAN: f64 = 2.5;
/// The number of classes of rows and columns per octave of their size.
const CLASSES: f64 = 4.0;
/// The powers of two with exponents 0, 1/4, 1/2 and 3/4.
const QUARTERS: [f64; 4] = [1.0, 1.189_207_115_002_721, SQRT_2, 1.681_792_830_507_429];

/// Gives the only field of a block, whose groups are its elements, a prediction and tables. Returns false
/// where nothing can be predicted.
pub fn choose_prediction(
    field: &mut FieldParams,
    tiles: &mut [TileParts<'_>],
    hint: Hint,
    kernel: Kernel,
) -> bool {
    let row = hint.row_bytes as usize / field.element;
    let all: usize = tiles.iter().map(|t| t.fields[0].symbols.len()).sum();
    if !(2..=MAX_PREDICTED_ROW as usize).contains(&row) || all / row < MIN_ROWS {
        return false;
    }
    let counts = histogram(tiles.iter().map(|t| &t.fields[0].symbols[..]));
    let values = symbol_values(field, hint.dtype).and_then(|v| scale_values(&v, &counts));
    let Some(values) = values else { return false };
    let columns: Vec<TileColumns> =
        tiles.iter().map(|t| TileColumns::new(&t.fields[0].symbols, row, &values)).collect();
    let Some(fitted) = fit(&columns, &values, row) else { return false };
    let (prediction, row_classes) = classify(fitted, &columns);
    let pairs = columns.par_iter().zip(&row_classes);
    let keys: Vec<Vec<u8>> = pairs.map(|(tile, classes)| keys(&prediction, tile, classes, kernel)).collect();
    let mut counts = vec![[0u32; 256]; 256];
    for (tile, keys) in columns.iter().zip(&keys) {
        keys.iter().zip(&tile.symbols).for_each(|(k, s)| counts[usize::from(*k)][usize::from(*s)] += 1);
    }
    let Some((map, tables)) = join_keys(&counts) else { return false };
    for ((tile, classes), keys) in tiles.iter_mut().zip(row_classes).zip(keys) {
        if !tile.constant {
            tile.fields[0].contexts = keys.into_iter().map(|k| map[usize::from(k)]).collect();
            tile.row_classes = classes;
        }
    }
    field.context = Context::Predicted(Box::new(LinearPrediction { map, ..prediction }));
    field.tables = tables;
    true
}

/// Adds to a prediction the classes of columns and the scales of each class of rows, and returns it with the
/// classes of the rows of each tile. Classes go by the sizes of rows and columns.
fn classify(fitted: FittedPrediction, tiles: &[TileColumns]) -> (LinearPrediction, Vec<Vec<u8>>) {
    let FittedPrediction { mut prediction, left, deviation } = fitted;
    let row_middle = middle(tiles.iter().flat_map(|t| &t.sizes).copied().collect());
    let column_middle = middle(left.clone());
    let class = |size: f64, middle: f64| {
        if size <= 0.0 {
            0
        } else {
            (8.0 + CLASSES * octaves(size / middle)).round_ties_even().clamp(1.0, 15.0) as u8
        }
    };
    let of_rows = |tile: &TileColumns| tile.sizes.iter().map(|s| class(*s, row_middle)).collect();
    prediction.columns = left.iter().map(|s| class(*s, column_middle)).collect();
    // The distance between intervals in rows of class 8, in the units of scaled sums of products.
    let step = 2.0 * SPAN / INTERVALS as f64 * deviation * row_middle / 256.0;
    for (class, scale) in prediction.scales.iter_mut().enumerate() {
        let (octave, quarter) = ((class as i32 - 8).div_euclid(4), (class as i32 - 8).rem_euclid(4));
        let power = f64::from_bits(((1023 + octave) as u64) << 52);
        let size = power * QUARTERS[quarter as usize] * step;
        *scale = (65536.0 / size).round_ties_even().clamp(1.0, 32767.0) as u16;
    }
    (prediction, tiles.iter().map(of_rows).collect())
}

/// The median of the sizes that are not 0; 1 where all of them are.
fn middle(mut sizes: Vec<f64>) -> f64 {
    sizes.retain(|s| *s > 0.0);
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(1.0)
}

/// For each symbol of a tile, column by column, the key into the prediction's map.
fn keys(prediction: &LinearPrediction, tile: &TileColumns, classes: &[u8], kernel: Kernel) -> Vec<u8> {
    let mut predictor = ColumnPredictor::default();
    predictor.start(prediction, tile.rows);
    let mut keys = vec![0; tile.symbols.len()];
    for (column, keys) in keys.chunks_exact_mut(tile.rows.max(1)).enumerate() {
        predictor.predict(prediction, kernel, column, classes, keys);
        predictor.learn(prediction, column, tile.column(column));
    }
    keys
}

/// Joins sums of classes whose intervals may all share their tables, then the intervals within each run.
/// Returns the map and the tables; `None` where there are too many tables.
fn join_keys(counts: &[[u32; 256]]) -> Option<(TableMap, Vec<Freqs>)> {
    let (mut map, mut at, mut tables) = (Box::new([0; 256]), 0, Vec::new());
    for run in join_runs(counts, INTERVALS, INTERVALS) {
        let (found, some) = join_classes(&run.counts);
        for key in 0..run.classes * INTERVALS {
            map[at + key] = (tables.len() + usize::from(found[key % INTERVALS])).try_into().ok()?;
        }
        at += run.classes * INTERVALS;
        tables.extend(some);
    }
    (tables.len() <= MAX_PREDICTED_TABLES).then_some((map, tables))
}
