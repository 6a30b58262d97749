//! The parameters of predictions: the symbols before it in the same row tell how likely each symbol of a
//! column is (`formats/tensor.md`, "Prediction").

use super::nibbles::{parse_nibbles, put_nibbles};
use super::sequence::{Sequence, SequenceWriter};
use super::tables::TableMap;
use crate::coder::rans::{Contexts, Decoder, Encoder, Freqs};
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use crate::kernel::Kernel;

/// The largest number of symbols of a row.
pub const MAX_PREDICTED_ROW: u64 = 4096;
/// The largest number of coefficients.
const MAX_COEFFICIENTS: u64 = 1 << 18;
/// The largest sum of the absolute coefficients of a column. With numbers of 16 bits, it keeps every sum of
/// products below 2^31.
const MAX_SUM: u32 = 1 << 16;
/// The number of intervals into which predictions are sorted.
pub const INTERVALS: usize = 16;

/// The linear prediction of each number of a row from the numbers before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearPrediction {
    /// The approximate number for which each symbol stands, in some unit.
    pub values: Box<[i16; 256]>,
    /// The factor, in 1/256, for the numbers of each column from which others are predicted; it scales all
    /// columns to one size. These columns are the first ones of a row.
    pub multipliers: Vec<u16>,
    /// The factor for predictions in rows of each class, in 1/2^16 intervals: at most 2^15 − 1.
    pub scales: [u16; 16],
    /// The classes of all columns, each below 16: one per symbol of a row.
    pub columns: Vec<u8>,
    /// For each column from the second on, the coefficients of the columns from which it is predicted.
    pub coefficients: Vec<i8>,
    /// The table for each pair of a sum of classes (see `class_sum`) and an interval: entry 16·sum +
    /// interval.
    pub map: TableMap,
}

impl LinearPrediction {
    /// The number of symbols of a row.
    pub fn row(&self) -> usize {
        self.columns.len()
    }

    /// The coefficients of a column: one for each of the first columns before it. Column 0 has none.
    pub fn coefficients_of(&self, column: usize) -> &[i8] {
        let most = self.multipliers.len();
        let start = coefficients_before(column, most);
        &self.coefficients[start..start + column.min(most)]
    }

    /// Appends the prediction.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.columns.len() as u64);
        varint::put(out, self.multipliers.len() as u64);
        self.values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.multipliers.iter().chain(&self.scales).for_each(|m| out.extend_from_slice(&m.to_le_bytes()));
        put_nibbles(&self.columns, out);
        let symbols: Vec<u8> = self.coefficients.iter().map(|c| (*c as u8) ^ 0x80).collect();
        let mut counts = [0; 256];
        symbols.iter().for_each(|s| counts[usize::from(*s)] += 1);
        let freqs = Freqs::from_counts(&counts);
        freqs.put(out);
        let mut writer = SequenceWriter::new(std::mem::take(out), Kernel::Scalar);
        let encoder = Encoder::new(std::slice::from_ref(&freqs));
        writer.put(&symbols, &encoder, Contexts::One).expect("every symbol has been counted");
        *out = writer.out;
        out.extend_from_slice(&self.map[..]);
    }

    /// Reads a prediction.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let row = c.varint_in("symbols of a row", 2..=MAX_PREDICTED_ROW)? as usize;
        let most = c.varint_in("columns that are looked at", 1..=row as u64 - 1)? as usize;
        let count = coefficients_before(row, most);
        in_range("number of coefficients", count as u64, 1..=MAX_COEFFICIENTS)?;
        let pairs = |bytes: &[u8]| -> Vec<u16> {
            bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).collect()
        };
        let mut values = Box::new([0; 256]);
        values.iter_mut().zip(pairs(c.take(512)?)).for_each(|(v, bits)| *v = bits as i16);
        let multipliers = pairs(c.take(2 * most)?);
        let mut scales = [0; 16];
        scales.copy_from_slice(&pairs(c.take(32)?));
        for scale in scales {
            in_range("scale of a row", scale.into(), 0..=0x7FFF)?;
        }
        let columns = parse_nibbles(c, row)?;
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
}

/// The number of coefficients of all columns before this one, if each column is predicted from at most the
/// first `most` columns.
pub fn coefficients_before(column: usize, most: usize) -> usize {
    let some = column.min(most);
    some * some.saturating_sub(1) / 2 + (column - some) * most
}
