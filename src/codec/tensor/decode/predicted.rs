//! Decodes the symbols of rows whose numbers are predicted.

use crate::codec::tensor::kernel::transpose;
use crate::codec::tensor::predictor::ColumnPredictor;
use crate::codec::tensor::stored::{LinearPrediction, MAX_PREDICTED_TABLES, Sequence};
use crate::coder::rans::{Contexts, Decoder};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// Memory for decoding, to be reused.
#[derive(Default)]
pub struct PredictedScratch {
    predictor: ColumnPredictor,
    /// The symbols, column by column.
    symbols: Vec<u8>,
    /// The tables of one column's symbols.
    tables: Vec<u8>,
}

/// Decodes the symbols of whole rows. They are stored column by column, so that a column is decoded for all
/// rows at once, each with the table that its own row's earlier columns predict; `out` receives them row by
/// row. `classes` holds the class of each row.
///
/// # Errors
///
/// Those of [`Sequence::decode`].
pub fn decode_predicted(
    prediction: &LinearPrediction,
    sequence: &Sequence<'_>,
    decoder: &Decoder,
    kernel: Kernel,
    classes: &[u8],
    scratch: &mut PredictedScratch,
    out: &mut [u8],
) -> Result<()> {
    let (row, rows) = (prediction.row(), classes.len());
    if out.len() != row * rows || decoder.tables() > MAX_PREDICTED_TABLES {
        return Err(Error::corrupt("predictions need tiles of whole rows"));
    }
    let PredictedScratch { predictor, symbols, tables } = scratch;
    predictor.start(prediction, rows);
    symbols.clear();
    symbols.resize(out.len(), 0);
    tables.resize(rows, 0);
    let mut runs = sequence.runs(out.len())?;
    for (column, symbols) in symbols.chunks_exact_mut(rows.max(1)).enumerate() {
        predictor.predict(prediction, kernel, column, classes, tables);
        tables.iter_mut().for_each(|t| *t = prediction.map[usize::from(*t)]);
        runs.decode(decoder, kernel, Contexts::Many(tables), symbols)?;
        predictor.learn(prediction, column, symbols);
    }
    transpose(symbols, rows, out);
    runs.finish()
}
