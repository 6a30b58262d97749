//! A tile split into parts, between the pass that splits its numbers and the one that writes them.

use super::field_parts::{FieldParts, TileRows};
use crate::codec::tensor::kernel::{deal, gather};
use crate::codec::tensor::stored::{PieceLayout, Planes, Transform};
use crate::kernel::Kernel;
use crate::tensor::decimal::Decimal;

/// Groups that are zero are left out where they make up more than one in this many.
const MASK_SHARE: usize = 128;

/// A tile between the two passes.
pub struct TileParts<'a> {
    /// The bytes of the tile; for a block coded against a base, the numbers of its differences.
    pub raw: &'a [u8],
    /// The number of groups of the block before the tile.
    pub first: usize,
    /// Whether all groups equal the first one. The fields then have no parts.
    pub constant: bool,
    /// A bit for each group, 1 where it is not zero, if groups that are zero have been left out.
    pub mask: Option<Vec<u8>>,
    /// The parts of each field.
    pub fields: Vec<FieldParts>,
    /// The classes of the tile's rows, where the field's context has these.
    pub row_classes: Vec<u8>,
}

impl<'a> TileParts<'a> {
    /// Splits a tile, which comes after `first` groups of its block, into parts. Rows have `row_bytes` bytes;
    /// 0 where there are none.
    pub fn new(planes: &Planes, kernel: Kernel, raw: &'a [u8], first: usize, row_bytes: u64) -> Self {
        let mut tile =
            Self { raw, first, constant: false, mask: None, fields: Vec::new(), row_classes: Vec::new() };
        let mut gathered = Vec::new();
        let groups = match &planes.pieces {
            Some(layout) if layout.rows > 1 => {
                gathered.resize(raw.len(), 0);
                gather(layout, raw, &mut gathered);
                &gathered[..]
            }
            _ => raw,
        };
        if groups[planes.group..] == groups[..groups.len() - planes.group] {
            tile.constant = true;
            tile.fields.resize_with(planes.fields.len(), FieldParts::default);
            return tile;
        }
        match &planes.pieces {
            Some(layout) => tile.take_pieces(planes, layout, kernel, groups),
            None => tile.take_fields(planes, kernel, row_bytes),
        }
        tile
    }

    /// Splits groups whose fields are made of pieces.
    fn take_pieces(&mut self, planes: &Planes, layout: &PieceLayout, kernel: Kernel, groups: &[u8]) {
        let count = groups.len() / planes.group;
        let mut elements: Vec<Vec<u8>> = planes.fields.iter().map(|f| vec![0; count * f.width]).collect();
        deal(layout, planes.group, &planes.fields, groups, &mut elements);
        let pairs = planes.fields.iter().zip(&elements);
        self.fields = pairs.map(|(f, e)| FieldParts::new(f, None, kernel, e, None)).collect();
    }

    /// Splits groups whose fields are whole bytes.
    fn take_fields(&mut self, planes: &Planes, kernel: Kernel, row_bytes: u64) {
        let group = planes.group;
        let (mut kept, mut elements) = (Vec::new(), Vec::new());
        if planes.mask.is_some() {
            (self.mask, kept) = without_zeros(self.raw, group);
        }
        let source = if self.mask.is_some() { &kept[..] } else { self.raw };
        let single = planes.fields.len() == 1 && planes.fields[0].per_group() == 1;
        let rows = TileRows { first: self.first as u64, groups: row_bytes / group as u64 };
        let rows = (single && self.mask.is_none() && rows.groups > 0).then_some(rows);
        let mut at = 0;
        for field in &planes.fields {
            let decimal =
                if let Transform::Decimal(d) = field.transform { Some(Decimal::new(d)) } else { None };
            let parts = if field.width == group {
                FieldParts::new(field, decimal.as_ref(), kernel, source, rows)
            } else {
                let width = field.width;
                elements.resize(source.len() / group * width, 0);
                for (to, g) in elements.chunks_exact_mut(width).zip(source.chunks_exact(group)) {
                    to.copy_from_slice(&g[at..at + width]);
                }
                FieldParts::new(field, decimal.as_ref(), kernel, &elements, None)
            };
            self.fields.push(parts);
            at += field.width;
        }
    }
}

/// A mask of the groups that are not zero, where leaving out the others pays, and the groups that remain.
fn without_zeros(raw: &[u8], group: usize) -> (Option<Vec<u8>>, Vec<u8>) {
    let (mut mask, mut kept) = (vec![0u8; (raw.len() / group).div_ceil(8)], Vec::new());
    for (i, g) in raw.chunks_exact(group).enumerate() {
        if g.iter().any(|b| *b != 0) {
            mask[i / 8] |= 1 << (i % 8);
            kept.extend_from_slice(g);
        }
    }
    let pays = kept.len() < raw.len() - raw.len() / MASK_SHARE;
    (pays.then_some(mask), kept)
}
