//! The schema of a table: what a decoder needs in addition to the records and the text (`formats/table.md`,
//! "Schema").

use super::cells::Style;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;

/// The largest number of columns of a table.
pub const MAX_COLUMNS: usize = 1024;
/// The largest number of symbols of a variable.
pub const MAX_SYMBOLS: usize = 256;
/// The largest number of low bits, which a number's second variable codes.
pub const MAX_LOW: u8 = 8;
/// The largest number of products in a prediction.
pub const MAX_TERMS: usize = 4;
/// The largest number of factors of a product.
pub const MAX_FACTORS: usize = 3;

/// A coefficient times a product of other columns' numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub coefficient: i64,
    /// The columns whose numbers are multiplied, 1..=[`MAX_FACTORS`] of them.
    pub factors: Vec<usize>,
}

/// How a number is predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prediction {
    /// The prediction is 0.
    None,
    /// The prediction is the number of the row before, or `first` in the first row.
    Previous { first: i64 },
    /// The prediction is `(constant + Σ terms) >> shift` over other numbers of the same row, from columns of
    /// lower turns only.
    Terms { turn: u8, constant: i64, shift: u8, terms: Vec<Term> },
}

/// A column of numbers. One or two variables code the difference of a number from its prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    pub style: Style,
    pub prediction: Prediction,
    /// How many low bits of the difference a second variable codes, 0..=[`MAX_LOW`].
    pub low: u8,
    /// The values of the bits above the low ones, by symbol, in rising order.
    pub high: Vec<i64>,
    /// Whether there is one more symbol, the last, which says that the cell stands in the text.
    pub escape: bool,
}

/// A column with a few distinct cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The cells, by symbol.
    pub values: Vec<Vec<u8>>,
    /// Whether symbol 0 stands for the cell of the row before (in the first row, for the first value), so
    /// that the values start at symbol 1.
    pub previous: bool,
    /// Whether there is one more symbol, the last, which says that the cell stands in the text.
    pub escape: bool,
}

/// How a column is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// Its cells stand in the text.
    Text,
    Values(Values),
    Numbers(Numbers),
}

impl Column {
    /// The number of symbols of the column's first variable; 0 for text.
    pub fn symbols(&self) -> usize {
        match self {
            Column::Text => 0,
            Column::Values(v) => v.values.len() + usize::from(v.previous) + usize::from(v.escape),
            Column::Numbers(n) => n.high.len() + usize::from(n.escape),
        }
    }

    /// The number of variables that the column has in a record. A first variable with a single symbol is left
    /// out.
    pub fn variables(&self) -> usize {
        let low = matches!(self, Column::Numbers(n) if n.low > 0);
        usize::from(self.symbols() > 1) + usize::from(low)
    }

    /// The turn in which the column's numbers are computed: columns with a lower turn come first.
    pub fn turn(&self) -> u8 {
        match self {
            Column::Numbers(Numbers { prediction: Prediction::Terms { turn, .. }, .. }) => *turn,
            _ => 0,
        }
    }
}

/// A table's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The byte between cells.
    pub delimiter: u8,
    /// The byte between the pieces of a row's text. It does not occur in the table.
    pub separator: u8,
    /// Whether rows end with CR LF instead of LF.
    pub carriage_return: bool,
    /// The number of bytes of the text before the first row.
    pub head: usize,
    /// The number of bytes of the text after the last row.
    pub tail: usize,
    /// The number of rows, including those that stand in the text as a whole.
    pub rows: usize,
    /// The numbers, from 0 and in rising order, of the rows that stand in the text as a whole.
    pub whole: Vec<usize>,
    pub columns: Vec<Column>,
}

fn zigzag(x: i64) -> u64 {
    (x << 1 ^ x >> 63) as u64
}

fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

impl Schema {
    /// The number of variables of a record, which is its length in bytes.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Column::variables).sum()
    }

    /// The number of rows that have a record.
    pub fn records(&self) -> usize {
        self.rows - self.whole.len()
    }

    /// Appends the schema.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.delimiter, self.separator, self.carriage_return.into()]);
        for n in [self.head, self.tail, self.rows, self.whole.len()] {
            varint::put(out, n as u64);
        }
        let mut next = 0;
        for &row in &self.whole {
            varint::put(out, (row - next) as u64);
            next = row + 1;
        }
        varint::put(out, self.columns.len() as u64);
        self.columns.iter().for_each(|c| put_column(c, out));
    }

    /// Reads a schema that [`Schema::put`] wrote, and checks everything that decoding relies on.
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let schema = parse(&mut cursor).map_err(|e| e.at_end("the schema of a table"))?;
        if !cursor.rest().is_empty() {
            return Err(corrupt("bytes after its end"));
        }
        schema.check()?;
        Ok(schema)
    }

    fn check(&self) -> Result<()> {
        for column in &self.columns {
            let Column::Numbers(Numbers { prediction: Prediction::Terms { turn, terms, .. }, .. }) = column
            else {
                continue;
            };
            for &factor in terms.iter().flat_map(|t| &t.factors) {
                let other = self.columns.get(factor);
                if !other.is_some_and(|c| matches!(c, Column::Numbers(_)) && c.turn() < *turn) {
                    return Err(corrupt(format!("a number is predicted from column {factor}")));
                }
            }
        }
        Ok(())
    }
}

fn corrupt(message: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("schema of a table: {message}"))
}

fn put_column(column: &Column, out: &mut Vec<u8>) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    match column {
        Column::Text => out.push(0),
        Column::Values(v) => {
            out.push(1 | flag(v.previous, 4) | flag(v.escape, 8));
            varint::put(out, v.values.len() as u64);
            for value in &v.values {
                varint::put(out, value.len() as u64);
                out.extend_from_slice(value);
            }
        }
        Column::Numbers(n) => {
            let kind = match n.prediction {
                Prediction::None => 0,
                Prediction::Previous { .. } => 16,
                Prediction::Terms { .. } => 32,
            };
            out.push(2 | flag(n.style.trim, 4) | flag(n.escape, 8) | kind);
            out.extend_from_slice(&[n.style.decimals, n.style.digits, n.low]);
            match &n.prediction {
                Prediction::None => {}
                Prediction::Previous { first } => varint::put(out, zigzag(*first)),
                Prediction::Terms { turn, constant, shift, terms } => {
                    out.extend_from_slice(&[*turn, *shift, terms.len() as u8]);
                    varint::put(out, zigzag(*constant));
                    for t in terms {
                        varint::put(out, zigzag(t.coefficient));
                        out.push(t.factors.len() as u8);
                        t.factors.iter().for_each(|&f| varint::put(out, f as u64));
                    }
                }
            }
            varint::put(out, n.high.len() as u64);
            let mut before = None;
            for &h in &n.high {
                // The first value, then steps of at least 1.
                let step = before.map_or(zigzag(h), |b: i64| h.wrapping_sub(b) as u64);
                varint::put(out, step);
                before = Some(h);
            }
        }
    }
}

fn parse(c: &mut Cursor<'_>) -> Parsed<Schema> {
    let (delimiter, separator) = (c.u8()?, c.u8()?);
    let ends = c.u8()?;
    if ends > 1 || [delimiter, separator].contains(&b'\n') || delimiter == separator {
        return Err(corrupt("delimiter, separator or line end").into());
    }
    let head = c.varint_in("bytes in front of a table", 0..=1 << 30)? as usize;
    let tail = c.varint_in("bytes after a table", 0..=1 << 30)? as usize;
    let rows = c.varint_in("rows of a table", 1..=1 << 30)? as usize;
    let count = c.varint_in("rows in the text", 0..=rows as u64 - 1)? as usize;
    c.expect(count)?;
    let (mut whole, mut next) = (Vec::with_capacity(count), 0usize);
    for _ in 0..count {
        next +=
            c.varint_in("distance of rows in the text", 0..=(rows - 1).saturating_sub(next) as u64)? as usize;
        if next >= rows {
            return Err(corrupt("a row in the text after the last").into());
        }
        whole.push(next);
        next += 1;
    }
    let count = c.varint_in("columns of a table", 1..=MAX_COLUMNS as u64)?;
    let columns = (0..count).map(|_| parse_column(c)).collect::<Parsed<_>>()?;
    Ok(Schema { delimiter, separator, carriage_return: ends == 1, head, tail, rows, whole, columns })
}

fn parse_column(c: &mut Cursor<'_>) -> Parsed<Column> {
    let kind = c.u8()?;
    let escape = kind & 8 != 0;
    let column = match kind & 3 {
        0 if kind == 0 => Column::Text,
        1 if kind & !0xD == 0 => {
            let count = c.varint_in("values of a column", 1..=MAX_SYMBOLS as u64)?;
            let mut values = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let len = c.varint_in("length of a value", 0..=1 << 16)? as usize;
                values.push(c.take(len)?.to_vec());
            }
            Column::Values(Values { values, previous: kind & 4 != 0, escape })
        }
        2 if kind & !0x3E == 0 && kind & 48 != 48 => Column::Numbers(parse_numbers(c, kind)?),
        _ => return Err(corrupt(format!("a column of kind {kind}")).into()),
    };
    if column.symbols() > MAX_SYMBOLS {
        return Err(corrupt(format!("a column of {} symbols", column.symbols())).into());
    }
    Ok(column)
}

fn parse_numbers(c: &mut Cursor<'_>, kind: u8) -> Parsed<Numbers> {
    let (decimals, digits, low) = (c.u8()?, c.u8()?, c.u8()?);
    if decimals > 9 || !(1..=15).contains(&digits) || low > MAX_LOW {
        return Err(corrupt(format!("numbers of {digits}.{decimals} digits, {low} low bits")).into());
    }
    let prediction = match kind & 48 {
        0 => Prediction::None,
        16 => Prediction::Previous { first: unzigzag(c.varint("first number")?) },
        _ => parse_terms(c)?,
    };
    let count = c.varint_in("symbols of a number", 1..=MAX_SYMBOLS as u64)?;
    let (mut high, mut last) = (Vec::with_capacity(count as usize), None);
    for _ in 0..count {
        let step = c.varint("symbol of a number")?;
        let value = match last {
            None => Some(unzigzag(step)),
            Some(before) => i64::checked_add_unsigned(before, step).filter(|_| step > 0),
        };
        last = value;
        high.push(value.ok_or_else(|| corrupt("symbols of a number do not rise"))?);
    }
    let style = Style { decimals, digits, trim: kind & 4 != 0 };
    Ok(Numbers { style, prediction, low, high, escape: kind & 8 != 0 })
}

fn parse_terms(c: &mut Cursor<'_>) -> Parsed<Prediction> {
    let (turn, shift, count) = (c.u8()?, c.u8()?, usize::from(c.u8()?));
    if turn == 0 || shift > 62 || count > MAX_TERMS {
        return Err(corrupt(format!("turn {turn}, shift {shift}, {count} terms")).into());
    }
    let constant = unzigzag(c.varint("constant of a prediction")?);
    let mut terms = Vec::with_capacity(count);
    for _ in 0..count {
        let coefficient = unzigzag(c.varint("coefficient of a prediction")?);
        let n = c.u8()?;
        if !(1..=MAX_FACTORS).contains(&usize::from(n)) {
            return Err(corrupt(format!("a product of {n} factors")).into());
        }
        let factor = |c: &mut Cursor<'_>| c.varint_in("column of a factor", 0..=MAX_COLUMNS as u64);
        let factors = (0..n).map(|_| Ok(factor(c)? as usize)).collect::<Parsed<_>>()?;
        terms.push(Term { coefficient, factors });
    }
    Ok(Prediction::Terms { turn, constant, shift, terms })
}

impl Prediction {
    /// The prediction for a row, given the column's number in the row before and the numbers of the row. Sums
    /// and products wrap.
    pub fn of(&self, previous: i64, numbers: &[i64]) -> i64 {
        match self {
            Prediction::None => 0,
            Prediction::Previous { .. } => previous,
            Prediction::Terms { constant, shift, terms, .. } => {
                let term =
                    |t: &Term| t.factors.iter().fold(t.coefficient, |p, &f| p.wrapping_mul(numbers[f]));
                let sum = terms.iter().map(term).fold(*constant, i64::wrapping_add);
                sum >> shift
            }
        }
    }
}
