//! Predicts the numbers of a column from those of the columns before it (`formats/tensor.md`, "Prediction").

use super::keys::class_sum;
use crate::codec::tensor::kernel::products;
use crate::codec::tensor::stored::{INTERVALS, LinearPrediction};
use crate::kernel::Kernel;

/// The numbers of a tile, column by column as they become known, and the prediction of the next column.
#[derive(Default)]
pub struct ColumnPredictor {
    /// The numbers of the columns from which others are predicted, in the order of [`products`]: pairs of
    /// columns, and for each pair the two numbers of each row. Columns that are not known yet are 0.
    numbers: Vec<i16>,
    /// The predictions of one column, one for each row.
    sums: Vec<i32>,
    rows: usize,
}

impl ColumnPredictor {
    /// Starts a tile of `rows` rows.
    pub fn start(&mut self, prediction: &LinearPrediction, rows: usize) {
        self.rows = rows;
        self.numbers.clear();
        self.numbers.resize(prediction.multipliers.len().next_multiple_of(2) * rows, 0);
        self.sums.clear();
        self.sums.resize(rows, 0);
    }

    /// Predicts a column once all columns before it are known. `classes` holds the class of each row. Fills
    /// `keys`, one for each row, with keys of [`LinearPrediction::map`].
    ///
    /// A symbol's table is chosen by two things. The prediction, scaled by the row's class and cut into
    /// intervals about as wide as the usual error in such a row, says around which value to expect the
    /// number; the sum of the classes of row and column says how widely numbers spread around it.
    pub fn predict(
        &mut self,
        prediction: &LinearPrediction,
        kernel: Kernel,
        column: usize,
        classes: &[u8],
        keys: &mut [u8],
    ) {
        products(kernel, &self.numbers, prediction.coefficients_of(column), &mut self.sums);
        let of_row: [u8; 16] =
            std::array::from_fn(|row| (INTERVALS * class_sum(row as u8, prediction.columns[column])) as u8);
        let scales = prediction.scales.map(i32::from);
        for ((key, class), sum) in keys.iter_mut().zip(classes).zip(&self.sums) {
            let class = usize::from(class & 15);
            let scaled = (sum >> 8).clamp(-0x8000, 0x7FFF) * scales[class];
            let interval = ((scaled >> 16) + INTERVALS as i32 / 2).clamp(0, INTERVALS as i32 - 1);
            *key = of_row[class] + interval as u8;
        }
    }

    /// Records the symbols of a column, one for each row.
    pub fn learn(&mut self, prediction: &LinearPrediction, column: usize, symbols: &[u8]) {
        let Some(multiplier) = prediction.multipliers.get(column) else { return };
        let multiplier = i32::from(*multiplier);
        let numbers: [i16; 256] = prediction
            .values
            .map(|v| ((i32::from(v) * multiplier) >> 8).clamp(-i32::from(i16::MAX), i16::MAX.into()) as i16);
        let start = column / 2 * 2 * self.rows;
        let pairs = self.numbers[start..start + 2 * self.rows].chunks_exact_mut(2);
        pairs.zip(symbols).for_each(|(pair, s)| pair[column % 2] = numbers[usize::from(*s)]);
    }
}
