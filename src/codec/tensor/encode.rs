//! Encoding blocks.

use super::classes;
use super::forms::{self, Wish};
use super::params::{Context, Field, Params, Planes, Transform, sum_of};
use super::plan;
use super::split::{Split, split};
use super::tile::difference;
use super::{Codec, EncodedBlock, Hint};
use crate::coder::rans::{Contexts, Encoder, Freqs, encode};
use crate::error::Result;
use crate::format::block::{Tile, Units};
use crate::format::checksum::check32;
use crate::format::consts::{MAX_PARAMS, MAX_TILE_RAW};
use crate::format::varint;
use crate::tensor::decimal::Decimal;

/// Raw bytes of a tile, about.
const TILE: usize = 1 << 17;
/// The level from which on rows and columns have classes.
const ROWS_LEVEL: u8 = 7;
/// Quantiles of the rows' means that the classes cover, in 1/64.
const QUANTILES: (usize, usize) = (1, 63);

/// A tile between its two passes.
struct Work<'a> {
    raw: &'a [u8],
    /// Groups before it in the block.
    first: usize,
    /// A group that all groups are like, or the mask of those that are not zero.
    constant: bool,
    mask: Option<Vec<u8>>,
    fields: Vec<Split>,
    /// Classes of its rows.
    rows: Vec<u8>,
}

/// Codes a block of elements; `None` where they have nothing that this codec could use.
pub fn encode_block(raw: &[u8], hint: Hint, level: u8) -> Result<Option<EncodedBlock>> {
    let typed = match plan::skeleton(raw, hint, level) {
        Some(planes) => with_planes(raw, hint, level, planes, &[])?,
        None => None,
    };
    let Some((planes, wishes)) = hint.form.and_then(|form| forms::skeleton(raw, form)) else {
        return Ok(typed);
    };
    let packed = with_planes(raw, hint, level, planes, &wishes)?;
    // The first of equal ones.
    Ok([typed, packed].into_iter().flatten().min_by_key(EncodedBlock::cost))
}

/// Codes a block with these fields.
fn with_planes(
    raw: &[u8],
    hint: Hint,
    level: u8,
    mut planes: Planes,
    wishes: &[Wish],
) -> Result<Option<EncodedBlock>> {
    let unit = planes.unit();
    if unit as u64 > MAX_TILE_RAW || !raw.len().is_multiple_of(unit) {
        return Ok(None);
    }
    let size = (TILE / unit).max(1) * unit;
    let mut tiles: Vec<Work<'_>> = raw
        .chunks(size)
        .enumerate()
        .map(|(i, raw)| first_pass(&planes, raw, i * size / planes.group))
        .collect();
    let group = planes.group;
    for number in 0..planes.fields.len() {
        learn(&mut planes.fields[number], number, &mut tiles, hint, level, group);
        let field = &mut planes.fields[number];
        match wishes.get(number) {
            Some(Wish::Classes(stripes)) => classes::choose(field, &mut parts(&mut tiles, number), *stripes),
            Some(Wish::By(earlier)) => _ = by_fields(field, number, &mut tiles, *earlier, None),
            _ => {}
        }
    }
    if let Some(mask) = &mut planes.mask {
        let all = tiles.iter().filter_map(|t| t.mask.as_deref());
        *mask = Freqs::from_counts(&counts(all));
    }
    let encoders = Encoders::new(&planes);
    let (mut payload, mut table) = (Vec::with_capacity(raw.len()), Vec::new());
    for tile in &tiles {
        let start = payload.len();
        tile.put(&planes, &encoders, &mut payload)?;
        table.push(Tile { payload_len: (payload.len() - start) as u32, check: check32(tile.raw) });
    }
    let mut params = Vec::new();
    Params::Planes(Box::new(planes)).put(&mut params);
    if params.len() as u64 > MAX_PARAMS {
        return Ok(None);
    }
    Ok(Some(EncodedBlock {
        codec: Codec::Tensor,
        raw_len: raw.len() as u32,
        model: None,
        params: Some(params),
        units: Units::Tiles { raw: size as u32, tiles: table },
        payload,
    }))
}

/// One field of all tiles.
fn parts<'t>(tiles: &'t mut [Work<'_>], number: usize) -> Vec<&'t mut Split> {
    tiles.iter_mut().filter(|t| !t.constant).map(|t| &mut t.fields[number]).collect()
}

fn first_pass<'a>(planes: &Planes, raw: &'a [u8], first: usize) -> Work<'a> {
    let group = planes.group;
    let mut work = Work { raw, first, constant: false, mask: None, fields: Vec::new(), rows: Vec::new() };
    let mut gathered = Vec::new();
    let raw = match &planes.cut {
        Some(cut) if cut.rows > 1 => {
            cut.gather(raw, &mut gathered);
            &gathered[..]
        }
        _ => raw,
    };
    if raw[group..] == raw[..raw.len() - group] {
        work.constant = true;
        work.fields.resize_with(planes.fields.len(), Split::default);
        return work;
    }
    if let Some(cut) = &planes.cut {
        let mut elements = vec![Vec::new(); planes.fields.len()];
        cut.deal(group, &planes.fields, raw, &mut elements);
        work.fields = planes.fields.iter().zip(&elements).map(|(f, e)| split(f, None, e)).collect();
        return work;
    }
    let mut dense = Vec::new();
    if planes.mask.is_some() {
        dense = some_groups(raw, group, &mut work);
    }
    let source = if work.mask.is_some() { &dense[..] } else { raw };
    let mut at = 0;
    for field in &planes.fields {
        let decimal = if let Transform::Decimal(d) = field.transform { Some(Decimal::new(d)) } else { None };
        let split = if field.width == group {
            split(field, decimal.as_ref(), source)
        } else {
            let elements: Vec<u8> =
                source.chunks_exact(group).flat_map(|g| &g[at..at + field.width]).copied().collect();
            split(field, decimal.as_ref(), &elements)
        };
        work.fields.push(split);
        at += field.width;
    }
    work
}

/// Takes out the groups that are zero, where they are many.
fn some_groups(raw: &[u8], group: usize, work: &mut Work<'_>) -> Vec<u8> {
    let (mut mask, mut dense) = (vec![0u8; (raw.len() / group).div_ceil(8)], Vec::new());
    for (i, g) in raw.chunks_exact(group).enumerate() {
        if g.iter().any(|b| *b != 0) {
            mask[i / 8] |= 1 << (i % 8);
            dense.extend_from_slice(g);
        }
    }
    if dense.len() < raw.len() - raw.len() / 128 {
        work.mask = Some(mask);
    }
    dense
}

fn counts<'a>(sequences: impl Iterator<Item = &'a [u8]>) -> [u32; 256] {
    // Four tables: a symbol that follows itself need not wait.
    let mut parts = [[0u32; 256]; 4];
    for symbols in sequences {
        let mut fours = symbols.chunks_exact(4);
        for four in &mut fours {
            for (part, s) in parts.iter_mut().zip(four) {
                part[usize::from(*s)] += 1;
            }
        }
        fours.remainder().iter().for_each(|s| parts[0][usize::from(*s)] += 1);
    }
    let mut all = [0; 256];
    for part in &parts {
        all.iter_mut().zip(part).for_each(|(a, p)| *a += p);
    }
    all
}

/// Chooses the contexts of a field and counts its symbols.
fn learn(field: &mut Field, number: usize, tiles: &mut [Work<'_>], hint: Hint, level: u8, group: usize) {
    let rows = hint.row_bytes / group as u64;
    let single = field.width == group && field.per_group() == 1;
    let free = tiles.iter().all(|t| t.mask.is_none());
    let alone = Freqs::from_counts(&counts(tiles.iter().map(|t| &t.fields[number].symbols[..])));
    let keys = plan::scales(hint, number);
    let many = if let Some((first, minus)) = keys {
        by_fields(field, number, tiles, first, minus)
    } else if single
        && free
        && (2..1 << 32).contains(&rows)
        && (level >= ROWS_LEVEL || uneven(field, number, tiles, rows as usize))
    {
        by_rows(field, number, tiles, rows as usize)
    } else {
        false
    };
    if !many {
        (field.context, field.tables) = (Context::None, vec![alone]);
    }
    if let Some((map, tables)) = &mut field.low {
        let mut classes = vec![[0u32; 256]; 256];
        for split in tiles.iter().map(|t| &t.fields[number]) {
            split
                .symbols
                .iter()
                .zip(&split.bytes)
                .for_each(|(s, b)| classes[usize::from(*s)][usize::from(*b)] += 1);
        }
        let found;
        (found, *tables) = plan::join(&classes);
        map.copy_from_slice(&found);
    }
}

/// Tables by the symbols of earlier fields; false where one does as well.
fn by_fields(
    field: &mut Field,
    number: usize,
    tiles: &mut [Work<'_>],
    first: usize,
    minus: Option<usize>,
) -> bool {
    let per = field.per_group();
    let mut classes = vec![[0u32; 256]; 256];
    let key = |t: &Work<'_>, i: usize| {
        let symbol = |f: usize| t.fields[f].symbols[i];
        minus.map_or(symbol(first), |m| difference(symbol(first), symbol(m)))
    };
    for t in tiles.iter() {
        for (i, symbols) in t.fields[number].symbols.chunks_exact(per).enumerate() {
            let class = &mut classes[usize::from(key(t, i))];
            symbols.iter().for_each(|s| class[usize::from(*s)] += 1);
        }
    }
    let (map, tables) = plan::join(&classes);
    if tables.len() < 2 {
        return false;
    }
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        let count = t.fields[number].symbols.len() / per;
        let contexts =
            (0..count).flat_map(|i| std::iter::repeat_n(map[usize::from(key(t, i))], per)).collect();
        t.fields[number].contexts = contexts;
    }
    let mut boxed = Box::new([0; 256]);
    boxed.copy_from_slice(&map);
    (field.context, field.tables) = (Context::Fields { first, minus, map: boxed }, tables);
    true
}

/// Whether rows differ so much that classes pay at any level: the means of some of them, from all over the block,
/// spread over an octave or more.
fn uneven(field: &Field, number: usize, tiles: &[Work<'_>], groups: usize) -> bool {
    let mut means = Vec::new();
    for t in tiles.iter().step_by(tiles.len().div_ceil(4)) {
        // Whole rows only.
        let skip = t.first.next_multiple_of(groups) - t.first;
        let symbols = t.fields[number].symbols.get(skip..).unwrap_or_default();
        means.extend(symbols.chunks_exact(groups).take(64).map(|row| {
            let sum = row.iter().map(|s| weight(field, *s)).sum();
            if field.element == 1 { log16(sum, groups as i64) } else { 16 * sum / groups as i64 }
        }));
    }
    let octave = match field.transform {
        _ if field.element == 1 => 16,
        // Symbols are exponents with as many bits of the mantissa as there are above the low bits and the sign.
        Transform::Float => 16 << mantissa(field.element).saturating_sub(field.low_bits - 1),
        _ => return false,
    };
    means.len() >= 16 && spread(&means) >= octave
}

/// Bits of the mantissa of the floats that are usual in this width.
fn mantissa(element: usize) -> u32 {
    match element {
        2 => 10,
        4 => 23,
        _ => 52,
    }
}

/// What a symbol adds to the mean of its row or column. Of whole numbers the size counts; of floats the exponent,
/// which grows with the symbol.
fn weight(field: &Field, symbol: u8) -> i64 {
    if field.element == 1 { i64::from((symbol as i8).unsigned_abs()) } else { i64::from(symbol) }
}

/// Tables by the means of rows and columns; false where one does as well.
fn by_rows(field: &mut Field, number: usize, tiles: &mut [Work<'_>], groups: usize) -> bool {
    let small = field.element == 1;
    let weight = |s: u8| weight(field, s);
    let columns_too = groups <= 1 << 14;
    let (mut rows, mut columns) =
        (Vec::<(i64, i64)>::new(), vec![(0i64, 0i64); if columns_too { groups } else { 0 }]);
    for t in tiles.iter() {
        for (i, s) in t.fields[number].symbols.iter().enumerate() {
            let (row, column) = ((t.first + i) / groups, (t.first + i) % groups);
            if rows.len() <= row {
                rows.resize(row + 1, (0, 0));
            }
            rows[row] = (rows[row].0 + weight(*s), rows[row].1 + 1);
            if columns_too {
                columns[column] = (columns[column].0 + weight(*s), columns[column].1 + 1);
            }
        }
    }
    let mean = |m: &(i64, i64)| match m.1 {
        0 => -256,
        _ if small => log16(m.0, m.1),
        n => 16 * m.0 / n,
    };
    let (rows, columns): (Vec<i64>, Vec<i64>) =
        (rows.iter().map(mean).collect(), columns.iter().map(mean).collect());
    let step = (spread(&rows).max(spread(&columns)) / 14).max(1);
    let (row_classes, column_classes) = (classes_of(&rows, step), classes_of(&columns, step));
    let mut classes = vec![[0u32; 256]; 16];
    let sums = |t: &Work<'_>| {
        let first = t.first;
        let (rows, columns) = (&row_classes, &column_classes);
        let (mut row, mut column) = (first / groups, first % groups);
        (0..t.fields[number].symbols.len())
            .map(move |_| {
                let sum = sum_of(rows[row], columns.get(column).copied().unwrap_or(8));
                column += 1;
                if column == groups {
                    (row, column) = (row + 1, 0);
                }
                sum
            })
            .collect::<Vec<usize>>()
    };
    for t in tiles.iter() {
        let symbols = &t.fields[number].symbols;
        sums(t).into_iter().zip(symbols).for_each(|(sum, s)| classes[sum][usize::from(*s)] += 1);
    }
    let (found, tables) = plan::join(&classes);
    if tables.len() < 2 {
        return false;
    }
    let mut map = [0; 16];
    map.copy_from_slice(&found);
    for t in tiles.iter_mut().filter(|t| !t.constant) {
        t.fields[number].contexts = sums(t).into_iter().map(|sum| map[sum]).collect();
        let last = (t.first + t.fields[number].symbols.len() - 1) / groups;
        t.rows = row_classes[t.first / groups..=last].to_vec();
    }
    let columns = if column_classes.iter().any(|c| *c != 8) { column_classes } else { Vec::new() };
    (field.context, field.tables) = (Context::Rows { groups: groups as u64, columns, map }, tables);
    true
}

/// 16 times the logarithm of a mean of small numbers, to the base 2; negative numbers for means below 1.
fn log16(sum: i64, count: i64) -> i64 {
    if sum == 0 || count == 0 {
        return -256;
    }
    // Octaves in whole, then sixteenths by the place between two powers of two.
    let value = (sum << 16) / count;
    let octave = 63 - i64::from(value.max(1).leading_zeros());
    16 * (octave - 16) + ((value << 4) >> octave) - 16
}

fn spread(means: &[i64]) -> i64 {
    let mut sorted: Vec<i64> = means.iter().copied().filter(|m| *m > -256).collect();
    sorted.sort_unstable();
    match sorted.len() {
        0 => 0,
        n => sorted[(n - 1) * QUANTILES.1 / 64] - sorted[(n - 1) * QUANTILES.0 / 64],
    }
}

/// Classes 0..16, 8 for what lies in the middle. The lowest is for rows of nothing but zeros alone.
fn classes_of(means: &[i64], step: i64) -> Vec<u8> {
    let mut sorted: Vec<i64> = means.iter().copied().filter(|m| *m > -256).collect();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let class = |m: &i64| {
        if *m <= -256 { 0 } else { ((m - middle + step / 2).div_euclid(step) + 8).clamp(1, 15) as u8 }
    };
    means.iter().map(class).collect()
}

/// The tables of all planes, ready to encode with.
struct Encoders {
    fields: Vec<(Encoder, Option<Encoder>)>,
    mask: Option<Encoder>,
}

impl Encoders {
    fn new(planes: &Planes) -> Self {
        let both = |f: &Field| (Encoder::new(&f.tables), f.low.as_ref().map(|l| Encoder::new(&l.1)));
        let mask = planes.mask.as_ref().map(|m| Encoder::new(std::slice::from_ref(m)));
        Self { fields: planes.fields.iter().map(both).collect(), mask }
    }
}

impl Work<'_> {
    fn put(&self, planes: &Planes, encoders: &Encoders, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        if self.constant {
            out.push(1);
            // The words of a group that lies in several rows are all alike too.
            let (word, row) = planes.cut.as_ref().map_or((planes.group, 0), |c| (c.word, c.word * c.columns));
            for at in (0..planes.group / word).map(|i| i * row) {
                out.extend_from_slice(&self.raw[at..at + word]);
            }
            return Ok(());
        }
        match (&self.mask, &encoders.mask) {
            (Some(mask), Some(encoder)) => {
                out.push(3);
                put_symbols(mask, encoder, Contexts::One, out)?;
            }
            _ => out.push(0),
        }
        for (i, (field, (symbols, low))) in planes.fields.iter().zip(&encoders.fields).enumerate() {
            self.put_field(field, &self.fields[i], symbols, low.as_ref(), out)?;
        }
        if out.len() - start > self.raw.len() {
            out.truncate(start);
            out.push(2);
            out.extend_from_slice(self.raw);
        }
        Ok(())
    }

    fn put_field(
        &self,
        field: &Field,
        split: &Split,
        symbols: &Encoder,
        low: Option<&Encoder>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if field.transform == Transform::Float {
            out.push(split.zeros as u8);
        }
        varint::put(out, split.exceptions.len() as u64);
        let mut next = 0;
        for (at, bits) in &split.exceptions {
            varint::put(out, (at - next) as u64);
            out.extend_from_slice(&bits.to_le_bytes()[..field.element]);
            next = at + 1;
        }
        let contexts = match field.context {
            Context::None => Contexts::One,
            _ => Contexts::Many(&split.contexts),
        };
        if let Context::Classes { freqs, .. } = &field.context {
            put_symbols(&split.classes, &Encoder::new(std::slice::from_ref(&**freqs)), Contexts::One, out)?;
        }
        if let Context::Rows { .. } = field.context {
            out.extend(self.rows.chunks(2).map(|p| p[0] | p.get(1).unwrap_or(&0) << 4));
        }
        put_symbols(&split.symbols, symbols, contexts, out)?;
        match (low, &field.low) {
            (Some(encoder), Some((map, _))) => {
                let contexts: Vec<u8> = split.symbols.iter().map(|s| map[usize::from(*s)]).collect();
                put_symbols(&split.bytes, encoder, Contexts::Many(&contexts), out)?;
            }
            _ => out.extend_from_slice(&split.bytes),
        }
        out.extend_from_slice(&split.packed);
        Ok(())
    }
}

/// Appends a sequence in the mode that is smallest.
fn put_symbols(symbols: &[u8], encoder: &Encoder, contexts: Contexts<'_>, out: &mut Vec<u8>) -> Result<()> {
    if let Some((first, rest)) = symbols.split_first()
        && rest.iter().all(|s| s == first)
    {
        out.extend_from_slice(&[1, *first]);
        return Ok(());
    }
    let start = out.len();
    out.push(0);
    let mut coded = Vec::with_capacity(symbols.len() + 256);
    let words = encode(encoder, symbols, contexts, &mut coded)?;
    varint::put(out, words as u64);
    out.extend_from_slice(&coded);
    if out.len() - start > symbols.len() + 1 {
        out.truncate(start);
        out.push(2);
        out.extend_from_slice(symbols);
    }
    Ok(())
}

/// A block that repeats an earlier one of its stream.
pub fn copy(source: &EncodedBlock, block: u64) -> Option<EncodedBlock> {
    let Units::Tiles { raw, tiles } = &source.units else { return None };
    let mut params = Vec::new();
    Params::Copy { block }.put(&mut params);
    let tiles = tiles.iter().map(|t| Tile { payload_len: 0, check: t.check }).collect();
    Some(EncodedBlock {
        codec: Codec::Tensor,
        raw_len: source.raw_len,
        model: None,
        params: Some(params),
        units: Units::Tiles { raw: *raw, tiles },
        payload: Vec::new(),
    })
}
