//! Encoding of tables.

use super::grid::Table;
use super::learn::{Learning, Variable};
use super::schema::{Column, Schema};
use super::{cells, learn, max_raw, plan, rows, schema};
use crate::codec::Codec;
use crate::codec::circuit;
use crate::codec::circuit::layout::Arrangement;
use crate::codec::encoding::EncodedBlock;
use crate::codec::hints::Guide;
use crate::codec::mix::{self, MixOptions};
use crate::codec::window::{EncodedWindow, WindowLimits, lengthen};
use crate::error::Result;
use crate::format::block::Units;
use crate::format::varint;
use crate::model::circuit::{Model, Weights};
use std::ops::Range;

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;
/// The payload bytes at which a window of records ends.
const WINDOW: usize = 8 << 10;
/// The most bytes of a window's records: as many as the container lets a window have.
const WINDOW_RAW: usize = 1 << 24;
/// From this many rows on, more hidden states pay.
const MANY_ROWS: usize = 16_000;
/// Of a table of more than twice as many rows, the text of a quarter of them, but of so many, is coded to compare ways.
const LOOK: Range<usize> = 1000..2000;

/// Codes a block in every way that is worth trying, and returns the payloads; none where it is not a table.
/// The first payload leaves everything that varies to `mix`.
#[doc(hidden)]
pub fn payloads(raw: &[u8], mix_level: u32) -> Result<Vec<Vec<u8>>> {
    let Some(table) = Table::find(raw) else { return Ok(Vec::new()) };
    let mixing = MixOptions::level(mix_level);
    let payload = |schema| match Way::new(&table, schema, usize::MAX, &mixing)? {
        Some(way) => way.payload(&mixing).map(Some),
        None => Ok(None),
    };
    schemas(&table).into_iter().filter_map(|schema| payload(schema).transpose()).collect()
}

/// Codes a block of 1..=2^30 bytes if it is a table. The smallest payload wins. A long table of which circuits save nothing,
/// and of which nearly all is text, is left to other codecs, unless `only` this one is wanted.
pub fn encode(raw: &[u8], only: bool, mixing: &MixOptions) -> Result<Option<EncodedBlock>> {
    let Some(table) = Table::find(raw) else { return Ok(None) };
    let part = table.part((table.rows() / 4).clamp(LOOK.start, LOOK.end));
    let (mut ways, mut least) = (Vec::new(), usize::MAX);
    for schema in schemas(&table) {
        let text = part.as_ref().map_or(Ok(0), |part| text_len(part, &table, &schema, mixing))?;
        let Some(way) = Way::new(&table, schema, least.saturating_sub(text), mixing)? else { continue };
        if part.is_some() {
            least = text + way.stored.len();
            ways.clear();
        }
        ways.push(way);
    }
    let left_out = |way: &Way| raw.len() - way.text.len();
    if part.is_some()
        && !only
        && ways.iter().all(|w| w.stored.windows.is_empty() && left_out(w) < raw.len() / 8)
    {
        return Ok(None);
    }
    let payloads = ways.iter().map(|way| way.payload(mixing)).collect::<Result<Vec<_>>>()?;
    let best = payloads.into_iter().min_by_key(Vec::len);
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

/// The ways to store the columns of a table that are worth trying. The first leaves everything that varies to `mix`.
fn schemas(table: &Table<'_>) -> Vec<Schema> {
    let plans = plan::plans(&table.profiles());
    let circuits: Vec<Schema> = plans.into_iter().map(|columns| tighten(table, columns)).collect();
    let mut free = circuits[0].clone();
    let varies = |c: &Column| c.variables() > 0 || c.turn() > 0;
    free.columns.iter_mut().filter(|c| varies(c)).for_each(|c| *c = Column::Text);
    std::iter::once(free).chain(circuits).collect()
}

/// The size in bytes to which `mix` is expected to code the text of a table, judged by a part of the table.
fn text_len(part: &Table<'_>, table: &Table<'_>, schema: &Schema, mixing: &MixOptions) -> Result<usize> {
    let schema = part.schema(schema.columns.clone());
    let coded = mixed(&part.write(&schema).text, mixing)?.len();
    Ok(coded * table.rows() / part.rows())
}

/// A table, coded by a schema except for its text.
struct Way {
    schema: Schema,
    text: Vec<u8>,
    stored: Stored,
}

impl Way {
    /// Learns and codes with two numbers of hidden states, and keeps the smaller result; `None` where what is stored beside
    /// the text takes `most` bytes or more.
    fn new(table: &Table<'_>, schema: Schema, most: usize, mixing: &MixOptions) -> Result<Option<Self>> {
        let rows::Writer { records, text, .. } = table.write(&schema);
        let variables = variables(&schema);
        let stored = if variables.is_empty() {
            Some(Stored::new(&schema, None, mixing)?).filter(|stored| stored.len() < most)
        } else {
            Stored::smallest(&schema, &records, &variables, most, mixing)?
        };
        Ok(stored.map(|stored| Self { schema, text, stored }))
    }

    /// Codes the text and puts a payload together.
    fn payload(&self, mixing: &MixOptions) -> Result<Vec<u8>> {
        let (width, text) = (self.schema.width(), mixed(&self.text, mixing)?);
        let Stored { schema_len, head_len, head, windows } = &self.stored;
        let mut out = Vec::new();
        for n in [*schema_len, *head_len, head.len(), self.text.len(), text.len(), windows.len()] {
            varint::put(&mut out, n as u64);
        }
        for EncodedWindow { raw_len, payload } in windows {
            varint::put(&mut out, (raw_len / width) as u64);
            varint::put(&mut out, payload.len() as u64);
        }
        out.extend_from_slice(head);
        out.extend_from_slice(&text);
        windows.iter().for_each(|w| out.extend_from_slice(&w.payload));
        Ok(out)
    }
}

/// What a payload holds beside the text.
struct Stored {
    /// The bytes of the schema, and of schema and circuit together.
    schema_len: usize,
    head_len: usize,
    /// The `mix` payload of schema and circuit.
    head: Vec<u8>,
    /// The circuit's windows.
    windows: Vec<EncodedWindow>,
}

impl Stored {
    fn new(schema: &Schema, circuit: Option<(&Weights, &[u8])>, mixing: &MixOptions) -> Result<Self> {
        let mut head = Vec::new();
        schema.put(&mut head);
        let schema_len = head.len();
        head.extend(circuit.map_or(Vec::new(), |(weights, _)| weights.to_bytes()));
        let windows = match circuit {
            Some((weights, records)) => windows(weights, records, schema.width())?,
            None => Vec::new(),
        };
        Ok(Self { schema_len, head_len: head.len(), head: mixed(&head, mixing)?, windows })
    }

    /// Learns circuits with two numbers of hidden states from records, and codes these. The larger circuit is left out where
    /// the smaller one takes `most` bytes or more; `None` where all do.
    fn smallest(
        schema: &Schema,
        records: &[u8],
        variables: &[Variable],
        most: usize,
        mixing: &MixOptions,
    ) -> Result<Option<Self>> {
        let (states, passes) = if schema.records() < MANY_ROWS { ([8, 16], 24) } else { ([16, 32], 8) };
        let (mut best, mut most) = (None, most);
        for latents in states {
            let learning = Learning { latents, passes, most };
            let Some(weights) = learn::learn(records, variables, learning)? else { break };
            let found = Self::new(schema, Some((&weights, records)), mixing)?;
            if found.len() >= most {
                break;
            }
            most = found.len();
            best = Some(found);
        }
        Ok(best)
    }

    /// The size in bytes.
    fn len(&self) -> usize {
        self.head.len() + self.windows.iter().map(|w| w.payload.len()).sum::<usize>()
    }
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
