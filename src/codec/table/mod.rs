//! The `table` codec: columns of delimited text become variables of a circuit that is learned from the block
//! itself; columns that do not suit a circuit are coded by `mix`. Specified in `formats/table.md`.

mod cells;
mod learn;
mod plan;
mod predict;
mod rows;
mod schema;

use super::Codec;
use super::block::{Block, BlockCodec, BlockJob, Content, Effort, EncodedBlock, OrderedBlock, UnitKind};
use super::buffer::resize;
use super::circuit;
use super::circuit::layout::Arrangement;
use super::hints::Guide;
use super::mix::{self, BlockDecoder, MixOptions};
use super::ordered::{self, Reader};
use super::reader::DecodedBlock;
use super::window::{EncodedWindow, WindowJob, WindowLimits, lengthen, max_window_raw};
use crate::error::{Error, Result};
use crate::format::block::Units;
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;
use crate::kernel::Kernel;
use crate::model::circuit::{Model, Weights};
use crate::model::mix::context::Kind;
use crate::model::mix::shipped;
use crate::progress::Meter;
use learn::{Learning, Variable};
use plan::Profile;
use schema::{Column, Schema};

/// Check units are 2^20 raw bytes.
const UNIT_LOG2: u8 = 20;
/// The most bytes that schema and model may have together, uncompressed.
const MAX_HEAD: u64 = 1 << 26;
/// The payload bytes at which a window of records ends.
const WINDOW: usize = 8 << 10;
/// The most bytes of a window's records: as many as the container lets a window have.
const WINDOW_RAW: usize = 1 << 24;
/// The least number of rows that is worth a circuit.
const LEAST_ROWS: usize = 256;
/// The least number of columns that is worth a circuit.
const LEAST_COLUMNS: usize = 2;
/// The most lines that a table may have above the one that names its columns.
const MAX_TITLES: usize = 64;
/// From this many rows on, more hidden states pay.
const MANY_ROWS: usize = 16_000;

/// The first level at which the automatic choice looks for tables.
const FIRST_LEVEL: u8 = 6;
/// The number of bytes that are looked at to guess whether a block is a table.
const GLANCE: usize = 64 << 10;

/// The codec `table`.
pub struct TableCodec;

impl BlockCodec for TableCodec {
    fn id(&self) -> Codec {
        Codec::Table
    }

    fn name(&self) -> &'static str {
        "table"
    }

    fn units(&self) -> UnitKind {
        UnitKind::Fixed
    }

    fn may_be_inside(&self) -> bool {
        true
    }

    fn max_raw(&self, payload_len: u64) -> u64 {
        max_raw(payload_len)
    }

    fn is_tried(&self, level: u8) -> bool {
        // `mix` codes the text of tables.
        level >= FIRST_LEVEL && shipped::has(Kind::Text)
    }

    fn encoding_memory(&self, len: usize, raw: Option<&[u8]>, effort: &Effort<'_>) -> Option<u64> {
        let cells = if raw.is_some_and(is_likely) { 8 * len as u64 } else { 0 };
        let text = Effort { guide: Guide::None, ..*effort };
        Some(cells + Codec::Mix.object().encoding_memory(len, raw, &text)?)
    }

    fn start_len(&self) -> u64 {
        shipped::PACKED_LEN
    }

    fn encode(&self, content: &Content<'_>, effort: &Effort<'_>) -> Result<Option<EncodedBlock>> {
        let (raw, level) = (content.raw, mix::level(effort.level).max(1));
        // Decoding holds rows, symbols and the parts that `mix` has coded.
        let limit = effort.limit.saturating_sub(6 * raw.len() as u64);
        match MixOptions::within(level, raw.len(), limit, false) {
            Some(options) => encode(raw, &options),
            None => Ok(None),
        }
    }

    fn working_memory(&self, block: &Block, payload: &[u8]) -> u64 {
        working_memory(payload, block.header.raw_len as usize)
    }

    fn decode(&self, jobs: &mut [&mut BlockJob<'_>]) {
        ordered::decode(jobs);
    }

    fn open(&self, block: &OrderedBlock<'_>, _raw: &mut Vec<u8>) -> Result<Box<dyn Reader>> {
        let raw_len = block.block.header.raw_len as usize;
        Ok(Box::new(DecodedBlock::new(decode(block.payload, raw_len, block.memory)?)))
    }

    fn own_model_len(&self, read: &mut dyn FnMut(u64) -> Result<Vec<u8>>) -> Result<u64> {
        Ok(own_model_len(&read(LENGTHS as u64)?).unwrap_or(0))
    }
}

/// The largest raw length that `payload_len` bytes of payload may stand for.
fn max_raw(payload_len: u64) -> u64 {
    payload_len << 15
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
fn encode(raw: &[u8], mixing: &MixOptions) -> Result<Option<EncodedBlock>> {
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

/// Whether a block looks like a table, judged by its start.
pub fn is_likely(raw: &[u8]) -> bool {
    Table::find(&raw[..raw.len().min(GLANCE)]).is_some()
}

/// A block that is a table, cut into lines and cells.
struct Table<'a> {
    /// The bytes before the first row: the line that names the columns, and any titles above it.
    head: &'a [u8],
    /// The bytes after the last LF.
    tail: &'a [u8],
    /// The rows as they are, without LF.
    lines: Vec<&'a [u8]>,
    /// The cells of each row; `None` for a line that does not have `columns` cells and the usual line end.
    cells: Vec<Option<Vec<&'a [u8]>>>,
    delimiter: u8,
    separator: u8,
    carriage_return: bool,
    columns: usize,
}

impl<'a> Table<'a> {
    /// Cuts a block into lines and cells. `None` where it has too few lines, where fewer than 95 % of them
    /// have the usual number of cells, or where every byte that could be a separator occurs in it.
    fn find(raw: &'a [u8]) -> Option<Self> {
        let separator = [b'\t', b';', b'|', 0x1F, 0].into_iter().find(|b| !raw.contains(b))?;
        let last = raw.iter().rposition(|&b| b == b'\n')? + 1;
        let (body, tail) = raw.split_at(last);
        let mut lines: Vec<&[u8]> =
            body.split_inclusive(|&b| b == b'\n').map(|l| &l[..l.len() - 1]).collect();
        if lines.len() <= LEAST_ROWS {
            return None;
        }
        let with = lines[1..].iter().filter(|l| l.ends_with(b"\r")).count();
        let carriage_return = with * 2 > lines.len() - 1;
        let (delimiter, columns) = shape(&lines[1..])?;
        let mut scratch = Vec::new();
        let mut cut = |line: &&'a [u8]| {
            let line = if carriage_return { line.strip_suffix(b"\r")? } else { line };
            cells::split(line, delimiter, &mut scratch);
            (scratch.len() == columns).then(|| scratch.clone())
        };
        let names = lines.iter().take(MAX_TITLES).position(|line| cut(line).is_some()).unwrap_or(0);
        let head = &raw[..lines.drain(..=names).map(|line| line.len() + 1).sum()];
        let cells: Vec<Option<Vec<&[u8]>>> = lines.iter().map(cut).collect();
        if lines.len() < LEAST_ROWS {
            return None;
        }
        let fitting = cells.iter().flatten().count();
        (fitting * 20 >= lines.len() * 19).then_some(Self {
            head,
            tail,
            lines,
            cells,
            delimiter,
            separator,
            carriage_return,
            columns,
        })
    }

    fn profiles(&self) -> Vec<Profile> {
        let column = |c: usize| -> Vec<&[u8]> { self.cells.iter().flatten().map(|r| r[c]).collect() };
        (0..self.columns).map(|c| Profile::new(&column(c))).collect()
    }

    fn schema(&self, columns: Vec<Column>) -> Schema {
        let whole = self.cells.iter().enumerate().filter(|(_, c)| c.is_none()).map(|(i, _)| i).collect();
        Schema {
            delimiter: self.delimiter,
            separator: self.separator,
            carriage_return: self.carriage_return,
            head: self.head.len(),
            tail: self.tail.len(),
            rows: self.lines.len(),
            whole,
            columns,
        }
    }

    fn write<'s>(&self, schema: &'s Schema) -> rows::Writer<'s> {
        let mut writer = rows::Writer::new(schema);
        writer.text.extend_from_slice(self.head);
        for (cells, line) in self.cells.iter().zip(&self.lines) {
            match cells {
                Some(cells) => writer.row(cells),
                None => writer.whole(line),
            }
        }
        writer.text.extend_from_slice(self.tail);
        writer
    }
}

/// The delimiter that cuts the most lines into the same number of cells, and that number. `None` where no
/// delimiter does so for 95 % of the first 512 lines.
fn shape(lines: &[&[u8]]) -> Option<(u8, usize)> {
    let sample = &lines[..lines.len().min(512)];
    let count = |delimiter: u8| {
        let mut cells = Vec::new();
        let mut widths = Vec::with_capacity(sample.len());
        for line in sample {
            cells::split(line, delimiter, &mut cells);
            widths.push(cells.len());
        }
        let mut sorted = widths.clone();
        sorted.sort_unstable();
        let usual = sorted[sorted.len() / 2];
        (widths.iter().filter(|&&w| w == usual).count(), usual)
    };
    let candidates = [b',', b';', b'\t', b'|'].map(|d| (d, count(d)));
    let fits = |rows: usize, columns: usize| {
        (LEAST_COLUMNS..=schema::MAX_COLUMNS).contains(&columns) && rows * 20 >= sample.len() * 19
    };
    let fitting = candidates.into_iter().filter(|&(_, (rows, columns))| fits(rows, columns));
    fitting.max_by_key(|&(_, (rows, columns))| (rows, columns)).map(|(d, (_, columns))| (d, columns))
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

/// The lengths at the start of a payload. Pairs hold an uncompressed length and a payload length.
struct Lengths {
    schema: usize,
    head: (usize, usize),
    text: (usize, usize),
    /// For each window, the number of its records and its payload bytes.
    windows: Vec<(usize, usize)>,
}

/// Reads the lengths, and cuts the rest into the payloads of head, text and windows.
fn parts(payload: &[u8], raw_len: usize) -> Result<(Lengths, [&[u8]; 3])> {
    let mut cursor = Cursor::new(payload);
    let lengths = read_lengths(&mut cursor, raw_len).map_err(|e| e.at_end("a table's payload"))?;
    let rest = cursor.rest();
    let (head, text) = (lengths.head.1, lengths.text.1);
    let records: usize = lengths.windows.iter().map(|w| w.1).fold(0, usize::saturating_add);
    let Some((head, rest)) = rest.split_at_checked(head) else {
        return Err(Error::truncated("a table's payload ends inside its schema"));
    };
    let Some((text, rest)) = rest.split_at_checked(text) else {
        return Err(Error::truncated("a table's payload ends inside its text"));
    };
    if rest.len() != records {
        let found = rest.len();
        return Err(Error::corrupt(format!("table: windows of {records} bytes expected, {found} found")));
    }
    Ok((lengths, [head, text, rest]))
}

fn read_lengths(c: &mut Cursor<'_>, raw_len: usize) -> Parsed<Lengths> {
    let most = raw_len as u64;
    let schema = c.varint_in("schema of a table", 1..=MAX_HEAD)?;
    let head = c.varint_in("schema and model of a table", schema..=MAX_HEAD)?;
    let head_len = c.varint_in("their payload", 0..=2 * MAX_HEAD)?;
    // Every byte of the text stands for a byte of the table: separators and LFs for delimiters and line ends.
    let text = c.varint_in("text of a table", 0..=most)?;
    let text_len = c.varint_in("payload of a table's text", 0..=2 * most + 65536)?;
    let count = c.varint_in("windows of a table", 0..=most)? as usize;
    c.expect(count.saturating_mul(2))?;
    let mut windows = Vec::with_capacity(count);
    for _ in 0..count {
        let records = c.varint_in("records of a window", 1..=most)? as usize;
        windows.push((records, c.varint_in("payload of a window", 0..=1 << 20)? as usize));
    }
    let cast = |n: u64| n as usize;
    Ok(Lengths {
        schema: cast(schema),
        head: (cast(head), cast(head_len)),
        text: (cast(text), cast(text_len)),
        windows,
    })
}

/// The memory in bytes (approximate) that decoding a payload takes without its circuit, of which nothing is
/// known before the schema is decoded; 0 where the payload is damaged.
fn working_memory(payload: &[u8], raw_len: usize) -> u64 {
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

/// The number of a payload's first bytes that [`own_model_len`] needs: those of three varints.
pub const LENGTHS: usize = 3 * 10;

/// The number of payload bytes that the schema and the circuit take, read from the payload's first
/// [`LENGTHS`] bytes; 0 where there is no circuit.
pub fn own_model_len(start: &[u8]) -> Option<u64> {
    let mut c = Cursor::new(start);
    let [schema, head, stored] =
        [c.varint("schema").ok()?, c.varint("head").ok()?, c.varint("payload").ok()?];
    Some(if head > schema { stored } else { 0 })
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
