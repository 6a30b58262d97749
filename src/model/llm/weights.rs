//! The canonical weight file: its content, reading and writing, and the bounds that keep sums from
//! overflowing.

use super::tokens::Tokenizer;
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse, Parsed, in_range};
use crate::format::varint;

/// The first bytes of every weight file.
pub const MAGIC: [u8; 8] = *b"\x93NZLL\r\n\x1a";
const VERSION: u16 = 1;
/// Flag bit: the head has weights of its own.
const UNTIED: u8 = 1;
/// The largest multiplier of a row.
pub const MAX_MULTIPLIER: u32 = (1 << 24) - 1;
/// The range of a matrix's exponent.
pub const EXPONENTS: std::ops::RangeInclusive<u8> = 24..=60;
/// The fewest bits that an activation may have.
const MIN_BITS: u32 = 8;

/// The sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// V: the number of tokens in the vocabulary.
    pub vocab: usize,
    /// D: the width of the residual stream.
    pub width: usize,
    /// L: the number of layers.
    pub layers: usize,
    /// A: the number of query heads.
    pub heads: usize,
    /// B: the number of key and value heads; divides A.
    pub kv_heads: usize,
    /// H: the number of entries of a head, even.
    pub head: usize,
    /// M: the hidden width of the feed-forward part.
    pub hidden: usize,
    /// T: the most tokens of a window, the start token included.
    pub context: usize,
    /// The token with which every window starts.
    pub start: u32,
}

impl Shape {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let mut field = || c.u32().map(|v| v as usize);
        let shape = Self {
            vocab: field()?,
            width: field()?,
            layers: field()?,
            heads: field()?,
            kv_heads: field()?,
            head: field()?,
            hidden: field()?,
            context: field()?,
            start: field()? as u32,
        };
        shape.check_limits()?;
        Ok(shape)
    }

    /// Refuses sizes that are out of range or contradict each other.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check_limits(&self) -> Result<()> {
        let range = |what: &str, value: usize, range| in_range(what, value as u64, range);
        range("llm: vocabulary", self.vocab, 1..=1 << 17)?;
        range("llm: width", self.width, 2..=8192)?;
        range("llm: layers", self.layers, 1..=256)?;
        range("llm: heads", self.heads, 1..=128)?;
        range("llm: key heads", self.kv_heads, 1..=self.heads as u64)?;
        range("llm: width of a head", self.head, 2..=128)?;
        range("llm: hidden width", self.hidden, 2..=32768)?;
        range("llm: context", self.context, 2..=16384)?;
        range("llm: start token", self.start as usize, 0..=self.vocab as u64 - 1)?;
        let even = [self.width, self.head, self.hidden].iter().all(|n| n.is_multiple_of(2));
        if !even || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::corrupt(format!("llm: sizes that do not go together: {self:?}")));
        }
        Ok(())
    }

    fn put(&self, out: &mut Vec<u8>) {
        let fields = [
            self.vocab,
            self.width,
            self.layers,
            self.heads,
            self.kv_heads,
            self.head,
            self.hidden,
            self.context,
            self.start as usize,
        ];
        fields.iter().for_each(|&f| out.extend_from_slice(&(f as u32).to_le_bytes()));
    }
}

/// A matrix of int8 weights; row r stands for `weights[r] * multipliers[r] / 2^exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub scale: Scale,
    /// Row-major.
    pub weights: Vec<i8>,
}

/// The factors of the results of a matrix: `multipliers[r] / 2^exponent` for row r.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scale {
    pub exponent: u8,
    pub multipliers: Vec<u32>,
}

impl Scale {
    fn parse(c: &mut Cursor<'_>, rows: usize) -> Parsed<Self> {
        let exponent = c.u8()?;
        in_range("llm: exponent", exponent.into(), (*EXPONENTS.start()).into()..=(*EXPONENTS.end()).into())?;
        let bytes = c.take(4 * rows)?.as_chunks::<4>().0;
        let multipliers: Vec<u32> = bytes.iter().map(|b| u32::from_le_bytes(*b)).collect();
        for &m in &multipliers {
            in_range("llm: multiplier", m.into(), 0..=MAX_MULTIPLIER.into())?;
        }
        Ok(Self { exponent, multipliers })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.exponent);
        self.multipliers.iter().for_each(|m| out.extend_from_slice(&m.to_le_bytes()));
    }
}

impl Matrix {
    fn parse(c: &mut Cursor<'_>, rows: usize, cols: usize) -> Parsed<Self> {
        let scale = Scale::parse(c, rows)?;
        Ok(Self { rows, cols, scale, weights: int8(c, rows * cols)? })
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.scale.put(out);
        out.extend(self.weights.iter().map(|&w| w as u8));
    }

    /// The most bits b <= 15 for which sums of weights times activations within ±(2^b - 1) stay below 2^31.
    ///
    /// # Errors
    /// `Corrupt` where that is fewer than [`MIN_BITS`].
    fn bits(&self) -> Result<u32> {
        let rows = self.weights.chunks_exact(self.cols);
        let most = rows.map(|row| row.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>()).max();
        let most = most.unwrap_or(0);
        let bits = (MIN_BITS..=15).rev().find(|b| ((1u64 << b) - 1) * most < 1 << 31);
        bits.ok_or_else(|| {
            Error::corrupt(format!("llm: a row whose weights add up to {most} could overflow"))
        })
    }
}

/// Reads int8 numbers.
fn int8(c: &mut Cursor<'_>, count: usize) -> Parsed<Vec<i8>> {
    Ok(c.take(count)?.iter().map(|&b| b as i8).collect())
}

/// Reads int32 numbers.
fn int32(c: &mut Cursor<'_>, count: usize) -> Parsed<Vec<i32>> {
    Ok(c.take(4 * count)?.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect())
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The gains (Q20) of the norm before attention.
    pub attention_norm: Vec<i32>,
    pub query: Matrix,
    pub key: Matrix,
    pub value: Matrix,
    pub output: Matrix,
    /// The gains (Q20) of the norm before the feed-forward part.
    pub hidden_norm: Vec<i32>,
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

/// The bits to which activations are narrowed before they are multiplied by a layer's matrices; see
/// `Matrix::bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerBits {
    pub attention: u32,
    pub output: u32,
    pub hidden: u32,
    pub down: u32,
}

impl Layer {
    fn parse(c: &mut Cursor<'_>, s: &Shape) -> Parsed<Self> {
        let (d, q, kv) = (s.width, s.heads * s.head, s.kv_heads * s.head);
        Ok(Self {
            attention_norm: int32(c, d)?,
            query: Matrix::parse(c, q, d)?,
            key: Matrix::parse(c, kv, d)?,
            value: Matrix::parse(c, kv, d)?,
            output: Matrix::parse(c, d, q)?,
            hidden_norm: int32(c, d)?,
            gate: Matrix::parse(c, s.hidden, d)?,
            up: Matrix::parse(c, s.hidden, d)?,
            down: Matrix::parse(c, d, s.hidden)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let gains = |g: &[i32], out: &mut Vec<u8>| {
            g.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        };
        gains(&self.attention_norm, out);
        [&self.query, &self.key, &self.value, &self.output].iter().for_each(|m| m.put(out));
        gains(&self.hidden_norm, out);
        [&self.gate, &self.up, &self.down].iter().for_each(|m| m.put(out));
    }

    /// The bits of the activations with which no sum can overflow.
    ///
    /// # Errors
    /// `Corrupt` where the weights allow too few.
    pub fn bits(&self) -> Result<LayerBits> {
        Ok(LayerBits {
            attention: self.query.bits()?.min(self.key.bits()?).min(self.value.bits()?),
            output: self.output.bits()?,
            hidden: self.gate.bits()?.min(self.up.bits()?),
            down: self.down.bits()?,
        })
    }
}

/// The weights of a model, as its file holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    pub shape: Shape,
    /// The number (Q32) that norms add to the mean square.
    pub epsilon: u32,
    /// The embedding, with a row for each token. Scaled, its entries are whole numbers.
    pub embedding: Matrix,
    pub layers: Vec<Layer>,
    /// The gains (Q20) of the norm before the head.
    pub final_norm: Vec<i32>,
    /// The scale of the head's rows, from Q16 to Q8 octaves.
    pub head_scale: Scale,
    /// The head's own weights; `None` where it uses those of the embedding.
    pub head: Option<Vec<i8>>,
    /// Cosine and sine (Q14) of the rotary embedding, by position and pair of entries of a head.
    pub rope: Vec<[i16; 2]>,
    pub tokenizer: Tokenizer,
}

impl Weights {
    /// Reads a weight file. Memory is allocated for what is there, never for what is only declared.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion` for anything that is not a sound weight file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let weights = Self::parse(&mut c).map_err(|e: Parse| e.at_end("the weights of an llm"))?;
        match c.rest().len() {
            0 => Ok(weights),
            more => Err(Error::corrupt(format!("llm: {more} bytes after the end of the weights"))),
        }
    }

    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        if c.take(8)? != MAGIC {
            return Err(Error::corrupt("llm: not a weight file (magic)").into());
        }
        let version = c.u16()?;
        if version != VERSION {
            let message = format!("needs a newer nzip (llm weights of version {version})");
            return Err(Error::new(crate::error::ErrorKind::NewerVersion, message).into());
        }
        let shape = Shape::parse(c)?;
        let flags = c.u8()?;
        in_range("llm: flags", flags.into(), 0..=UNTIED.into())?;
        let epsilon = c.u32()?;
        let embedding = Matrix::parse(c, shape.vocab, shape.width)?;
        let layers = (0..shape.layers).map(|_| Layer::parse(c, &shape)).collect::<Parsed<Vec<_>>>()?;
        let final_norm = int32(c, shape.width)?;
        let head_scale = Scale::parse(c, shape.vocab)?;
        let head = (flags & UNTIED > 0).then(|| int8(c, shape.vocab * shape.width)).transpose()?;
        let rope = rope(c, shape.context * shape.head / 2)?;
        let tokenizer = Tokenizer::parse(c, shape.vocab)?;
        Ok(Self { shape, epsilon, embedding, layers, final_norm, head_scale, head, rope, tokenizer })
    }

    /// The canonical bytes of the file, whose hash is the model's name.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        self.shape.put(&mut out);
        out.push(if self.head.is_some() { UNTIED } else { 0 });
        out.extend_from_slice(&self.epsilon.to_le_bytes());
        self.embedding.put(&mut out);
        self.layers.iter().for_each(|l| l.put(&mut out));
        self.final_norm.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.head_scale.put(&mut out);
        out.extend(self.head.iter().flatten().map(|&w| w as u8));
        self.rope.iter().flatten().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        self.tokenizer.put(&mut out);
        out
    }

    /// The head's weights.
    pub fn head_weights(&self) -> &[i8] {
        self.head.as_deref().unwrap_or(&self.embedding.weights)
    }

    /// The bits of the head's activations with which no sum can overflow.
    ///
    /// # Errors
    /// `Corrupt` where the weights allow too few.
    pub fn head_bits(&self) -> Result<u32> {
        let (rows, cols) = (self.shape.vocab, self.shape.width);
        match &self.head {
            None => self.embedding.bits(),
            Some(w) => Matrix { rows, cols, scale: Scale::default(), weights: w.clone() }.bits(),
        }
    }
}

/// Reads the table of cosines and sines.
fn rope(c: &mut Cursor<'_>, pairs: usize) -> Parsed<Vec<[i16; 2]>> {
    let bytes = c.take(4 * pairs)?.as_chunks::<4>().0;
    let table: Vec<[i16; 2]> =
        bytes.iter().map(|b| [i16::from_le_bytes([b[0], b[1]]), i16::from_le_bytes([b[2], b[3]])]).collect();
    for v in table.iter().flatten() {
        in_range("llm: cosine or sine", u64::from(v.unsigned_abs()), 0..=1 << 14)?;
    }
    Ok(table)
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, value: usize) {
    varint::put(out, value as u64);
}
