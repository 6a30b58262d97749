//! Contexts that predict each number of a row from the numbers before it (`formats/tensor.md`, "Prediction").

use super::encode::{Pen, counts};
use super::params::{MAX_PREDICTED_TABLES, nibbles, put_nibbles, sum_of};
use super::products::products;
use super::sections::Sequence;
use crate::coder::rans::{Contexts, Decoder, Encoder, Freqs};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use crate::kernel::Kernel;

/// Most symbols of a row.
pub const MAX_ROW: u64 = 4096;
/// Most coefficients.
const MAX_COEFFICIENTS: u64 = 1 << 18;
/// Most that the coefficients of a column add up to, in size.
const MAX_SUM: u32 = 1 << 16;
/// Intervals that predictions are sorted into.
pub const INTERVALS: usize = 16;

/// What says how likely the numbers of a row are, from those before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// The number that each symbol stands for, about.
    pub values: Box<[i16; 256]>,
    /// What numbers of each column are multiplied by, in 1/256; of those columns that are looked at.
    pub multipliers: Vec<u16>,
    /// What predictions in rows of each class are multiplied by.
    pub scales: [u16; 16],
    /// The classes of all columns, as many as a row has symbols.
    pub columns: Vec<u8>,
    /// For each column from the second on those of the columns before it that are looked at.
    pub coefficients: Vec<i8>,
    /// The table for the sum of the classes of row and column, and the interval of the prediction.
    pub map: Box<[u8; 256]>,
}

impl Prediction {
    /// Symbols of a row.
    pub fn row(&self) -> usize {
        self.columns.len()
    }

    /// How many columns are looked at for this one.
    fn looked_at(&self, column: usize) -> usize {
        column.min(self.multipliers.len())
    }

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.columns.len() as u64);
        varint::put(out, self.multipliers.len() as u64);
        self.values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.multipliers.iter().chain(&self.scales).for_each(|m| out.extend_from_slice(&m.to_le_bytes()));
        put_nibbles(&self.columns, out);
        let symbols: Vec<u8> = self.coefficients.iter().map(|c| (*c as u8) ^ 0x80).collect();
        let freqs = Freqs::from_counts(&counts(std::iter::once(&symbols[..])));
        freqs.put(out);
        let mut pen = Pen::new(std::mem::take(out), Kernel::Scalar);
        let encoder = Encoder::new(std::slice::from_ref(&freqs));
        pen.symbols(&symbols, &encoder, Contexts::One).expect("every symbol has been counted");
        *out = pen.out;
        out.extend_from_slice(&self.map[..]);
    }

    /// Reads it.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let row = c.varint_in("symbols of a row", 2..=MAX_ROW)? as usize;
        let looked_at = c.varint_in("columns that are looked at", 1..=row as u64 - 1)? as usize;
        let count = coefficients(row, looked_at);
        in_range("number of coefficients", count as u64, 1..=MAX_COEFFICIENTS)?;
        let pairs = |bytes: &[u8]| -> Vec<u16> {
            bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).collect()
        };
        let mut values = Box::new([0; 256]);
        values.iter_mut().zip(pairs(c.take(512)?)).for_each(|(v, bits)| *v = bits as i16);
        let multipliers = pairs(c.take(2 * looked_at)?);
        let mut scales = [0; 16];
        scales.copy_from_slice(&pairs(c.take(32)?));
        for scale in scales {
            in_range("scale of a row", scale.into(), 0..=0x7FFF)?;
        }
        let columns = nibbles(c, row)?;
        let freqs = Freqs::parse(c)?;
        let mut symbols = vec![0; count];
        let decoder = Decoder::new(std::slice::from_ref(&freqs));
        Sequence::parse(c, symbols.len())?.decode(&decoder, Kernel::Scalar, Contexts::One, &mut symbols)?;
        let coefficients = symbols.into_iter().map(|s| (s ^ 0x80) as i8).collect();
        let mut map = Box::new([0; 256]);
        map.copy_from_slice(c.take(256)?);
        let all = Self { values, multipliers, scales, columns, coefficients, map };
        for column in 1..row {
            let sum = all.coefficients_of(column).iter().map(|c| u32::from(c.unsigned_abs())).sum::<u32>();
            in_range("sum of the coefficients of a column", sum.into(), 0..=MAX_SUM.into())?;
        }
        Ok(all)
    }

    fn coefficients_of(&self, column: usize) -> &[i8] {
        let start = coefficients(column, self.multipliers.len());
        &self.coefficients[start..start + self.looked_at(column)]
    }
}

/// Coefficients of all columns before this one, where `most` columns are looked at.
pub fn coefficients(column: usize, most: usize) -> usize {
    let some = column.min(most);
    some * some.saturating_sub(1) / 2 + (column - some) * most
}

/// The numbers of a tile, column by column as they become known, and what they say of the next column.
#[derive(Default)]
pub struct Predictor {
    /// Numbers of two columns each, one pair for each row.
    numbers: Vec<i16>,
    sums: Vec<i32>,
    rows: usize,
}

impl Predictor {
    /// Begins a tile of so many rows.
    pub fn start(&mut self, prediction: &Prediction, rows: usize) {
        self.rows = rows;
        self.numbers.clear();
        self.numbers.resize(prediction.multipliers.len().next_multiple_of(2) * rows, 0);
        self.sums.clear();
        self.sums.resize(rows, 0);
    }

    /// Predicts a column: for each row the number that [`Prediction::map`] goes by. The columns before it are known.
    pub fn places(
        &mut self,
        prediction: &Prediction,
        kernel: Kernel,
        column: usize,
        classes: &[u8],
        out: &mut [u8],
    ) {
        let coefficients = if column == 0 { &[] } else { prediction.coefficients_of(column) };
        products(kernel, &self.numbers, coefficients, &mut self.sums);
        let keys: [u8; 16] =
            std::array::from_fn(|row| (INTERVALS * sum_of(row as u8, prediction.columns[column])) as u8);
        let scales = prediction.scales.map(i32::from);
        for ((place, class), sum) in out.iter_mut().zip(classes).zip(&self.sums) {
            let class = usize::from(class & 15);
            let scaled = (sum >> 8).clamp(-0x8000, 0x7FFF) * scales[class];
            let interval = ((scaled >> 16) + INTERVALS as i32 / 2).clamp(0, INTERVALS as i32 - 1);
            *place = keys[class] + interval as u8;
        }
    }

    /// Takes note of a column's symbols.
    pub fn learn(&mut self, prediction: &Prediction, column: usize, symbols: &[u8]) {
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

/// Memory to decode with.
#[derive(Default)]
pub struct Columns {
    predictor: Predictor,
    symbols: Vec<u8>,
    contexts: Vec<u8>,
}

/// Decodes the symbols of whole rows with these classes, which lie column by column; `out` takes them row by row.
///
/// # Errors
///
/// Those of [`Sequence::decode`].
pub fn decode(
    prediction: &Prediction,
    sequence: &Sequence<'_>,
    decoder: &Decoder,
    kernel: Kernel,
    classes: &[u8],
    memory: &mut Columns,
    out: &mut [u8],
) -> Result<()> {
    let (row, rows) = (prediction.row(), classes.len());
    if out.len() != row * rows || decoder.tables() > MAX_PREDICTED_TABLES {
        return Err(Error::corrupt("predictions of what is not whole rows"));
    }
    let Columns { predictor, symbols, contexts } = memory;
    predictor.start(prediction, rows);
    symbols.clear();
    symbols.resize(out.len(), 0);
    contexts.resize(rows, 0);
    let mut runs = sequence.runs(out.len())?;
    for (column, symbols) in symbols.chunks_exact_mut(rows.max(1)).enumerate() {
        predictor.places(prediction, kernel, column, classes, contexts);
        contexts.iter_mut().for_each(|c| *c = prediction.map[usize::from(*c)]);
        runs.decode(decoder, kernel, Contexts::Many(contexts), symbols)?;
        predictor.learn(prediction, column, symbols);
    }
    turn(symbols, rows, out);
    runs.finish()
}

/// Turns columns of so many symbols each into rows, or rows into columns.
pub fn turn(from: &[u8], of_each: usize, to: &mut [u8]) {
    const SIDE: usize = 16;
    if of_each == 0 {
        return;
    }
    let lines = from.len() / of_each;
    for first in (0..lines).step_by(SIDE) {
        for at in (0..of_each).step_by(SIDE) {
            for line in first..lines.min(first + SIDE) {
                for i in at..of_each.min(at + SIDE) {
                    to[i * lines + line] = from[line * of_each + i];
                }
            }
        }
    }
}
