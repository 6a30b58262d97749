//! Tables as they stand in a block: their lines and cells.

use super::plan::Profile;
use super::schema::{Column, Schema};
use super::{cells, rows, schema};

/// The least number of rows that is worth a circuit.
const LEAST_ROWS: usize = 256;
/// The least number of columns that is worth a circuit.
const LEAST_COLUMNS: usize = 2;
/// The most lines that a table may have above the one that names its columns.
const MAX_TITLES: usize = 64;
/// The number of bytes that are looked at to guess whether a block is a table.
const GLANCE: usize = 64 << 10;

/// Whether a block looks like a table, judged by its start.
pub fn is_likely(raw: &[u8]) -> bool {
    Table::find(&raw[..raw.len().min(GLANCE)]).is_some()
}

/// A block that is a table, cut into lines and cells.
pub struct Table<'a> {
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
    pub fn find(raw: &'a [u8]) -> Option<Self> {
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

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// A table of some `rows` of these rows, from three places; `None` where that is more than half of them.
    pub fn part(&self, rows: usize) -> Option<Self> {
        let (all, piece) = (self.rows(), rows / 3);
        if all < 2 * rows {
            return None;
        }
        let starts = [0, (all - piece) / 2, all - piece];
        let of = |i: &usize| *i..*i + piece;
        Some(Self {
            lines: starts.iter().flat_map(|i| &self.lines[of(i)]).copied().collect(),
            cells: starts.iter().flat_map(|i| &self.cells[of(i)]).cloned().collect(),
            ..*self
        })
    }

    /// Describes each column for a plan.
    pub fn profiles(&self) -> Vec<Profile> {
        let column = |c: usize| -> Vec<&[u8]> { self.cells.iter().flatten().map(|r| r[c]).collect() };
        (0..self.columns).map(|c| Profile::new(&column(c))).collect()
    }

    /// The schema of this table with these columns.
    pub fn schema(&self, columns: Vec<Column>) -> Schema {
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

    /// Cuts the rows into records and text by a schema.
    pub fn write<'s>(&self, schema: &'s Schema) -> rows::Writer<'s> {
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
