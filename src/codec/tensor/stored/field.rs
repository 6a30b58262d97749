//! The parameters of one field.

use super::context::{Context, ContextLimits, parse_flag};
use super::nibbles::put_nibbles;
use super::tables::{MAX_PREDICTED_TABLES, MAX_TABLES, TableMap, parse_map, parse_tables, put_tables};
use crate::coder::rans::Freqs;
use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use crate::tensor::decimal::MAX_DIGITS;

/// The largest number of bytes that a field's elements may have in a group. It exceeds the size of a group
/// because pieces of a few bits take more room as elements.
const MAX_WIDTH: u64 = 4096;
/// The number of numbers that share a folded symbol.
pub const FOLDED: u64 = 16;
/// The largest number of folded symbols.
const MAX_FOLD: u8 = 15;
/// Set in the byte of low bits if symbols are folded.
const HAS_FOLD: u8 = 0x80;
/// Set in the byte of low bits if signs belong to symbols.
const SIGNED: u8 = 0x40;

/// The parameters of one field: how its elements become numbers, and numbers become symbols and low bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldParams {
    /// The number of bytes of the field's elements in a group.
    pub width: usize,
    /// The number of bytes of an element: 1, 2, 4 or 8.
    pub element: usize,
    /// How elements become numbers.
    pub transform: Transform,
    /// The number of lowest bits of a number that do not belong to its symbol: fewer than the element has.
    pub low_bits: u32,
    /// The number, without its low bits, that symbol 0 stands for.
    pub base: u64,
    /// Symbols below this one are folded: each stands for [`FOLDED`] numbers, and four bits stored beside it
    /// say which. Rare numbers far from the frequent ones then need few symbols.
    pub fold: u8,
    /// Whether the sign of a float or decimal belongs to its symbol rather than its low bits.
    pub signed: bool,
    /// How the tables of symbols are chosen.
    pub context: Context,
    /// The tables with which symbols are coded.
    pub tables: Vec<Freqs>,
    /// Where the low bits are eight and are coded too: the table for each symbol above them, and these
    /// tables.
    pub low: Option<(TableMap, Vec<Freqs>)>,
}

/// How elements become numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// The number is the element.
    Plain,
    /// The highest bit, the sign, becomes the lowest one.
    Float,
    /// The number is the element's index among these values, which are in rising order.
    Palette(Vec<u64>),
    /// The number is the rank of a decimal with this many digits (1..=7), times two, plus one for a negative
    /// sign.
    Decimal(u32),
    /// An element is a byte and becomes two numbers: its low half, then its high half.
    Halves,
    /// The number is the difference from the element before it in the tile.
    Delta,
    /// An element is two bytes, whose bits 3 to 6 stand above the others in the number: the exponents of two 8-bit
    /// floats.
    Pairs,
}

impl FieldParams {
    /// A field without folded symbols, contexts and tables.
    pub fn new(width: usize, element: usize, transform: Transform, low_bits: u32, base: u64) -> Self {
        Self {
            width,
            element,
            transform,
            low_bits,
            base,
            fold: 0,
            signed: false,
            context: Context::None,
            tables: Vec::new(),
            low: None,
        }
    }

    /// The amount that turns an unfolded symbol into a number without its low bits.
    pub fn direct(&self) -> u64 {
        self.base.wrapping_add((FOLDED - 1) * u64::from(self.fold))
    }

    /// The number of symbols in a group.
    pub fn per_group(&self) -> usize {
        self.width / self.element * if self.transform == Transform::Halves { 2 } else { 1 }
    }

    /// Appends the parameters.
    pub fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.width as u64);
        out.push(self.element as u8);
        self.transform.put(self.element, out);
        if self.transform.has_low_bits() {
            let signed = if self.signed { SIGNED } else { 0 };
            match self.fold {
                0 => out.push(self.low_bits as u8 | signed),
                fold => out.extend_from_slice(&[self.low_bits as u8 | signed | HAS_FOLD, fold]),
            }
            varint::put(out, self.base);
        }
        self.context.put(out);
        put_tables(&self.tables, out);
        out.push(u8::from(self.low.is_some()));
        if let Some((map, tables)) = &self.low {
            put_nibbles(&map[..], out);
            put_tables(tables, out);
        }
    }

    /// Reads the parameters of a field in groups of `group` bytes that comes after `earlier` other fields.
    pub fn parse(c: &mut Cursor<'_>, earlier: usize, group: usize) -> Parsed<Self> {
        let width = c.varint_in("bytes of a field", 1..=MAX_WIDTH)? as usize;
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) || !width.is_multiple_of(element) {
            return Err(Error::corrupt(format!("fields of {width} bytes, elements of {element}")).into());
        }
        let transform = Transform::parse(c, element)?;
        let mut field = Self::new(width, element, transform, 0, 0);
        if field.transform.has_low_bits() {
            field.parse_low_bits(c)?;
        }
        let whole = width == element && width == group && field.transform != Transform::Halves;
        let limits = ContextLimits { whole, earlier, per_group: field.per_group() };
        field.context = Context::parse(c, &limits)?;
        let most = match field.context {
            Context::Predicted(_) => MAX_PREDICTED_TABLES,
            _ => MAX_TABLES,
        };
        field.tables = parse_tables(c, most)?;
        field.low = match parse_flag(c)? {
            true if field.low_bits != 8 => {
                return Err(Error::corrupt("low bits are coded, but there are not eight of them").into());
            }
            true => Some((parse_map(c)?, parse_tables(c, MAX_TABLES)?)),
            false => None,
        };
        let known =
            |(map, tables): &(TableMap, Vec<Freqs>)| map.iter().all(|m| usize::from(*m) < tables.len());
        if field.context.last_table() >= field.tables.len() || !field.low.as_ref().is_none_or(known) {
            return Err(Error::corrupt("a context names a table that does not exist").into());
        }
        Ok(field)
    }

    /// Reads the number of low bits and everything that depends on it.
    fn parse_low_bits(&mut self, c: &mut Cursor<'_>) -> Parsed<()> {
        let byte = c.u8()?;
        self.low_bits = u32::from(byte & !(HAS_FOLD | SIGNED));
        self.signed = byte & SIGNED != 0;
        if self.signed && !matches!(self.transform, Transform::Float | Transform::Decimal(_)) {
            return Err(Error::corrupt("signs of numbers that have none").into());
        }
        if byte & HAS_FOLD != 0 {
            self.fold = c.u8()?;
            in_range("symbols that are folded", self.fold.into(), 1..=MAX_FOLD.into())?;
        }
        in_range("low bits", self.low_bits.into(), 0..=8 * self.element as u64 - 1)?;
        self.base = c.varint("base of the symbols")?;
        let most = u64::MAX >> (64 - 8 * self.element) >> self.low_bits;
        in_range("base of the symbols", self.base, 0..=most)?;
        Ok(())
    }
}

impl Transform {
    /// Whether numbers are split into a symbol and low bits. Otherwise a number is a symbol.
    fn has_low_bits(&self) -> bool {
        !matches!(self, Transform::Palette(_) | Transform::Halves)
    }

    fn put(&self, element: usize, out: &mut Vec<u8>) {
        match self {
            Transform::Plain => out.push(0),
            Transform::Float => out.push(1),
            Transform::Palette(values) => {
                out.extend_from_slice(&[2, (values.len() - 1) as u8]);
                values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()[..element]));
            }
            Transform::Decimal(digits) => out.extend_from_slice(&[3, *digits as u8]),
            Transform::Halves => out.push(4),
            Transform::Delta => out.push(5),
            Transform::Pairs => out.push(6),
        }
    }

    fn parse(c: &mut Cursor<'_>, element: usize) -> Parsed<Self> {
        match c.u8()? {
            0 => Ok(Transform::Plain),
            1 => Ok(Transform::Float),
            2 => {
                let count = usize::from(c.u8()?) + 1;
                let values: Vec<u64> = c.take(count * element)?.chunks_exact(element).map(bits_of).collect();
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
            6 if element == 2 => Ok(Transform::Pairs),
            other => Err(Error::corrupt(format!("transform {other} of {element} bytes")).into()),
        }
    }
}

/// The bits of an element of at most eight bytes, which are stored lowest byte first.
#[inline]
pub fn bits_of(element: &[u8]) -> u64 {
    element.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
}
