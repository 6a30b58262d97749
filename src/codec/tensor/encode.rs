//! Encoding blocks.

use super::classes;
use super::contexts::{by_base, by_fields, learn};
use super::delta::{Delta, Operation, distinguish};
use super::forms::{self, Wish};
use super::low_bits::BY_ROW;
use super::params::{Context, Field, Params, Planes, Transform, put_nibbles};
use super::plan;
use super::predict::turn;
use super::prediction::by_prediction;
use super::split::{Split, split};
use super::{Codec, EncodedBlock, Hint};
use crate::coder::rans::{Coded, Contexts, Encoder, Freqs, encode};
use crate::error::Result;
use crate::format::block::{Tile, Units};
use crate::format::checksum::check32;
use crate::format::consts::{MAX_PARAMS, MAX_TILE_RAW};
use crate::format::varint;
use crate::kernel::Kernel;
use crate::tensor::Dtype;
use crate::tensor::decimal::Decimal;
use rayon::prelude::*;

/// Raw bytes of a tile, about, for each of the levels 1..=9.
const TILES: [usize; 9] = [1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 17, 1 << 18, 1 << 18, 1 << 19];

/// The level from which on numbers are predicted from others of their row.
const PREDICTED: u8 = 9;
/// Rows of which tiles with predictions have a multiple, so that all lanes are busy.
const ROWS: usize = 32;

/// A tile between its two passes.
pub struct Work<'a> {
    raw: &'a [u8],
    /// Groups before it in the block.
    pub first: usize,
    /// All groups are like the first one.
    pub constant: bool,
    /// Which groups are not zero, where those that are have been left out.
    pub mask: Option<Vec<u8>>,
    /// Symbols and low bits of each field.
    pub fields: Vec<Split>,
    /// Classes of its rows.
    pub rows: Vec<u8>,
}

/// Codes a block of elements; `None` where they have nothing that this codec could use.
pub fn encode_block(raw: &[u8], hint: Hint, level: u8) -> Result<Option<EncodedBlock>> {
    encode_with(raw, hint, level, Kernel::best())
}

/// The same with a kernel of the caller's choice, which changes nothing but speed.
pub fn encode_with(raw: &[u8], hint: Hint, level: u8, kernel: Kernel) -> Result<Option<EncodedBlock>> {
    let mut typed = match plan::skeleton(raw, hint, level) {
        Some(planes) => with_planes(raw, hint, level, kernel, planes, &[], None)?,
        None => None,
    };
    if level >= PREDICTED
        && hint.row_bytes > 0
        && let Some(planes) = plan::predicted(raw, hint, level)
    {
        let predicted = with_planes(raw, hint, level, kernel, planes, &[Wish::Predicted], None)?;
        typed = [typed, predicted].into_iter().flatten().min_by_key(EncodedBlock::cost);
    }
    let Some((planes, wishes)) = hint.form.and_then(|form| forms::skeleton(raw, form)) else {
        return Ok(typed);
    };
    let packed = with_planes(raw, hint, level, kernel, planes, &wishes, None)?;
    // The first of equal ones.
    Ok([typed, packed].into_iter().flatten().min_by_key(EncodedBlock::cost))
}

/// Bytes of a base that belong to those of a block.
#[derive(Debug, Clone, Copy)]
pub struct BasePiece<'a> {
    /// As many as the block has.
    pub bytes: &'a [u8],
    /// BLAKE3 of the whole base.
    pub hash: [u8; 32],
    /// Bytes of the base before these.
    pub offset: u64,
}

/// Codes a block against a base; the smaller one of difference and XOR.
pub fn encode_delta(raw: &[u8], hint: Hint, base: BasePiece<'_>, level: u8) -> Result<Option<EncodedBlock>> {
    let element = match hint.dtype {
        Dtype::C64 => 4,
        Dtype::C128 => 8,
        dtype => match dtype.group() {
            (1, bytes @ (1 | 2 | 4 | 8)) => bytes as usize,
            _ => 1,
        },
    };
    if raw.len() != base.bytes.len() || raw.is_empty() || !raw.len().is_multiple_of(element) {
        return Ok(None);
    }
    let mut best = None;
    for operation in [Operation::Difference, Operation::Xor] {
        let numbers = distinguish(element, operation, raw, base.bytes);
        let delta = Delta { element, operation, hash: base.hash, offset: base.offset };
        let fields = vec![plan::field(1, 1, Transform::Plain, 0, 0); element];
        let planes =
            Planes { kept: false, delta: Some(delta), group: element, fields, mask: None, cut: None };
        let pair = Some(Pair { raw, base: base.bytes });
        let coded = with_planes(&numbers, hint, level, Kernel::best(), planes, &[], pair)?;
        best = [best, coded].into_iter().flatten().min_by_key(EncodedBlock::cost);
    }
    Ok(best)
}

/// What numbers are the difference of.
#[derive(Clone, Copy)]
struct Pair<'a> {
    raw: &'a [u8],
    base: &'a [u8],
}

/// Codes a block with these fields. Where it is coded against a base, `numbers` are what `pair` differs by.
fn with_planes(
    numbers: &[u8],
    hint: Hint,
    level: u8,
    kernel: Kernel,
    mut planes: Planes,
    wishes: &[Wish],
    pair: Option<Pair<'_>>,
) -> Result<Option<EncodedBlock>> {
    let predicted = wishes.first() == Some(&Wish::Predicted);
    let unit = if predicted { hint.row_bytes as usize } else { planes.unit() };
    if unit as u64 > MAX_TILE_RAW || !numbers.len().is_multiple_of(unit) {
        return Ok(None);
    }
    let tile = TILES[usize::from(level.clamp(1, 9)) - 1];
    let units = match (tile / unit).max(1) {
        rows if predicted && rows > ROWS => rows / ROWS * ROWS,
        units => units,
    };
    let size = units * unit;
    let mut tiles: Vec<Work<'_>> = numbers
        .par_chunks(size)
        .enumerate()
        .map(|(i, raw)| first_pass(&planes, kernel, raw, i * size / planes.group, hint.row_bytes))
        .collect();
    let group = planes.group;
    for number in 0..planes.fields.len() {
        if let Some(pair) = pair {
            let base = |first: usize| &pair.base[first * group..];
            by_base(&mut planes.fields[number], number, &mut tiles, group, base);
            continue;
        }
        if predicted {
            if !by_prediction(&mut planes.fields[number], &mut tiles, hint, kernel) {
                return Ok(None);
            }
            continue;
        }
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
    let mut pen = Pen::new(Vec::with_capacity(numbers.len()), kernel);
    let mut table = Vec::with_capacity(tiles.len());
    let original = pair.map_or(numbers, |p| p.raw);
    for (tile, raw) in tiles.iter().zip(original.chunks(size)) {
        let start = pen.out.len();
        tile.put(&planes, &encoders, &mut pen)?;
        table.push(Tile { payload_len: (pen.out.len() - start) as u32, check: check32(raw) });
    }
    let payload = pen.out;
    let mut params = Vec::new();
    Params::Planes(Box::new(planes)).put(&mut params);
    if params.len() as u64 > MAX_PARAMS {
        return Ok(None);
    }
    Ok(Some(EncodedBlock {
        codec: Codec::Tensor,
        raw_len: numbers.len() as u32,
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

fn first_pass<'a>(planes: &Planes, kernel: Kernel, raw: &'a [u8], first: usize, row_bytes: u64) -> Work<'a> {
    let groups = if planes.fields.len() == 1 && planes.fields[0].per_group() == 1 {
        row_bytes / planes.group as u64
    } else {
        0
    };
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
        work.fields =
            planes.fields.iter().zip(&elements).map(|(f, e)| split(f, None, kernel, e, None)).collect();
        return work;
    }
    let (mut dense, mut elements) = (Vec::new(), Vec::new());
    if planes.mask.is_some() {
        dense = some_groups(raw, group, &mut work);
    }
    let source = if work.mask.is_some() { &dense[..] } else { raw };
    let mut at = 0;
    for field in &planes.fields {
        let decimal = if let Transform::Decimal(d) = field.transform { Some(Decimal::new(d)) } else { None };
        let split = if field.width == group {
            let rows = (work.mask.is_none() && groups > 0).then_some((first as u64, groups));
            split(field, decimal.as_ref(), kernel, source, rows)
        } else {
            let width = field.width;
            elements.resize(source.len() / group * width, 0);
            for (to, g) in elements.chunks_exact_mut(width).zip(source.chunks_exact(group)) {
                to.copy_from_slice(&g[at..at + width]);
            }
            split(field, decimal.as_ref(), kernel, &elements, None)
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

/// How often each symbol occurs.
pub fn counts<'a>(sequences: impl Iterator<Item = &'a [u8]>) -> [u32; 256] {
    // Four tables: a symbol that follows itself need not wait.
    let mut parts = [[0u32; 256]; 4];
    for symbols in sequences {
        let (eights, rest) = symbols.as_chunks::<8>();
        for eight in eights {
            let eight = u64::from_le_bytes(*eight);
            for k in 0..8 {
                parts[k % 4][(eight >> (8 * k)) as usize & 255] += 1;
            }
        }
        rest.iter().for_each(|s| parts[0][usize::from(*s)] += 1);
    }
    let mut all = [0; 256];
    for part in &parts {
        all.iter_mut().zip(part).for_each(|(a, p)| *a += p);
    }
    all
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
    fn put(&self, planes: &Planes, encoders: &Encoders, pen: &mut Pen) -> Result<()> {
        let start = pen.out.len();
        if self.constant {
            pen.out.push(1);
            // The words of a group that lies in several rows are all alike too.
            let (word, row) = planes.cut.as_ref().map_or((planes.group, 0), |c| (c.word, c.word * c.columns));
            for at in (0..planes.group / word).map(|i| i * row) {
                pen.out.extend_from_slice(&self.raw[at..at + word]);
            }
            return Ok(());
        }
        match (&self.mask, &encoders.mask) {
            (Some(mask), Some(encoder)) => {
                pen.out.push(3);
                pen.symbols(mask, encoder, Contexts::One)?;
            }
            _ => pen.out.push(0),
        }
        for (i, (field, (symbols, low))) in planes.fields.iter().zip(&encoders.fields).enumerate() {
            self.put_field(field, &self.fields[i], symbols, low.as_ref(), pen)?;
        }
        if pen.out.len() - start > self.raw.len() {
            pen.out.truncate(start);
            pen.out.push(2);
            pen.out.extend_from_slice(self.raw);
        }
        Ok(())
    }

    fn put_field(
        &self,
        field: &Field,
        split: &Split,
        symbols: &Encoder,
        low: Option<&Encoder>,
        pen: &mut Pen,
    ) -> Result<()> {
        if field.transform == Transform::Float {
            match &split.marked {
                None => pen.out.push(split.zeros as u8),
                Some(m) => {
                    pen.out.extend_from_slice(&[split.zeros as u8 | BY_ROW, m.zeros as u8]);
                    varint::put(&mut pen.out, m.groups);
                    pen.out.extend_from_slice(&m.rows);
                }
            }
        }
        varint::put(&mut pen.out, split.exceptions.len() as u64);
        let mut next = 0;
        for (at, bits) in &split.exceptions {
            varint::put(&mut pen.out, (at - next) as u64);
            pen.out.extend_from_slice(&bits.to_le_bytes()[..field.element]);
            next = at + 1;
        }
        let contexts = match field.context {
            Context::None => Contexts::One,
            _ => Contexts::Many(&split.contexts),
        };
        if let Context::Classes { freqs, .. } = &field.context {
            let encoder = Encoder::new(std::slice::from_ref(&**freqs));
            pen.symbols(&split.classes, &encoder, Contexts::One)?;
        }
        if let Context::Rows { .. } | Context::Predicted(_) = field.context {
            put_nibbles(&self.rows, &mut pen.out);
        }
        if let Context::Predicted(prediction) = &field.context {
            let mut columns = vec![0; split.symbols.len()];
            turn(&split.symbols, prediction.row(), &mut columns);
            pen.runs(&columns, symbols, contexts, self.rows.len())?;
        } else {
            pen.symbols(&split.symbols, symbols, contexts)?;
        }
        put_nibbles(&split.folded, &mut pen.out);
        match (low, &field.low) {
            (Some(encoder), Some((map, _))) => {
                let contexts: Vec<u8> = split.symbols.iter().map(|s| map[usize::from(*s)]).collect();
                pen.symbols(&split.bytes, encoder, Contexts::Many(&contexts))?;
            }
            _ => pen.out.extend_from_slice(&split.bytes),
        }
        pen.out.extend_from_slice(&split.packed);
        split.marked.iter().for_each(|m| pen.out.extend_from_slice(&m.low));
        Ok(())
    }
}

/// Writes sequences and what stands between them.
pub struct Pen {
    pub out: Vec<u8>,
    kernel: Kernel,
    coded: Coded,
}

impl Pen {
    pub fn new(out: Vec<u8>, kernel: Kernel) -> Self {
        Self { out, kernel, coded: Coded::default() }
    }

    /// Appends a sequence in the mode that is smallest.
    ///
    /// # Errors
    ///
    /// `BadArgument` for a symbol that has no frequency.
    pub fn symbols(&mut self, symbols: &[u8], encoder: &Encoder, contexts: Contexts<'_>) -> Result<()> {
        self.runs(symbols, encoder, contexts, symbols.len())
    }

    /// Appends a sequence of runs of `run` symbols in the mode that is smallest.
    fn runs(&mut self, symbols: &[u8], encoder: &Encoder, contexts: Contexts<'_>, run: usize) -> Result<()> {
        let out = &mut self.out;
        if let Some((first, rest)) = symbols.split_first()
            && rest.iter().all(|s| s == first)
        {
            out.extend_from_slice(&[1, *first]);
            return Ok(());
        }
        let start = out.len();
        encode(encoder, self.kernel, symbols, contexts, run, &mut self.coded)?;
        out.push(0);
        varint::put(out, self.coded.words() as u64);
        self.coded.put(out);
        if out.len() - start > symbols.len() + 1 {
            out.truncate(start);
            out.push(2);
            out.extend_from_slice(symbols);
        }
        Ok(())
    }
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
