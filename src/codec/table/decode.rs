//! Decoding of tables.

use super::payload::parts;
use super::rows;
use super::schema::Schema;
use crate::codec::buffer::resize;
use crate::codec::circuit;
use crate::codec::circuit::layout::Arrangement;
use crate::codec::mix::{self, BlockDecoder};
use crate::codec::window::{WindowJob, max_window_raw};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::circuit::{Model, Weights};
use crate::progress::Meter;

/// The memory in bytes (approximate) that decoding a payload takes without its circuit, of which nothing is
/// known before the schema is decoded; 0 where the payload is damaged.
pub fn working_memory(payload: &[u8], raw_len: usize) -> u64 {
    let Ok((lengths, [head, text, _])) = parts(payload, raw_len) else { return 0 };
    let [head_len, text_len] = [lengths.head.0, lengths.text.0];
    let mixed = mix::memory_of(head, head_len).max(mix::memory_of(text, text_len));
    4 * raw_len as u64 + head_len as u64 + text_len as u64 + mixed
}

/// Decodes a whole block of `raw_len` raw bytes.
///
/// # Errors
/// `Corrupt`, `Truncated` or `NewerVersion`; `LimitExceeded` where decoding would take more than `memory`
/// bytes.
pub fn decode(payload: &[u8], raw_len: usize, memory: u64) -> Result<Vec<u8>> {
    let (lengths, [head, text, windows]) = parts(payload, raw_len)?;
    let head = unmixed(head, lengths.head.0, memory)?;
    let schema = Schema::parse(&head[..lengths.schema])?;
    let (width, records) = (schema.width(), schema.records());
    // A row with a record takes at least one byte for each of its columns. A column has at most two
    // variables, so this bounds the records as well.
    if (records as u64).saturating_mul(schema.columns.len() as u64) > raw_len as u64 {
        return Err(Error::corrupt(format!("table: {records} rows do not fit {raw_len} raw bytes")));
    }
    let need = 4 * raw_len as u64 + (records as u64) * width as u64 + head.len() as u64;
    let Some(left) = memory.checked_sub(need) else {
        return Err(Error::limit(format!("a table needs {need} bytes of memory, the limit is {memory}")));
    };
    let symbols = symbols(&head[lengths.schema..], (records, width), &lengths.windows, windows, left)?;
    let text = unmixed(text, lengths.text.0, left)?;
    rows::restore(&schema, &symbols, &text, raw_len)
}

/// Decodes the records of all rows: `records` of them, with `width` symbols each.
fn symbols(
    model: &[u8],
    (records, width): (usize, usize),
    lengths: &[(usize, usize)],
    mut windows: &[u8],
    memory: u64,
) -> Result<Vec<u8>> {
    let mut symbols = Vec::new();
    if width == 0 {
        let clean = model.is_empty() && lengths.is_empty();
        return if clean {
            Ok(symbols)
        } else {
            Err(Error::corrupt("table: a circuit, but no column that it codes"))
        };
    }
    let need = circuit::memory_of(model);
    if need.loading > memory {
        let need = need.loading;
        return Err(Error::limit(format!(
            "a table's circuit needs {need} bytes of memory, {memory} are left"
        )));
    }
    let model = Model::new(&Weights::from_bytes(model)?)?;
    let sum = lengths.iter().map(|w| w.0).fold(0, usize::saturating_add);
    if model.width() != width || sum != records {
        let found = model.width();
        return Err(Error::corrupt(format!(
            "table: {records} records of {width} expected, {sum} of {found} found"
        )));
    }
    resize(&mut symbols, records * width)?;
    let (mut jobs, mut rest) = (Vec::with_capacity(lengths.len()), &mut symbols[..]);
    for &(records, len) in lengths {
        if records * width > max_window_raw(len) {
            return Err(Error::corrupt(format!("table: {len} bytes cannot hold {records} records")));
        }
        let (raw, after) = std::mem::take(&mut rest).split_at_mut(records * width);
        let (payload, later) = windows.split_at(len);
        jobs.push(WindowJob { payload, raw });
        (rest, windows) = (after, later);
    }
    let bounds = circuit::Bounds { memory: memory - need.loaded, meter: Meter::NONE };
    circuit::decode_within(&model, &Arrangement::Bytes, &mut jobs, Kernel::best(), bounds)?;
    Ok(symbols)
}

/// Decodes a payload made by [`mixed`] to exactly `raw_len` bytes.
fn unmixed(payload: &[u8], raw_len: usize, memory: u64) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    if raw_len == 0 {
        return if payload.is_empty() { Ok(raw) } else { Err(Error::corrupt("table: a payload of nothing")) };
    }
    let mut decoder = BlockDecoder::new(payload, raw_len, memory, None)?;
    resize(&mut raw, raw_len)?;
    decoder.decode_into(payload, &mut raw)?;
    Ok(raw)
}

/// Restores the raw bytes of a table from a stored schema, records and text, as decoding does.
///
/// # Errors
/// `Corrupt`, `Truncated` or `LimitExceeded`.
#[doc(hidden)]
pub fn restore(schema: &[u8], records: &[u8], text: &[u8], raw_len: usize) -> Result<Vec<u8>> {
    rows::restore(&Schema::parse(schema)?, records, text, raw_len)
}

/// Sizes of a payload's parts in bytes, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Schema and model.
    pub head: usize,
    /// Records, coded by the circuit.
    pub records: usize,
    /// Text, coded by `mix`.
    pub text: usize,
    /// The number of columns that the circuit codes, and the number of all columns.
    pub columns: (usize, usize),
}

/// The sizes of a payload's parts; `None` where it is damaged, or where reading its schema would take more
/// than `memory` bytes.
pub fn inspect(payload: &[u8], raw_len: usize, memory: u64) -> Option<Parts> {
    let (lengths, [head, text, windows]) = parts(payload, raw_len).ok()?;
    let schema = unmixed(head, lengths.head.0, memory).ok()?;
    let schema = Schema::parse(schema.get(..lengths.schema)?).ok()?;
    let coded = schema.columns.iter().filter(|c| c.variables() > 0).count();
    let columns = (coded, schema.columns.len());
    Some(Parts { head: head.len(), records: windows.len(), text: text.len(), columns })
}
