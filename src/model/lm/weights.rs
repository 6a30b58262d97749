//! The weight file of a language model (`formats/lm.md`, section "Weight file").

use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every weight file of a language model.
pub const MAGIC: [u8; 8] = *b"\x93NZLM\r\n\x1a";
/// The version of the weight file and of the integer step that it drives.
pub const VERSION: u16 = 1;

/// The shape of one embedding table, whose rows are selected by a hash of the last bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableConfig {
    /// How many of the last bytes select the row, 1..=8.
    pub order: u8,
    /// log2 of the number of rows, 1..=20; exactly 8 for order 1, whose row is the byte itself.
    pub log2_rows: u8,
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The width of the residual stream, a multiple of 2.
    pub width: usize,
    /// The width of the recurrent state of a layer, a multiple of 2.
    pub state: usize,
    /// The hidden width of the feed-forward part, a multiple of 2.
    pub hidden: usize,
    /// The number of layers.
    pub layers: usize,
    /// The number of entries per row of the n-gram tables, a multiple of 2.
    pub table_width: usize,
    /// The n-gram tables.
    pub tables: Vec<TableConfig>,
}

/// A matrix of int8 weights with an int32 bias and a right shift per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The number of outputs.
    pub rows: usize,
    /// The number of inputs, even.
    pub cols: usize,
    /// Row-major weights, `rows * cols`.
    pub weights: Vec<i8>,
    /// One per row, added to the sum of products before the shift.
    pub bias: Vec<i32>,
    /// One per row, 0..=31.
    pub shift: Vec<u8>,
}

/// One layer of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `3·state × width`: update gate, candidate, output gate.
    pub gates: Matrix,
    /// `width × state`.
    pub out: Matrix,
    /// `hidden × width`.
    pub up: Matrix,
    /// `width × hidden`.
    pub down: Matrix,
}

/// A whole weight file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// The shape, with which all other fields agree.
    pub config: Config,
    /// The n-gram tables, row-major, `2^log2_rows × table_width` each.
    pub tables: Vec<Vec<i8>>,
    /// `width × (tables · table_width)`.
    pub input: Matrix,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// `256 × width`.
    pub head: Matrix,
}

impl TableConfig {
    /// The row that the last bytes of a window select (`formats/lm.md`, "Row of a table"). `newest_first`
    /// returns at least `order` of them, with zeros for those before the window's start.
    #[inline]
    pub fn row(&self, mut newest_first: impl Iterator<Item = u8>) -> usize {
        if self.order == 1 {
            return newest_first.next().map_or(0, usize::from);
        }
        let mut key = u32::from(self.order);
        for byte in newest_first.take(usize::from(self.order)) {
            key = key.wrapping_add(u32::from(byte)).wrapping_add(1).wrapping_mul(0x9E37_79B1);
            key ^= key >> 15;
        }
        (key.wrapping_mul(0x85EB_CA6B) >> (32 - u32::from(self.log2_rows))) as usize
    }
}

/// The largest values that a file may declare in its shape (see `Config::check`).
const MAX_SIZE: usize = 1024;
const MAX_LAYERS: usize = 16;
const MAX_TABLES: usize = 8;
const MAX_ORDER: u8 = 8;
const MAX_LOG2_ROWS: u8 = 20;
const MAX_SHIFT: u8 = 31;
/// The bytes before the list of tables: magic, version, three sizes, three counts.
const FIXED_HEADER: usize = 8 + 2 + 6 + 3;

/// The largest magnitude of the inputs of the `input` matrix: table entries are int8.
const INPUT_BOUND: i64 = 128;
/// The largest magnitude of the inputs of all other matrices.
const ACTIVATION_BOUND: i64 = 32767;

impl Config {
    /// Refuses a shape outside the limits of the specification.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("width", self.width),
            ("state", self.state),
            ("hidden", self.hidden),
            ("table width", self.table_width),
        ];
        for (name, value) in sizes {
            let max = if name == "table width" { 2 * usize::from(u8::MAX) } else { MAX_SIZE };
            if value < 2 || value > max || value % 2 != 0 {
                return Err(Error::corrupt(format!(
                    "weight file: {name} is {value}, expected an even number in 2..={max}"
                )));
            }
        }
        check_count("layers", self.layers, MAX_LAYERS)?;
        check_count("tables", self.tables.len(), MAX_TABLES)?;
        for (j, table) in self.tables.iter().enumerate() {
            let rows = table.log2_rows;
            if !(1..=MAX_ORDER).contains(&table.order) || !(1..=MAX_LOG2_ROWS).contains(&rows) {
                return Err(Error::corrupt(format!(
                    "weight file: table {j} has order {} and 2^{rows} rows, expected order 1..={MAX_ORDER} \
                     and exponent 1..={MAX_LOG2_ROWS}",
                    table.order
                )));
            }
            if table.order == 1 && rows != 8 {
                return Err(Error::corrupt(format!(
                    "weight file: table {j} of order 1 has 2^{rows} rows, expected 2^8"
                )));
            }
        }
        Ok(())
    }

    /// The rows and columns of every matrix in file order.
    fn matrix_shapes(&self) -> impl Iterator<Item = (usize, usize)> {
        let (d, h, m) = (self.width, self.state, self.hidden);
        let input = (d, self.tables.len() * self.table_width);
        let layer = [(3 * h, d), (d, h), (m, d), (d, m)];
        std::iter::once(input)
            .chain((0..self.layers).flat_map(move |_| layer))
            .chain(std::iter::once((256, d)))
    }

    /// The length in bytes of a weight file of this shape, which must have passed [`Config::check`].
    pub fn file_len(&self) -> u64 {
        let tables: u64 = self.tables.iter().map(|t| (self.table_width as u64) << t.log2_rows).sum();
        let matrices: u64 = self.matrix_shapes().map(|(rows, cols)| (rows * cols + 5 * rows) as u64).sum();
        (FIXED_HEADER + 2 * self.tables.len()) as u64 + tables + matrices
    }

    /// The number of multiply-adds of the matrix products for each byte.
    pub fn multiply_adds(&self) -> u64 {
        self.matrix_shapes().map(|(rows, cols)| (rows * cols) as u64).sum()
    }
}

fn check_count(name: &str, value: usize, max: usize) -> Result<()> {
    if value < 1 || value > max {
        return Err(Error::corrupt(format!("weight file: {value} {name}, expected 1..={max}")));
    }
    Ok(())
}

impl Matrix {
    /// Refuses a row whose shift is too large, or whose accumulator could overflow 32 bits for inputs of
    /// magnitude up to `bound`. All kernels rely on this: they add without checks.
    fn check(&self, name: &str, bound: i64) -> Result<()> {
        let rows = self.weights.chunks_exact(self.cols);
        for (r, ((row, &bias), &shift)) in rows.zip(&self.bias).zip(&self.shift).enumerate() {
            if shift > MAX_SHIFT {
                return Err(Error::corrupt(format!(
                    "weight file: {name} row {r} has shift {shift}, expected at most {MAX_SHIFT}"
                )));
            }
            let sum: i64 = row.iter().map(|&w| i64::from(w).abs()).sum();
            let round = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
            if i64::from(bias).abs() + bound * sum + round >= 1 << 31 {
                return Err(Error::corrupt(format!(
                    "weight file: {name} row {r} could overflow its 32-bit accumulator"
                )));
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.weights.iter().map(|&w| w as u8));
        for b in &self.bias {
            out.extend_from_slice(&b.to_le_bytes());
        }
        out.extend_from_slice(&self.shift);
    }
}

/// A cursor over the bytes of a weight file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(|| {
            Error::truncated(format!("weight file: {n} bytes expected, {} left", self.0.len()))
        })?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        let b = self.take(2)?;
        Ok(u16::from_le_bytes([b[0], b[1]]))
    }

    fn i8s(&mut self, n: usize) -> Result<Vec<i8>> {
        Ok(self.take(n)?.iter().map(|&b| b as i8).collect())
    }

    fn matrix(&mut self, rows: usize, cols: usize) -> Result<Matrix> {
        let weights = self.i8s(rows * cols)?;
        let bias = self.take(4 * rows)?.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let bias = bias.collect();
        let shift = self.take(rows)?.to_vec();
        Ok(Matrix { rows, cols, weights, bias, shift })
    }

    fn config(&mut self) -> Result<Config> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(Error::corrupt("weight file: the magic bytes are wrong"));
        }
        let version = self.u16()?;
        if version != VERSION {
            return Err(Error::new(
                ErrorKind::NewerVersion,
                format!("weight file: version {version}, this release knows version {VERSION}"),
            ));
        }
        let [width, state, hidden] = [self.u16()?, self.u16()?, self.u16()?].map(usize::from);
        let [layers, half_entries, tables] = [self.u8()?, self.u8()?, self.u8()?].map(usize::from);
        check_count("tables", tables, MAX_TABLES)?;
        let tables = (0..tables)
            .map(|_| Ok(TableConfig { order: self.u8()?, log2_rows: self.u8()? }))
            .collect::<Result<_>>()?;
        let config = Config { width, state, hidden, layers, table_width: 2 * half_entries, tables };
        config.check()?;
        Ok(config)
    }
}

impl Weights {
    /// Parses a weight file. Nothing larger than the header is allocated before the length of `bytes` has
    /// been found to equal the length that the header declares.
    ///
    /// # Errors
    /// `Truncated` where bytes are missing, `NewerVersion` for an unknown version, `Corrupt` for a
    /// shape outside the limits, bytes after the end, or a row that breaks the accumulator bound.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        let config = reader.config()?;
        let (expected, found) = (config.file_len(), bytes.len() as u64);
        if found < expected {
            return Err(Error::truncated(format!(
                "weight file: {found} bytes, its header declares {expected}"
            )));
        }
        if found > expected {
            return Err(Error::corrupt(format!(
                "weight file: {found} bytes, its header declares {expected}"
            )));
        }
        let tables = config
            .tables
            .iter()
            .map(|t| reader.i8s(config.table_width << t.log2_rows))
            .collect::<Result<Vec<_>>>()?;
        let mut shapes = config.matrix_shapes();
        let mut next = || {
            let (rows, cols) = shapes.next().expect("matrix_shapes lists every matrix");
            reader.matrix(rows, cols)
        };
        let input = next()?;
        let layers = (0..config.layers)
            .map(|_| Ok(Layer { gates: next()?, out: next()?, up: next()?, down: next()? }))
            .collect::<Result<Vec<_>>>()?;
        let head = next()?;
        drop(shapes);
        let weights = Self { config, tables, input, layers, head };
        weights.check()?;
        Ok(weights)
    }

    /// The bytes of the weight file, which [`Weights::from_bytes`] turns into these weights again.
    pub fn to_bytes(&self) -> Vec<u8> {
        let config = &self.config;
        let mut out = Vec::with_capacity(config.file_len() as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for size in [config.width, config.state, config.hidden] {
            out.extend_from_slice(&(size as u16).to_le_bytes());
        }
        out.extend([config.layers, config.table_width / 2, config.tables.len()].map(|n| n as u8));
        for table in &config.tables {
            out.extend([table.order, table.log2_rows]);
        }
        for table in &self.tables {
            out.extend(table.iter().map(|&w| w as u8));
        }
        for (_, matrix, _) in self.matrices() {
            matrix.write(&mut out);
        }
        out
    }

    /// The model's name: the BLAKE3 hash of [`Weights::to_bytes`].
    pub fn name(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// Refuses weights that no weight file may hold.
    ///
    /// # Errors
    /// `BadArgument` for sizes that contradict the shape, `Corrupt` for a shape or shifts out of range and
    /// for rows that could overflow their accumulator.
    pub fn check(&self) -> Result<()> {
        let config = &self.config;
        config.check()?;
        let tables_fit = self.tables.len() == config.tables.len()
            && self
                .tables
                .iter()
                .zip(&config.tables)
                .all(|(t, c)| t.len() == config.table_width << c.log2_rows);
        if !tables_fit || self.layers.len() != config.layers {
            return Err(Error::bad_argument("weights: tables or layers contradict the shape"));
        }
        for ((name, matrix, bound), (rows, cols)) in self.matrices().zip(config.matrix_shapes()) {
            let fits = matrix.rows == rows
                && matrix.cols == cols
                && matrix.weights.len() == rows * cols
                && matrix.bias.len() == rows
                && matrix.shift.len() == rows;
            if !fits {
                return Err(Error::bad_argument(format!("weights: matrix {name} contradicts the shape")));
            }
            matrix.check(name, bound)?;
        }
        Ok(())
    }

    /// Every matrix in file order with its name and the largest magnitude of its inputs.
    fn matrices(&self) -> impl Iterator<Item = (&'static str, &Matrix, i64)> {
        let layers = self.layers.iter().flat_map(|layer| {
            [("gates", &layer.gates), ("out", &layer.out), ("up", &layer.up), ("down", &layer.down)]
        });
        std::iter::once(("input", &self.input, INPUT_BOUND))
            .chain(layers.map(|(name, matrix)| (name, matrix, ACTIVATION_BOUND)))
            .chain(std::iter::once(("head", &self.head, ACTIVATION_BOUND)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro() -> Weights {
        let tables = vec![TableConfig { order: 1, log2_rows: 8 }, TableConfig { order: 3, log2_rows: 5 }];
        let config = Config { width: 8, state: 6, hidden: 10, layers: 2, table_width: 4, tables };
        Weights::seeded(config, 1)
    }

    #[test]
    fn bytes_round_trip() {
        let weights = micro();
        let bytes = weights.to_bytes();
        assert_eq!(bytes.len() as u64, weights.config.file_len());
        assert_eq!(Weights::from_bytes(&bytes).unwrap(), weights);
        assert_eq!(weights.name(), *blake3::hash(&bytes).as_bytes());
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let mut bytes = micro().to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Weights::from_bytes(&bytes[..len]).unwrap_err().kind(), ErrorKind::Truncated, "{len}");
        }
        bytes.push(0);
        assert_eq!(Weights::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn damaged_headers_are_refused() {
        let bytes = micro().to_bytes();
        for at in 0..FIXED_HEADER + 4 {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let order_only = at == FIXED_HEADER || at == FIXED_HEADER + 2;
                if let Ok(weights) = Weights::from_bytes(&bad) {
                    assert!(order_only, "byte {at} bit {bit}");
                    assert_eq!(weights.to_bytes(), bad);
                }
            }
        }
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(Weights::from_bytes(&newer).unwrap_err().kind(), ErrorKind::NewerVersion);
    }

    #[test]
    fn absurd_declared_sizes_are_refused_without_allocation() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        for size in [1024u16; 3] {
            bytes.extend(size.to_le_bytes());
        }
        bytes.extend([16, 255, 8]);
        bytes.extend([8, 20].repeat(8));
        assert_eq!(Weights::from_bytes(&bytes).unwrap_err().kind(), ErrorKind::Truncated);
    }

    #[test]
    fn accumulator_bound_is_checked() {
        let mut weights = micro();
        weights.layers[1].up.bias[3] = i32::MAX;
        assert!(Weights::from_bytes(&weights.to_bytes()).is_err());
        weights.layers[1].up.bias[3] = i32::MIN;
        assert!(Weights::from_bytes(&weights.to_bytes()).is_err());
        weights.layers[1].up.bias[3] = 0;
        weights.head.shift[200] = 32;
        assert!(Weights::from_bytes(&weights.to_bytes()).is_err());
        weights.head.shift[200] = 31;
        weights.head.bias[200] = 1 << 30;
        assert!(Weights::from_bytes(&weights.to_bytes()).is_err());
        weights.head.bias[200] = 0;
        assert!(Weights::from_bytes(&weights.to_bytes()).is_ok());
    }
}
