//! The parameters of a `tensor` block (`formats/tensor.md`).

use super::delta::{Delta, Operation};
use super::pieces::Cut;
use super::predict::Prediction;
use crate::coder::rans::Freqs;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checksum::hex;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use crate::tensor::decimal::MAX_DIGITS;

/// Most bytes of a group.
pub const MAX_GROUP: u64 = 512;
/// Most bytes of a field of a group, whose pieces may take less room in the group than as elements.
const MAX_WIDTH: u64 = 4096;
/// Most fields of a group.
const MAX_FIELDS: u64 = 32;
/// Most tables of a plane.
pub const MAX_TABLES: usize = 16;
/// Most tables of a plane whose numbers are predicted.
pub const MAX_PREDICTED_TABLES: usize = 255;
/// Numbers that share a symbol that is folded.
pub const FOLDED: u64 = 16;
/// Most symbols that are folded.
pub const MAX_FOLD: u8 = 15;
/// Set in the byte of low bits where symbols are folded.
const HAS_FOLD: u8 = 0x80;
/// Set there where signs belong to symbols.
const SIGNED: u8 = 0x40;
/// Most groups of a row whose columns have classes.
pub const MAX_COLUMNS: u64 = 1 << 16;

/// What a block's parameters say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Params {
    /// The raw bytes are those of an earlier block of the stream, counted from 0.
    Copy { block: u64 },
    /// Planes.
    Planes(Box<Planes>),
}

/// How a block's groups are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes {
    /// Later blocks may be copies of this one.
    pub kept: bool,
    /// What the block is coded against.
    pub delta: Option<Delta>,
    /// Bytes of a group.
    pub group: usize,
    /// The fields of a group, in order.
    pub fields: Vec<Field>,
    /// Frequencies of masks, where tiles may leave out zeros.
    pub mask: Option<Freqs>,
    /// How groups are gathered and dealt out to the fields, where these are not simply one behind the other.
    pub cut: Option<Cut>,
}

/// One field: elements of one width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Bytes of the field in a group.
    pub width: usize,
    /// Bytes of an element: 1, 2, 4 or 8.
    pub element: usize,
    /// From elements to numbers.
    pub transform: Transform,
    /// Low bits of a number that do not belong to its symbol.
    pub low_bits: u32,
    /// The number without its low bits that symbol 0 stands for.
    pub base: u64,
    /// Symbols that stand for [`FOLDED`] numbers each: those below this one.
    pub fold: u8,
    /// The sign of a float or decimal belongs to its symbol instead of the low bits.
    pub signed: bool,
    /// What chooses the tables of symbols.
    pub context: Context,
    /// Frequencies of symbols.
    pub tables: Vec<Freqs>,
    /// Where the low eight bits are coded too: the table for each symbol, and the tables.
    pub low: Option<(Box<[u8; 256]>, Vec<Freqs>)>,
}

/// How an element becomes a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// As it is.
    Plain,
    /// The sign is moved to the lowest bit.
    Float,
    /// Its place among these values.
    Palette(Vec<u64>),
    /// The rank of a decimal with this many digits, and the sign below it.
    Decimal(u32),
    /// A byte is two numbers: its low half, then its high half.
    Halves,
    /// The difference from the element before it in the tile.
    Delta,
}

/// What chooses the table of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// There is one.
    None,
    /// The classes of row and column. Groups to a row; classes of all columns (none: 8); tables of their sums.
    Rows { groups: u64, columns: Vec<u8>, map: [u8; 16] },
    /// The symbol of the first element of an earlier field, or the difference of those of two.
    Fields { first: usize, minus: Option<usize>, map: Box<[u8; 256]> },
    /// The exponent of the base's element.
    Base { map: Box<[u8; 256]> },
    /// Each group stores the tables of its elements: of element j that with number j mod `stripes`.
    Classes { stripes: usize, freqs: Box<Freqs> },
    /// What the numbers before it in its row predict, with the classes of row and column.
    Predicted(Box<Prediction>),
}

impl Params {
    /// Appends them.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Params::Copy { block } => {
                out.push(0);
                varint::put(out, *block);
            }
            Params::Planes(p) => {
                match &p.delta {
                    Some(delta) => {
                        out.push(3);
                        delta.put(out);
                    }
                    None => out.push(if p.kept { 2 } else { 1 }),
                }
                varint::put(out, p.group as u64);
                out.push(p.fields.len() as u8);
                p.fields.iter().for_each(|f| f.put(out));
                out.push(u8::from(p.mask.is_some()) | u8::from(p.cut.is_some()) << 1);
                p.mask.iter().for_each(|m| m.put(out));
                p.cut.iter().for_each(|cut| cut.put(out));
            }
        }
    }

    /// Reads parameters; everything that a decoder relies on has been checked.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let params = Self::fields(&mut c).map_err(|e| e.at_end("the parameters of a tensor block"));
        let params = params.map_err(|e| match e.kind() {
            ErrorKind::NewerVersion => e,
            _ => Error::corrupt(format!("tensor parameters: {e}")),
        })?;
        if !c.rest().is_empty() {
            return Err(Error::corrupt(format!("tensor parameters: {} bytes too many", c.rest().len())));
        }
        Ok(params)
    }

    fn fields(c: &mut Cursor<'_>) -> Parsed<Self> {
        let method = c.u8()?;
        match method {
            0 => return Ok(Params::Copy { block: c.varint("block")? }),
            1..=3 => {}
            other => return Err(crate::codec::newer(&format!("tensor method {other}")).into()),
        }
        let delta = if method == 3 { Some(Delta::parse(c)?) } else { None };
        let group = c.varint_in("bytes of a group", 1..=MAX_GROUP)? as usize;
        let count = u64::from(c.u8()?);
        in_range("number of fields", count, 1..=MAX_FIELDS)?;
        let mut fields: Vec<Field> = Vec::new();
        for _ in 0..count {
            fields.push(Field::parse(c, &fields, group)?);
        }
        let more = c.u8()?;
        in_range("flags", more.into(), 0..=2)?;
        let mask = match more & 1 {
            0 => None,
            _ if fields.len() == 1 && fields[0].per_group() == 1 => Some(Freqs::parse(c)?),
            _ => return Err(Error::corrupt("masks of groups of several elements").into()),
        };
        let cut = if more & 2 != 0 { Some(Cut::parse(c, group, &fields)?) } else { None };
        if cut.is_none() {
            let sum: usize = fields.iter().map(|f| f.width).sum();
            in_range("sum of the fields' bytes", sum as u64, group as u64..=group as u64)?;
        }
        if delta.as_ref().is_some_and(|d| d.element != group || more != 0) {
            return Err(Error::corrupt("deltas of other groups than elements").into());
        }
        let predicted = fields.iter().any(|f| matches!(f.context, Context::Predicted(_)));
        if predicted && (delta.is_some() || more != 0) {
            return Err(Error::corrupt("predictions with masks, a cut or a base").into());
        }
        if delta.is_none() && fields.iter().any(|f| matches!(f.context, Context::Base { .. })) {
            return Err(Error::corrupt("a context of a base that is not there").into());
        }
        Ok(Params::Planes(Box::new(Planes { kept: method == 2, delta, group, fields, mask, cut })))
    }
}

impl Planes {
    /// Raw bytes of which tiles have a whole number.
    pub fn unit(&self) -> usize {
        self.cut.as_ref().map_or(self.group, Cut::unit)
    }

    /// In words, for reports.
    pub fn describe(&self) -> String {
        let pieces = |i: usize| self.cut.as_ref().and_then(|cut| cut.bits(i));
        let field = |(i, f): (usize, &Field)| {
            let mut text = match &f.transform {
                Transform::Plain if pieces(i).is_some() => format!("bits{}", pieces(i).unwrap_or_default()),
                Transform::Plain => format!("int{}", 8 * f.element),
                Transform::Float => format!("float{}/{}", 8 * f.element, f.low_bits),
                Transform::Palette(values) => format!("palette {}", values.len()),
                Transform::Decimal(digits) => format!("{digits} digits"),
                Transform::Halves => "nibbles".into(),
                Transform::Delta => format!("delta{}", 8 * f.element),
            };
            if matches!(f.context, Context::Predicted(_)) {
                text += " predicted";
            }
            if f.tables.len() > 1 {
                text += &format!(" x{}", f.tables.len());
            }
            text
        };
        let mut fields: Vec<String> = self.fields.iter().enumerate().map(field).collect();
        fields.dedup();
        let mask = if self.mask.is_some() { " masked" } else { "" };
        let against = self.delta.as_ref().map_or(String::new(), |d| {
            let operation = if d.operation == Operation::Xor { "xor" } else { "difference" };
            format!("{operation} to {}: ", &hex(&d.hash)[..8])
        });
        format!("{against}{}{mask}", fields.join(", "))
    }
}

impl Field {
    /// The number without its low bits that a symbol stands for which is not folded, less the symbol.
    pub fn direct(&self) -> u64 {
        self.base.wrapping_add((FOLDED - 1) * u64::from(self.fold))
    }

    /// Symbols of a group.
    pub fn per_group(&self) -> usize {
        self.width / self.element * if self.transform == Transform::Halves { 2 } else { 1 }
    }

    fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.width as u64);
        out.push(self.element as u8);
        match &self.transform {
            Transform::Plain => out.push(0),
            Transform::Float => out.push(1),
            Transform::Palette(values) => {
                out.extend_from_slice(&[2, (values.len() - 1) as u8]);
                values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()[..self.element]));
            }
            Transform::Decimal(digits) => out.extend_from_slice(&[3, *digits as u8]),
            Transform::Halves => out.push(4),
            Transform::Delta => out.push(5),
        }
        if self.transform.has_low_bits() {
            let signed = if self.signed { SIGNED } else { 0 };
            match self.fold {
                0 => out.push(self.low_bits as u8 | signed),
                fold => out.extend_from_slice(&[self.low_bits as u8 | signed | HAS_FOLD, fold]),
            }
            varint::put(out, self.base);
        }
        match &self.context {
            Context::None => out.push(0),
            Context::Rows { groups, columns, map } => {
                out.push(1);
                varint::put(out, *groups);
                out.push(u8::from(!columns.is_empty()));
                put_nibbles(columns, out);
                put_nibbles(map, out);
            }
            Context::Base { map } => {
                out.push(4);
                put_nibbles(&map[..], out);
            }
            Context::Fields { first, minus, map } => {
                out.extend_from_slice(&[2, *first as u8, minus.map_or(0, |m| m as u8 + 1)]);
                put_nibbles(&map[..], out);
            }
            Context::Classes { stripes, freqs } => {
                out.push(3);
                varint::put(out, *stripes as u64);
                freqs.put(out);
            }
            Context::Predicted(prediction) => {
                out.push(5);
                prediction.put(out);
            }
        }
        put_tables(&self.tables, out);
        out.push(u8::from(self.low.is_some()));
        if let Some((map, tables)) = &self.low {
            put_nibbles(&map[..], out);
            put_tables(tables, out);
        }
    }

    fn parse(c: &mut Cursor<'_>, before: &[Field], group: usize) -> Parsed<Self> {
        let width = c.varint_in("bytes of a field", 1..=MAX_WIDTH)? as usize;
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) || !width.is_multiple_of(element) {
            return Err(Error::corrupt(format!("fields of {width} bytes, elements of {element}")).into());
        }
        let transform = Transform::parse(c, element)?;
        let (mut low_bits, mut base, mut fold, mut signed) = (0, 0, 0, false);
        if transform.has_low_bits() {
            let byte = c.u8()?;
            low_bits = u32::from(byte & !(HAS_FOLD | SIGNED));
            signed = byte & SIGNED != 0;
            if signed && !matches!(transform, Transform::Float | Transform::Decimal(_)) {
                return Err(Error::corrupt("signs of numbers that have none").into());
            }
            if byte & HAS_FOLD != 0 {
                fold = c.u8()?;
                in_range("symbols that are folded", fold.into(), 1..=MAX_FOLD.into())?;
            }
            in_range("low bits", low_bits.into(), 0..=8 * element as u64 - 1)?;
            base = c.varint("base of the symbols")?;
            in_range("base of the symbols", base, 0..=u64::MAX >> (64 - 8 * element) >> low_bits)?;
        }
        let context = match c.u8()? {
            0 => Context::None,
            1 if width == element && width == group && transform != Transform::Halves => {
                let groups = c.varint_in("groups of a row", 1..=1 << 32)?;
                let mut columns = Vec::new();
                if flag(c)? {
                    in_range("columns with classes", groups, 1..=MAX_COLUMNS)?;
                    columns = nibbles(c, groups as usize)?;
                }
                let mut map = [0; 16];
                map.copy_from_slice(&nibbles(c, 16)?);
                Context::Rows { groups, columns, map }
            }
            2 => {
                let (first, minus) = (usize::from(c.u8()?), usize::from(c.u8()?).checked_sub(1));
                if [Some(first), minus].into_iter().flatten().any(|f| f >= before.len()) {
                    return Err(Error::corrupt("a context of a later field").into());
                }
                Context::Fields { first, minus, map: map(c)? }
            }
            3 => {
                let per = width / element * if transform == Transform::Halves { 2 } else { 1 };
                let stripes = c.varint_in("stripes", 1..=per as u64)? as usize;
                Context::Classes { stripes, freqs: Box::new(Freqs::parse(c)?) }
            }
            4 => Context::Base { map: map(c)? },
            5 if width == element && width == group && transform != Transform::Halves => {
                Context::Predicted(Box::new(Prediction::parse(c)?))
            }
            other => return Err(Error::corrupt(format!("context {other}")).into()),
        };
        let tables = match &context {
            Context::Predicted(_) => some_tables(c, MAX_PREDICTED_TABLES)?,
            _ => tables(c)?,
        };
        let most = match &context {
            Context::Fields { map, .. } | Context::Base { map } => {
                map.iter().max().map_or(0, |m| usize::from(*m))
            }
            Context::Rows { map, .. } => map.iter().max().map_or(0, |m| usize::from(*m)),
            Context::Predicted(p) => p.map.iter().max().map_or(0, |m| usize::from(*m)),
            // Of these a decoder checks every number that it reads.
            Context::None | Context::Classes { .. } => 0,
        };
        let low = match flag(c)? {
            true if low_bits != 8 => return Err(Error::corrupt("low bits coded that are not eight").into()),
            true => Some((map(c)?, self::tables(c)?)),
            false => None,
        };
        let low_most = low.as_ref().map_or(0, |l| l.0.iter().max().map_or(0, |m| usize::from(*m)));
        if most >= tables.len() || low.as_ref().is_some_and(|l| low_most >= l.1.len()) {
            return Err(Error::corrupt("a context without a table").into());
        }
        Ok(Self { width, element, transform, low_bits, base, fold, signed, context, tables, low })
    }
}

impl Transform {
    fn has_low_bits(&self) -> bool {
        !matches!(self, Transform::Palette(_) | Transform::Halves)
    }

    fn parse(c: &mut Cursor<'_>, element: usize) -> Parsed<Self> {
        match c.u8()? {
            0 => Ok(Transform::Plain),
            1 => Ok(Transform::Float),
            2 => {
                let count = usize::from(c.u8()?) + 1;
                let mut values: Vec<u64> = Vec::new();
                for bytes in c.take(count * element)?.chunks_exact(element) {
                    values.push(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)));
                }
                if values.windows(2).any(|w| w[0] >= w[1]) {
                    return Err(Error::corrupt("a palette that does not grow").into());
                }
                Ok(Transform::Palette(values))
            }
            3 if element == 4 => {
                let digits = u32::from(c.u8()?);
                in_range("digits", digits.into(), 1..=MAX_DIGITS.into())?;
                Ok(Transform::Decimal(digits))
            }
            4 if element == 1 => Ok(Transform::Halves),
            5 => Ok(Transform::Delta),
            other => Err(Error::corrupt(format!("transform {other} of {element} bytes")).into()),
        }
    }
}

fn flag(c: &mut Cursor<'_>) -> Parsed<bool> {
    let value = c.u8()?;
    in_range("flag", value.into(), 0..=1)?;
    Ok(value == 1)
}

pub fn put_nibbles(values: &[u8], out: &mut Vec<u8>) {
    out.extend(values.chunks(2).map(|p| p[0] | p.get(1).unwrap_or(&0) << 4));
}

/// Two values of four bits to a byte.
pub fn nibbles(c: &mut Cursor<'_>, count: usize) -> Parsed<Vec<u8>> {
    let bytes = c.take(count.div_ceil(2))?;
    Ok((0..count).map(|i| nibble(bytes, i)).collect())
}

/// Number i of those that [`put_nibbles`] wrote.
pub fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 2] >> (4 * (i % 2)) & 15
}

fn map(c: &mut Cursor<'_>) -> Parsed<Box<[u8; 256]>> {
    let mut map = Box::new([0; 256]);
    map.copy_from_slice(&nibbles(c, 256)?);
    Ok(map)
}

fn put_tables(tables: &[Freqs], out: &mut Vec<u8>) {
    out.push(tables.len() as u8);
    tables.iter().for_each(|t| t.put(out));
}

fn tables(c: &mut Cursor<'_>) -> Parsed<Vec<Freqs>> {
    some_tables(c, MAX_TABLES)
}

fn some_tables(c: &mut Cursor<'_>, most: usize) -> Parsed<Vec<Freqs>> {
    let count = c.u8()?;
    in_range("number of tables", count.into(), 1..=most as u64)?;
    (0..count).map(|_| Freqs::parse(c)).collect()
}

/// The sum of the classes of a row and a column, limited to 16 values.
pub fn sum_of(row: u8, column: u8) -> usize {
    usize::from((row + column).clamp(8, 23) - 8)
}
