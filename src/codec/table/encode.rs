//! Encoding of tables.

use super::grid::Table;
use super::learn::{Learning, Variable};
use super::schema::{Column, Schema};
use super::{cells, learn, max_raw, plan, rows, schema};
use crate::codec::Codec;
use crate::codec::block::EncodedBlock;
use crate::codec::circuit;
use crate::codec::circuit::layout::Arrangement;
use crate::codec::hints::Guide;
use crate::codec::mix::{self, MixOptions};
use crate::codec::window::{EncodedWindow, WindowLimits, lengthen};
use crate::error::Result;
use crate::format::block::Units;
use crate::format::varint;
use crate::model::circuit::{Model, Weights};

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;
/// The payload bytes at which a window of records ends.
const WINDOW: usize = 8 << 10;
/// The most bytes of a window's records: as many as the container lets a window have.
const WINDOW_RAW: usize = 1 << 24;
/// From this many rows on, more hidden states pay.
const MANY_ROWS: usize = 16_000;

/// Codes a block in every way that is worth trying, and returns the payloads; none where it is not a table.
/// The first payload leaves everything that varies to `mix`.
#[doc(hidden)]
pub fn payloads(raw: &[u8], mix_level: u32) -> Result<Vec<Vec<u8>>> {
    payloads_with(raw, &MixOptions::level(mix_level))
}

fn payloads_with(raw: &[u8], mixing: &MixOptions) -> Result<Vec<Vec<u8>>> {
    let Some(table) = Table::find(raw) else { return Ok(Vec::new()) };
    let plans = plan::plans(&table.profiles());
    let schemas: Vec<Schema> = plans.into_iter().map(|columns| tighten(&table, columns)).collect();
    let mut free = schemas[0].clone();
    let varies = |c: &Column| c.variables() > 0 || c.turn() > 0;
    free.columns.iter_mut().filter(|c| varies(c)).for_each(|c| *c = Column::Text);
    std::iter::once(&free).chain(&schemas).map(|schema| encode_as(&table, schema, mixing)).collect()
}

/// Codes a block of 1..=2^30 bytes if it is a table. The smallest payload wins.
pub fn encode(raw: &[u8], mixing: &MixOptions) -> Result<Option<EncodedBlock>> {
    let best = payloads_with(raw, mixing)?.into_iter().min_by_key(Vec::len);
    let too_long = |p: &Vec<u8>| raw.len() as u64 > max_raw(p.len() as u64);
    Ok(best.filter(|p| !too_long(p)).map(|payload| EncodedBlock {
        codec: Codec::Table,
        raw_len: raw.len() as u32,
        model: None,
        params: None,
        units: Units::fixed(UNIT_LOG2, raw),
        payload,
    }))
}

/// The variables of a record, in order.
fn variables(schema: &Schema) -> Vec<Variable> {
    let mut all = Vec::new();
    for column in &schema.columns {
        let ordinal = match column {
            Column::Text => continue,
            Column::Values(v) => cells::style_of(v.values.iter().map(|v| &v[..])).is_some(),
            Column::Numbers(_) => true,
        };
        if column.symbols() > 1 {
            all.push(Variable { symbols: column.symbols(), ordinal });
        }
        if let Column::Numbers(schema::Numbers { low: low @ 1.., .. }) = column {
            all.push(Variable { symbols: 1 << low, ordinal: true });
        }
    }
    all
}

/// Makes a schema of these columns, leaving out the escape symbols that no cell of the table needs.
fn tighten(table: &Table<'_>, columns: Vec<Column>) -> Schema {
    let mut schema = table.schema(columns);
    let taken = table.write(&schema).taken;
    for (column, taken) in schema.columns.iter_mut().zip(taken) {
        match column {
            Column::Values(v) => v.escape = taken,
            Column::Numbers(n) => n.escape = taken,
            Column::Text => {}
        }
    }
    schema
}

/// Codes the table by a schema. Two numbers of hidden states are tried, and the smaller payload is returned.
fn encode_as(table: &Table<'_>, schema: &Schema, mixing: &MixOptions) -> Result<Vec<u8>> {
    let rows::Writer { records, text, .. } = table.write(schema);
    let variables = variables(schema);
    let coded = mixed(&text, mixing)?;
    if variables.is_empty() {
        return assemble(schema, None, &records, (&text, &coded), mixing);
    }
    let rows = schema.records();
    let most = if rows < MANY_ROWS { 16 } else { 32 };
    let mut best = Vec::new();
    for latents in [most / 2, most] {
        let learning = Learning { latents, passes: if rows < MANY_ROWS { 24 } else { 8 }, rows };
        let weights = learn::learn(&records, &variables, learning)?;
        let payload = assemble(schema, Some(&weights), &records, (&text, &coded), mixing)?;
        if best.is_empty() || payload.len() < best.len() {
            best = payload;
        }
    }
    Ok(best)
}

/// The `mix` payload of these bytes; empty for no bytes.
fn mixed(raw: &[u8], mixing: &MixOptions) -> Result<Vec<u8>> {
    if raw.is_empty() {
        return Ok(Vec::new());
    }
    Ok(mix::encode_block(raw, mixing, Guide::None)?.0)
}

/// Codes records of `width` symbols into windows of the circuit coder.
fn windows(weights: &Weights, records: &[u8], width: usize) -> Result<Vec<EncodedWindow>> {
    let limits = WindowLimits { payload: WINDOW, raw: WINDOW_RAW / width * width };
    let mut windows =
        circuit::encode(&Model::new(weights)?, &Arrangement::Bytes, &[records], limits)?.remove(0);
    windows.iter_mut().for_each(lengthen);
    Ok(windows)
}

/// Puts a payload together from the schema, the circuit, its records' windows, and the text with its `mix`
/// payload.
fn assemble(
    schema: &Schema,
    weights: Option<&Weights>,
    records: &[u8],
    (text, coded): (&[u8], &[u8]),
    mixing: &MixOptions,
) -> Result<Vec<u8>> {
    let width = schema.width();
    let windows = weights.map_or(Ok(Vec::new()), |w| windows(w, records, width))?;
    let mut head = Vec::new();
    schema.put(&mut head);
    let schema_len = head.len();
    head.extend(weights.map_or(Vec::new(), Weights::to_bytes));
    let head_coded = mixed(&head, mixing)?;
    let mut out = Vec::new();
    for n in [schema_len, head.len(), head_coded.len(), text.len(), coded.len(), windows.len()] {
        varint::put(&mut out, n as u64);
    }
    for EncodedWindow { raw_len, payload } in &windows {
        varint::put(&mut out, (raw_len / width) as u64);
        varint::put(&mut out, payload.len() as u64);
    }
    out.extend_from_slice(&head_coded);
    out.extend_from_slice(coded);
    windows.iter().for_each(|w| out.extend_from_slice(&w.payload));
    Ok(out)
}
