//! Turns rows into records of symbols and text according to a schema, and back (`formats/table.md`, "Rows").

use super::cells;
use super::schema::{Column, Numbers, Prediction, Schema, Values};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The latest values and numbers of each column, as the next row sees them.
struct Before {
    /// For columns of values, the index of the latest value.
    value: Vec<usize>,
    number: Vec<i64>,
}

impl Before {
    fn new(schema: &Schema) -> Self {
        let first = |c: &Column| match c {
            Column::Numbers(Numbers { prediction: Prediction::Previous { first }, .. }) => *first,
            _ => 0,
        };
        Self { value: vec![0; schema.columns.len()], number: schema.columns.iter().map(first).collect() }
    }
}

/// The columns of numbers in the order in which their numbers are computed: by rising turn.
fn order(schema: &Schema) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..schema.columns.len()).filter(|&c| matches!(schema.columns[c], Column::Numbers(_))).collect();
    order.sort_by_key(|&c| schema.columns[c].turn());
    order
}

/// For each column, the index of its first variable in a record.
fn places(schema: &Schema) -> Vec<usize> {
    let widths = schema.columns.iter().map(Column::variables);
    widths.scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect()
}

/// Writes rows as records and text.
pub struct Writer<'s> {
    schema: &'s Schema,
    order: Vec<usize>,
    places: Vec<usize>,
    symbols: Vec<HashMap<&'s [u8], usize>>,
    before: Before,
    pub records: Vec<u8>,
    pub text: Vec<u8>,
    /// For each column, whether any of its cells has no symbol and so stands in the text.
    pub taken: Vec<bool>,
}

impl<'s> Writer<'s> {
    pub fn new(schema: &'s Schema) -> Self {
        let index = |c: &'s Column| match c {
            Column::Values(v) => v.values.iter().enumerate().map(|(i, v)| (&v[..], i)).collect(),
            _ => HashMap::new(),
        };
        Self {
            schema,
            order: order(schema),
            places: places(schema),
            symbols: schema.columns.iter().map(index).collect(),
            before: Before::new(schema),
            records: Vec::new(),
            text: Vec::new(),
            taken: vec![false; schema.columns.len()],
        }
    }

    /// Appends a row, given as one cell for each column.
    pub fn row(&mut self, row: &[&[u8]]) {
        let (schema, at) = (self.schema, self.records.len());
        self.records.resize(at + schema.width(), 0);
        let mut escaped = vec![false; row.len()];
        for (c, column) in schema.columns.iter().enumerate() {
            if let Column::Values(v) = column {
                let symbol = self.value(c, v, row[c]);
                escaped[c] = symbol.is_none();
                self.put(at, c, symbol, 0);
            }
        }
        let mut numbers = vec![0; row.len()];
        for i in 0..self.order.len() {
            let c = self.order[i];
            let Column::Numbers(n) = &schema.columns[c] else { continue };
            let value = cells::parse(row[c], n.style);
            let previous = self.before.number[c];
            let predicted = n.prediction.of(previous, &numbers);
            numbers[c] = value.unwrap_or(previous);
            self.before.number[c] = numbers[c];
            let above = value.map(|v| v.wrapping_sub(predicted));
            let symbol = above.and_then(|a| n.high.binary_search(&(a >> n.low)).ok());
            escaped[c] = symbol.is_none();
            let low = above.filter(|_| symbol.is_some()).unwrap_or(0) & ((1 << n.low) - 1);
            self.put(at, c, symbol, low as u8);
        }
        self.taken.iter_mut().zip(&escaped).for_each(|(t, e)| *t |= e);
        self.row_text(row, &escaped);
    }

    fn value(&mut self, c: usize, v: &Values, cell: &[u8]) -> Option<usize> {
        let found = self.symbols[c].get(cell).copied()?;
        let same = std::mem::replace(&mut self.before.value[c], found) == found;
        Some(if v.previous && same { 0 } else { found + usize::from(v.previous) })
    }

    fn put(&mut self, at: usize, c: usize, symbol: Option<usize>, low: u8) {
        let column = &self.schema.columns[c];
        let mut at = at + self.places[c];
        if column.symbols() > 1 {
            // The last symbol is the escape: it says that the cell stands in the text.
            self.records[at] = symbol.unwrap_or(column.symbols() - 1) as u8;
            at += 1;
        }
        if let Column::Numbers(Numbers { low: 1.., .. }) = column {
            self.records[at] = low;
        }
    }

    fn row_text(&mut self, row: &[&[u8]], escaped: &[bool]) {
        let (mut any, mut open) = (false, false);
        for (c, column) in self.schema.columns.iter().enumerate() {
            let text = *column == Column::Text;
            if text || escaped[c] {
                if any {
                    self.text.push(if open && text { self.schema.delimiter } else { self.schema.separator });
                }
                self.text.extend_from_slice(row[c]);
                any = true;
            }
            open = text;
        }
        if any {
            self.text.push(b'\n');
        }
    }

    /// Appends a row that stands in the text as a whole, given without its LF.
    pub fn whole(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}

/// Whether a cell of this column may stand in the text.
pub fn escapes_allowed(column: &Column) -> bool {
    match column {
        Column::Text => true,
        Column::Values(v) => v.escape,
        Column::Numbers(n) => n.escape,
    }
}

/// Restores the raw bytes of a table, exactly `raw_len` of them.
///
/// # Errors
/// `Corrupt` where records or text do not match the schema or the length; `LimitExceeded` where memory is
/// missing.
pub fn restore(schema: &Schema, records: &[u8], text: &[u8], raw_len: usize) -> Result<Vec<u8>> {
    let mut reader = Reader::new(schema, text, raw_len)?;
    reader.head()?;
    let width = schema.width();
    let (mut left, mut whole) = (records, schema.whole.iter().peekable());
    for row in 0..schema.rows {
        if whole.next_if_eq(&&row).is_some() {
            reader.whole()?;
        } else {
            let (record, rest) =
                left.split_at_checked(width).ok_or_else(|| corrupt("fewer records than rows"))?;
            left = rest;
            reader.row(record).map_err(|e| e.within(format!("row {row}")))?;
        }
    }
    reader.tail()
}

fn corrupt(message: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("table: {message}"))
}

struct Reader<'a> {
    schema: &'a Schema,
    order: Vec<usize>,
    places: Vec<usize>,
    before: Before,
    /// The unread text between head and tail.
    text: &'a [u8],
    head: &'a [u8],
    tail: &'a [u8],
    raw: Vec<u8>,
    raw_len: usize,
    /// For each column of the current row, whether its cell stands in the text.
    escaped: Vec<bool>,
    /// For each column of values, the index of the value.
    values: Vec<usize>,
    /// For each column of numbers, the difference of the number from its prediction.
    above: Vec<i64>,
    /// For each column of numbers, the number.
    numbers: Vec<i64>,
    /// For each column that starts a piece of the row's text, the piece: one cell or a run of cells.
    cells: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    fn new(schema: &'a Schema, text: &'a [u8], raw_len: usize) -> Result<Self> {
        let ends = schema.head.checked_add(schema.tail).filter(|&n| n <= text.len());
        ends.ok_or_else(|| corrupt("its text is too short"))?;
        let (head, text) = text.split_at(schema.head);
        let (text, tail) = text.split_at(text.len() - schema.tail);
        let mut raw = Vec::new();
        // Memory grows with what has been restored, not with what the header declares.
        raw.try_reserve(raw_len.min(1 << 20)).map_err(|_| Error::limit("no memory for a table"))?;
        let n = schema.columns.len();
        Ok(Self {
            schema,
            order: order(schema),
            places: places(schema),
            before: Before::new(schema),
            text,
            head,
            tail,
            raw,
            raw_len,
            escaped: vec![false; n],
            values: vec![0; n],
            above: vec![0; n],
            numbers: vec![0; n],
            cells: vec![&[]; n],
        })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.raw_len - self.raw.len() {
            return Err(corrupt(format!(
                "its rows give more than the {} raw bytes of the block",
                self.raw_len
            )));
        }
        self.raw.try_reserve(bytes.len()).map_err(|_| Error::limit("no memory for a table"))?;
        self.raw.extend_from_slice(bytes);
        Ok(())
    }

    fn head(&mut self) -> Result<()> {
        self.push(self.head)
    }

    /// Takes the text up to the next of the bytes `ends`, which must occur, and returns it with that byte.
    fn piece(&mut self, ends: &[u8]) -> Result<(&'a [u8], u8)> {
        let end = self.text.iter().position(|b| ends.contains(b));
        let end = end.ok_or_else(|| corrupt("its text ends too early"))?;
        let (piece, rest) = self.text.split_at(end);
        self.text = &rest[1..];
        Ok((piece, rest[0]))
    }

    fn whole(&mut self) -> Result<()> {
        let (line, _) = self.piece(b"\n")?;
        self.push(line)?;
        self.push(b"\n")
    }

    fn row(&mut self, record: &[u8]) -> Result<()> {
        self.read_symbols(record)?;
        self.read_text()?;
        self.work_out();
        let mut cell = Vec::new();
        let schema = self.schema;
        let mut in_text = false;
        for (c, column) in schema.columns.iter().enumerate() {
            let inside = in_text && *column == Column::Text;
            in_text = *column == Column::Text;
            // The first column of a run of text columns has written the whole run.
            if inside {
                continue;
            }
            if c > 0 {
                self.push(&[schema.delimiter])?;
            }
            match column {
                Column::Values(v) if !self.escaped[c] => self.push(&v.values[self.values[c]])?,
                Column::Numbers(n) if !self.escaped[c] => {
                    cell.clear();
                    cells::print(self.numbers[c], n.style, &mut cell);
                    self.push(&cell)?;
                }
                _ => self.push(self.cells[c])?,
            }
        }
        self.push(if schema.carriage_return { b"\r\n" } else { b"\n" })
    }

    fn read_symbols(&mut self, record: &[u8]) -> Result<()> {
        for (c, column) in self.schema.columns.iter().enumerate() {
            let at = self.places[c];
            let (first, low) = match column.symbols() {
                2.. => (usize::from(record[at]), at + 1),
                _ => (0, at),
            };
            let count = column.symbols();
            if first >= count.max(1) {
                return Err(corrupt(format!("symbol {first} of column {c}, which has {count}")));
            }
            self.escaped[c] = escapes_allowed(column) && *column != Column::Text && first + 1 == count;
            match column {
                Column::Text => {}
                _ if self.escaped[c] => {}
                Column::Values(v) => {
                    let value = if v.previous && first == 0 {
                        self.before.value[c]
                    } else {
                        first - usize::from(v.previous)
                    };
                    (self.values[c], self.before.value[c]) = (value, value);
                }
                Column::Numbers(n) => {
                    let low = if n.low > 0 { i64::from(record[low]) } else { 0 };
                    self.above[c] = (n.high[first].wrapping_shl(n.low.into())).wrapping_add(low);
                }
            }
        }
        Ok(())
    }

    /// Takes the row's pieces from the text: one for each run of text columns and one for each escaped cell.
    fn read_text(&mut self) -> Result<()> {
        let schema = self.schema;
        let (mut open, mut any) = (false, false);
        let mut ended = false;
        for (c, column) in schema.columns.iter().enumerate() {
            let text = *column == Column::Text;
            if (text && !open) || self.escaped[c] {
                if ended {
                    return Err(corrupt("a row's text ends too early"));
                }
                let (piece, end) = self.piece(&[schema.separator, b'\n'])?;
                self.cells[c] = piece;
                (any, ended) = (true, end == b'\n');
            }
            open = text;
        }
        if any && !ended { Err(corrupt("a row's text goes on")) } else { Ok(()) }
    }

    fn work_out(&mut self) {
        for i in 0..self.order.len() {
            let c = self.order[i];
            let Column::Numbers(n) = &self.schema.columns[c] else { continue };
            let previous = self.before.number[c];
            self.numbers[c] = if self.escaped[c] {
                cells::parse(self.cells[c], n.style).unwrap_or(previous)
            } else {
                n.prediction.of(previous, &self.numbers).wrapping_add(self.above[c])
            };
            self.before.number[c] = self.numbers[c];
        }
    }

    fn tail(mut self) -> Result<Vec<u8>> {
        self.push(self.tail)?;
        if !self.text.is_empty() || self.raw.len() != self.raw_len {
            let (found, wanted) = (self.raw.len(), self.raw_len);
            return Err(corrupt(format!("{wanted} raw bytes expected, {found} found")));
        }
        Ok(self.raw)
    }
}
