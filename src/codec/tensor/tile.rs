//! Decoding tiles.

use super::delta::{Base, key};
use super::look_up::look_up;
use super::low_bits::{folded, rows as rows_from, unfold};
use super::params::{Context, Field, Planes, Transform, nibble, nibbles, sum_of};
use super::predict;
use super::sections::{Sections, Sequence, Stored};
use super::split::sums;
use crate::coder::rans::{Contexts, Decoder};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parsed};
use crate::kernel::Kernel;
use crate::tensor::decimal::Decimal;

/// A block's parameters, ready to decode its tiles.
pub struct TileDecoder {
    planes: Planes,
    base: Option<Base>,
    fields: Vec<Tables>,
    mask: Option<Decoder>,
    kernel: Kernel,
}

struct Tables {
    symbols: Decoder,
    low: Option<Decoder>,
    decimal: Option<Decimal>,
    classes: Option<Decoder>,
}

/// Memory that tiles are decoded in, to be used again.
#[derive(Default)]
pub struct Scratch {
    /// Symbols of each field; those of low bits behind them.
    symbols: Vec<Vec<u8>>,
    low: Vec<u8>,
    contexts: Vec<u8>,
    elements: Vec<u8>,
    mask: Vec<u8>,
    dense: Vec<u8>,
    /// Elements of each field whose pieces are yet to be collected, and the groups made of them.
    pieces: Vec<Vec<u8>>,
    groups: Vec<u8>,
    columns: predict::Columns,
}

/// Which groups of the block a tile holds.
pub struct Place<'a> {
    /// Groups of the block before the tile.
    pub first: u64,
    /// The groups that are coded, counted from the first; all of them where there is no mask.
    pub some: Option<&'a [u8]>,
    /// How many of them there are, and how many groups in all.
    pub count: usize,
    pub all: usize,
}

impl Place<'_> {
    /// Rows of `groups` groups each that the tile has groups of.
    pub fn rows(&self, groups: u64) -> u64 {
        let all = self.all as u64;
        if all == 0 { 0 } else { (self.first + all - 1) / groups - self.first / groups + 1 }
    }
}

impl TileDecoder {
    /// Builds the tables. Where the block is coded against a base, that is needed.
    pub fn new(planes: Planes, kernel: Kernel, base: Option<Base>) -> Self {
        let tables = |f: &Field| Tables {
            symbols: Decoder::new(&f.tables),
            low: f.low.as_ref().map(|l| Decoder::new(&l.1)),
            decimal: if let Transform::Decimal(d) = f.transform { Some(Decimal::new(d)) } else { None },
            classes: match &f.context {
                Context::Classes { freqs, .. } => Some(Decoder::new(std::slice::from_ref(&**freqs))),
                _ => None,
            },
        };
        let fields = planes.fields.iter().map(tables).collect();
        let mask = planes.mask.as_ref().map(|m| Decoder::new(std::slice::from_ref(m)));
        Self { planes, base, fields, mask, kernel }
    }

    /// The parameters.
    #[cfg(feature = "gpu")]
    pub fn params(&self) -> &Planes {
        &self.planes
    }

    /// The tables of a field's symbols, and those of its low bits where these are coded.
    #[cfg(feature = "gpu")]
    pub fn tables(&self, field: usize) -> (&Decoder, Option<&Decoder>) {
        (&self.fields[field].symbols, self.fields[field].low.as_ref())
    }

    /// Decodes the tile that starts at raw byte `start` of the block and fills `out`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for any payload that is not exactly a tile of this length.
    pub fn tile(&self, payload: &[u8], start: u64, out: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let mut c = Cursor::new(payload);
        let result = self.modes(&mut c, start, out, scratch).map_err(|e| e.at_end("a tile"));
        match result {
            // The tile's length is known to be right.
            Err(e) if e.kind() == ErrorKind::Truncated => Err(Error::corrupt(format!("{e}"))),
            Err(e) => Err(e),
            Ok(()) if c.rest().is_empty() => {
                self.base.iter().for_each(|base| base.apply(start, out));
                Ok(())
            }
            Ok(()) => Err(Error::corrupt(format!("{} bytes after the tile", c.rest().len()))),
        }
    }

    fn modes(&self, c: &mut Cursor<'_>, start: u64, out: &mut [u8], scratch: &mut Scratch) -> Parsed<()> {
        let group = self.planes.group;
        let count = out.len() / group;
        if !out.len().is_multiple_of(self.planes.unit()) {
            return Err(Error::corrupt("a tile that ends inside a group").into());
        }
        let first = start / group as u64;
        match c.u8()? {
            mode @ (0 | 1) if self.planes.cut.is_some() => self.pieces(c, mode, first, out, scratch),
            0 => self.planes(c, Place { first, some: None, count, all: count }, out, scratch),
            1 => {
                let value = c.take(group)?;
                out.chunks_exact_mut(group).for_each(|g| g.copy_from_slice(value));
                Ok(())
            }
            2 => {
                out.copy_from_slice(c.take(out.len())?);
                Ok(())
            }
            3 => self.masked(c, first, out, scratch),
            other => Err(crate::codec::newer(&format!("tile mode {other}")).into()),
        }
    }

    /// Groups that are made of pieces of fields, and whose words may lie in several rows.
    fn pieces(
        &self,
        c: &mut Cursor<'_>,
        mode: u8,
        first: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let Planes { group, fields, cut, .. } = &self.planes;
        let Some(cut) = cut else { return Err(Error::corrupt("pieces without a cut").into()) };
        let (count, len) = (out.len() / group, out.len());
        let turned = cut.rows > 1;
        let mut groups = std::mem::take(&mut scratch.groups);
        groups.clear();
        groups.resize(if turned { len } else { 0 }, 0);
        let to = if turned { &mut groups[..] } else { &mut *out };
        if mode == 1 {
            let value = c.take(*group)?;
            to.chunks_exact_mut(*group).for_each(|g| g.copy_from_slice(value));
        } else {
            let mut pieces = std::mem::take(&mut scratch.pieces);
            pieces.resize_with(fields.len(), Vec::new);
            scratch.symbols.resize_with(fields.len(), Vec::new);
            let place = Place { first, some: None, count, all: count };
            for (i, (field, tables)) in fields.iter().zip(&self.fields).enumerate() {
                pieces[i].clear();
                pieces[i].resize(count * field.width, 0);
                self.field(c, i, tables, &place, &mut pieces[i], scratch)?;
            }
            cut.collect(*group, fields, &pieces, to)?;
            scratch.pieces = pieces;
        }
        if turned {
            cut.scatter(&groups, out);
        }
        scratch.groups = groups;
        Ok(())
    }

    /// A mask of the groups that are not zero, then these.
    fn masked(&self, c: &mut Cursor<'_>, first: u64, out: &mut [u8], scratch: &mut Scratch) -> Parsed<()> {
        let Some(tables) = &self.mask else {
            return Err(Error::corrupt("a mask without frequencies").into());
        };
        let group = self.planes.group;
        let mut mask = std::mem::take(&mut scratch.mask);
        mask.clear();
        mask.resize((out.len() / group).div_ceil(8), 0);
        Sequence::parse(c, mask.len())?.decode(tables, self.kernel, Contexts::One, &mut mask)?;
        let count: u32 = mask.iter().map(|m| m.count_ones()).sum();
        let mut dense = std::mem::take(&mut scratch.dense);
        dense.clear();
        dense.resize(count as usize * group, 0);
        let place = Place { first, some: Some(&mask), count: count as usize, all: out.len() / group };
        self.planes(c, place, &mut dense, scratch)?;
        let mut values = dense.chunks_exact(group);
        for (i, g) in out.chunks_exact_mut(group).enumerate() {
            match mask[i / 8] >> (i % 8) & 1 {
                0 => g.fill(0),
                _ => g.copy_from_slice(values.next().unwrap_or_default()),
            }
        }
        if values.next().is_some() {
            return Err(Error::corrupt("a mask of more groups than the tile has").into());
        }
        (scratch.mask, scratch.dense) = (mask, dense);
        Ok(())
    }

    fn planes(
        &self,
        c: &mut Cursor<'_>,
        place: Place<'_>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let mut at = 0;
        scratch.symbols.resize_with(self.planes.fields.len(), Vec::new);
        for (i, (field, tables)) in self.planes.fields.iter().zip(&self.fields).enumerate() {
            let whole = field.width == self.planes.group;
            if whole {
                self.field(c, i, tables, &place, out, scratch)?;
                continue;
            }
            let mut elements = std::mem::take(&mut scratch.elements);
            elements.clear();
            elements.resize(place.count * field.width, 0);
            self.field(c, i, tables, &place, &mut elements, scratch)?;
            for (to, from) in out.chunks_exact_mut(self.planes.group).zip(elements.chunks_exact(field.width))
            {
                to[at..at + field.width].copy_from_slice(from);
            }
            scratch.elements = elements;
            at += field.width;
        }
        Ok(())
    }

    /// Decodes all elements of a field.
    fn field(
        &self,
        c: &mut Cursor<'_>,
        number: usize,
        tables: &Tables,
        place: &Place<'_>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let field = &self.planes.fields[number];
        let count = place.count * field.per_group();
        let Sections { low_bits, exceptions, contexts: stored, symbols } =
            Sections::parse(c, field, place, self.planes.group)?;
        let mut contexts = std::mem::take(&mut scratch.contexts);
        let many = self.contexts(&stored, field, tables, place, &scratch.symbols, &mut contexts)?;
        let mut syms = std::mem::take(&mut scratch.symbols[number]);
        syms.clear();
        syms.resize(count, 0);
        if let (Context::Predicted(prediction), Stored::Rows(rows)) = (&field.context, &stored) {
            contexts.extend((0..count / prediction.row()).map(|i| nibble(rows, i)));
            let memory = &mut scratch.columns;
            predict::decode(
                prediction,
                &symbols,
                &tables.symbols,
                self.kernel,
                &contexts,
                memory,
                &mut syms,
            )?;
        } else {
            let contexts_of = if many { Contexts::Many(&contexts) } else { Contexts::One };
            symbols.decode(&tables.symbols, self.kernel, contexts_of, &mut syms)?;
        }
        let folded = if field.fold > 0 { nibbles(c, folded(&syms, field.fold))? } else { Vec::new() };
        let coded = field.low.as_ref().zip(tables.low.as_ref()).filter(|_| low_bits.are_eight(field));
        if let Some(((map, _), decoder)) = coded {
            contexts.clear();
            contexts.extend(syms.iter().map(|s| map[usize::from(*s)]));
            scratch.low.clear();
            scratch.low.resize(count, 0);
            let low = Sequence::parse(c, count)?;
            low.decode(decoder, self.kernel, Contexts::Many(&contexts), &mut scratch.low)?;
        }
        match &field.transform {
            Transform::Halves => {
                for (byte, pair) in out.iter_mut().zip(syms.chunks_exact(2)) {
                    *byte = pair[0] & 15 | pair[1] << 4;
                }
            }
            Transform::Palette(values) => {
                for (to, s) in out.chunks_exact_mut(field.element).zip(&syms) {
                    let value = values.get(usize::from(*s));
                    let value = value.ok_or_else(|| Error::corrupt("a symbol outside of the palette"))?;
                    to.copy_from_slice(&value.to_le_bytes()[..field.element]);
                }
            }
            _ => {
                let coded = coded.map(|_| &scratch.low[..]);
                low_bits.merge(c, field, self.kernel, &syms, coded, out)?;
                if field.fold > 0 {
                    unfold(field, &low_bits, &syms, &folded, out);
                }
            }
        }
        if let Some(decimal) = &tables.decimal {
            numbers(decimal, out)?;
        }
        exceptions.put(out);
        if field.transform == Transform::Delta {
            sums(field.element, out);
        }
        scratch.symbols[number] = syms;
        scratch.contexts = contexts;
        Ok(())
    }

    /// Finds the table of each symbol; false where there is one table.
    fn contexts(
        &self,
        stored: &Stored<'_>,
        field: &Field,
        tables: &Tables,
        place: &Place<'_>,
        earlier: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        out.clear();
        match (&field.context, stored) {
            (Context::Rows { groups, columns, map }, Stored::Rows(rows)) => {
                let skipped = place.first % groups;
                for (row, range) in rows_from(skipped, *groups, place.all).enumerate() {
                    let class = nibble(rows, row);
                    let start = if row == 0 { skipped as usize } else { 0 };
                    let columns = columns.get(start..start + range.len());
                    tables_of_row(map, class, columns, range.len(), self.kernel, out);
                }
                if let Some(mask) = place.some {
                    let mut i = 0..;
                    out.retain(|_| i.next().is_some_and(|i| mask[i / 8] >> (i % 8) & 1 != 0));
                }
            }
            (Context::Fields { first, minus, map }, _) => {
                let per = field.per_group();
                for i in 0..place.count {
                    let symbol = |f: usize| earlier[f][i * self.planes.fields[f].per_group()];
                    let key = minus.map_or(symbol(*first), |m| difference(symbol(*first), symbol(m)));
                    out.resize(out.len() + per, map[usize::from(key)]);
                }
            }
            (Context::Base { map }, _) => {
                let Some(base) = &self.base else {
                    return Err(Error::corrupt("a context of a base that is not there"));
                };
                let (size, per) = (self.planes.group, field.per_group());
                let start = place.first * size as u64;
                for element in base.bytes(start, place.count * size).chunks_exact(size) {
                    out.resize(out.len() + per, map[usize::from(key(element))]);
                }
            }
            (Context::Classes { stripes, .. }, Stored::Classes(sequence)) => {
                let Some(decoder) = &tables.classes else { return Ok(false) };
                let mut classes = vec![0; place.count * stripes];
                sequence.decode(decoder, self.kernel, Contexts::One, &mut classes)?;
                if classes.iter().any(|k| usize::from(*k) >= field.tables.len()) {
                    return Err(Error::corrupt("a class without a table"));
                }
                spread(&classes, *stripes, field.per_group(), out);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Appends the tables of `count` symbols of a row of class `row`, from the classes of their columns, or of class 8.
pub fn tables_of_row(
    map: &[u8; 16],
    row: u8,
    columns: Option<&[u8]>,
    count: usize,
    kernel: Kernel,
    out: &mut Vec<u8>,
) {
    let tables: [u8; 16] = std::array::from_fn(|column| map[sum_of(row, column as u8)]);
    match columns {
        Some(classes) => look_up(&tables, classes, kernel, out),
        None => out.resize(out.len() + count, tables[8]),
    }
}

/// The class of each of the `per` symbols of each group: that with its number modulo `stripes`.
pub fn spread(classes: &[u8], stripes: usize, per: usize, out: &mut Vec<u8>) {
    out.reserve(classes.len() / stripes * per);
    for of_group in classes.chunks_exact(stripes) {
        match of_group {
            [one] => out.resize(out.len() + per, *one),
            some => out.extend(some.iter().cycle().take(per)),
        }
    }
}

/// a − b + 128, limited to 0..=255.
pub fn difference(a: u8, b: u8) -> u8 {
    (i32::from(a) - i32::from(b) + 128).clamp(0, 255) as u8
}

/// Turns ranks with a sign below into the numbers that they stand for.
fn numbers(decimal: &Decimal, out: &mut [u8]) -> Result<()> {
    for element in out.chunks_exact_mut(4) {
        let t = u32::from_le_bytes([element[0], element[1], element[2], element[3]]);
        if t >> 1 >= decimal.ranks() {
            return Err(Error::corrupt("a decimal's rank is out of range"));
        }
        element.copy_from_slice(&(decimal.number(t >> 1) | t << 31).to_le_bytes());
    }
    Ok(())
}
