//! Packs the parameters and tables of a block, and the places of each tile's parts, for the kernels of tiles.

use crate::codec::tensor::TileDecoder;
use crate::codec::tensor::stored::{
    Context, FieldParams, Planes, Sections, Sequence, StoredContexts, TileGroups, Transform,
};
use crate::coder::rans::lanes;
use crate::format::cursor::{Cursor, Parsed};
use crate::tensor::bits::{SIZES, packed_len, plane_len};

/// The number of words of a tile's entry: `Tile` in `tiles.wgsl`.
pub const TILE_WORDS: usize = 24;
/// How a tile is stored: `kind` in `tiles.wgsl`.
const PLANES: u32 = 0;
const CONSTANT: u32 = 1;
const RAW: u32 = 2;
/// The entry of a tile that is left to the CPU.
pub const LEFT: [u32; TILE_WORDS] = {
    let mut entry = [0; TILE_WORDS];
    entry[0] = 3;
    entry
};
/// The mode of a sequence that does not exist.
const NO_SEQUENCE: u32 = 3;

/// Whether the kernels can decode tiles of a block: numbers of 1, 2 or 4 bytes, plain or floats, with one
/// table or with tables by row and column.
pub fn fits(planes: &Planes) -> bool {
    let [field] = &planes.fields[..] else { return false };
    field.width == field.element
        && field.element <= 4
        && matches!(field.transform, Transform::Plain | Transform::Float)
        && matches!(field.context, Context::None | Context::Rows { .. })
        && !field.signed
        && planes.delta.is_none()
        && planes.differences.is_none()
        && planes.pieces.is_none()
}

/// The parameters of a block.
pub struct PackedBlock {
    /// Tables, then maps; their offsets are in `uniform`.
    pub model: Vec<u32>,
    /// The first words of `Params` in `tiles.wgsl`, which are the same for all batches.
    pub uniform: Vec<u32>,
}

impl PackedBlock {
    /// Lays out the parameters of a block that [`fits`].
    pub fn new(decoder: &TileDecoder) -> Self {
        let field = &decoder.params().fields[0];
        let (symbols, low) = decoder.tables(0);
        let mut model = symbols.slots().to_vec();
        let low_at = model.len();
        model.extend(low.iter().flat_map(|low| low.slots()));
        let low_map_at = model.len();
        model.extend(field.low.iter().flat_map(|(map, _)| map.iter().map(|&m| u32::from(m))));
        let map_at = model.len();
        let (mut by_row, mut groups, mut columns_count) = (0, 1, 0);
        if let Context::Rows { groups: all, columns, map } = &field.context {
            model.extend(map.iter().chain(columns).map(|&m| u32::from(m)));
            // A block has fewer groups than 2^32 − 1.
            (by_row, groups, columns_count) = (1, (*all).min(u32::MAX.into()) as u32, columns.len() as u32);
        }
        let uniform = vec![
            field.element as u32,
            u32::from(field.transform == Transform::Float),
            field.low_bits,
            field.base as u32,
            field.fold.into(),
            low_at as u32,
            low_map_at as u32,
            map_at as u32,
            by_row,
            groups,
            columns_count,
        ];
        Self { model, uniform }
    }
}

/// An exception: the index of its symbol in the batch, and its bits.
pub type Exception = (u32, u32);

/// Makes the entry of a tile. `None` where the kernels cannot decode it or where no encoder writes its
/// payload: the CPU decodes such a tile, and finds the error. `first` is the index of its first element in
/// the block, `at` the start of its payload in the buffer of payloads, and `symbols` the number of symbols
/// that come before its own in the batch.
pub fn entry(
    decoder: &TileDecoder,
    payload: &[u8],
    first: u64,
    raw_len: usize,
    at: usize,
    symbols: usize,
    exceptions: &mut Vec<Exception>,
) -> Option<[u32; TILE_WORDS]> {
    let element = decoder.params().group;
    if !raw_len.is_multiple_of(element) || raw_len == 0 {
        return None;
    }
    let count = raw_len / element;
    let (&mode, rest) = payload.split_first()?;
    let mut entry = [0; TILE_WORDS];
    (entry[1], entry[2], entry[3], entry[4]) = (count as u32, symbols as u32, first as u32, at as u32 + 1);
    match mode {
        0 => {
            let mut parser = Parser { payload, at, entry: &mut entry };
            let found = parser.planes(&decoder.params().fields[0], first, count).ok()??;
            exceptions.extend(found.into_iter().map(|(place, bits)| (symbols as u32 + place, bits)));
            entry[0] = PLANES;
        }
        1 if rest.len() == element => entry[0] = CONSTANT,
        2 if rest.len() == raw_len => entry[0] = RAW,
        _ => return None,
    }
    Some(entry)
}

struct Parser<'a, 'e> {
    payload: &'a [u8],
    at: usize,
    entry: &'e mut [u32; TILE_WORDS],
}

impl<'a> Parser<'a, '_> {
    /// The offset of some bytes of the payload in the buffer of payloads.
    fn offset(&self, bytes: &[u8]) -> u32 {
        (self.at + bytes.as_ptr().addr() - self.payload.as_ptr().addr()) as u32
    }

    /// Fills in the places of planes. Returns the exceptions; `None` where the kernels cannot decode the
    /// tile.
    fn planes(&mut self, field: &FieldParams, first: u64, count: usize) -> Parsed<Option<Vec<Exception>>> {
        let mut c = Cursor::new(self.payload);
        c.u8()?;
        let groups = TileGroups::unmasked(first, count);
        let sections = Sections::parse(&mut c, field, &groups, field.element)?;
        let Some(zeros) = sections.zero_bits.same_zeros() else { return Ok(None) };
        self.entry[5] = zeros;
        if let StoredContexts::Rows(rows) = sections.contexts {
            self.entry[6] = self.offset(rows);
        }
        self.sequence(7, sections.symbols, count);
        let coded = field.low.is_some() && sections.zero_bits.leave_eight(field);
        self.entry[11] = NO_SEQUENCE;
        let low_bits = field.low_bits - zeros;
        let (whole, part) = if coded { (0, 0) } else { (low_bits / 8, low_bits % 8) };
        if coded {
            if field.fold > 0 {
                return Ok(None);
            }
            let low = Sequence::parse(&mut c, count)?;
            self.sequence(11, low, count);
        }
        let low_len = count * whole as usize + packed_len(count, part);
        let rest = c.rest();
        let Some(folded) = rest.len().checked_sub(low_len) else { return Ok(None) };
        if folded > 0 && field.fold == 0 {
            return Ok(None);
        }
        self.entry[15] = self.offset(rest);
        self.entry[16] = folded as u32;
        self.entry[17] = self.entry[15] + folded as u32;
        self.entry[18] = whole;
        self.entry[19] = part;
        let mut plane = self.entry[17] + (count as u32) * whole;
        for (to, size) in self.entry[20..23].iter_mut().zip(SIZES) {
            *to = plane;
            plane += if part & size != 0 { plane_len(count, size) as u32 } else { 0 };
        }
        let bits = |value: &[u8]| value.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
        let exceptions = &sections.exceptions;
        let pairs = exceptions.places.iter().zip(&exceptions.values);
        Ok(Some(pairs.map(|(&place, value)| (place as u32, bits(value))).collect()))
    }

    /// Fills in a sequence (`Sequence` in `tiles.wgsl`).
    fn sequence(&mut self, to: usize, sequence: Sequence<'_>, count: usize) {
        let parts = match sequence {
            Sequence::Rans(bytes) => {
                let (start, states) = (self.offset(bytes), 4 * lanes(count));
                [0, start, start + states as u32, ((bytes.len() - states) / 2) as u32]
            }
            Sequence::Same(symbol) => [1, symbol.into(), 0, 0],
            Sequence::Plain(bytes) => [2, self.offset(bytes), 0, 0],
        };
        self.entry[to..to + 4].copy_from_slice(&parts);
    }
}
