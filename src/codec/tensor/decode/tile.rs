//! Decodes a tile.

use super::base::FoundBase;
use super::field::{FieldDecoder, FieldScratch};
use crate::codec::tensor::kernel::{add_earlier, collect, scatter};
use crate::codec::tensor::stored::{Params, PieceLayout, Planes, Sequence, TileGroups, TileMode};
use crate::coder::rans::{Contexts, Decoder};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{Cursor, Parsed};
use crate::kernel::Kernel;
use crate::tensor::bases::Bases;

/// The parameters of a block, prepared for decoding its tiles.
pub struct TileDecoder {
    fields: FieldDecoder,
    /// The table of masks, where tiles may have them.
    mask: Option<Decoder>,
}

/// Memory for decoding tiles, to be reused.
#[derive(Default)]
pub struct Scratch {
    fields: FieldScratch,
    /// The elements of a field that is only part of its groups.
    elements: Vec<u8>,
    /// The elements of each field whose pieces have not been collected yet.
    pieces: Vec<Vec<u8>>,
    /// The groups that they are collected into, where the words of groups lie in several rows.
    groups: Vec<u8>,
    mask: Vec<u8>,
    /// The groups that a mask names, one after the other.
    masked: Vec<u8>,
}

impl TileDecoder {
    /// Prepares for decoding the tiles of a block of `raw_len` raw bytes with these parameters. All kernels
    /// give the same bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for the parameters of a copy, which has no tiles of its own, and for a base
    /// that is too short; [`ErrorKind::MissingBase`] where the base is not among those given.
    pub fn new(params: &Params, raw_len: u64, kernel: Kernel, bases: &Bases) -> Result<Self> {
        let Params::Planes(planes) = params else {
            return Err(Error::corrupt("the source of a copied block is missing"));
        };
        let base = planes.delta.clone().map(|d| FoundBase::find(d, bases, raw_len)).transpose()?;
        let mask = planes.mask.as_ref().map(|m| Decoder::new(std::slice::from_ref(m)));
        Ok(Self { fields: FieldDecoder::new(planes.clone(), kernel, base), mask })
    }

    /// The parameters.
    pub fn params(&self) -> &Planes {
        &self.fields.planes
    }

    /// The tables of a field's symbols, and those of its low bits where these are coded.
    pub fn tables(&self, field: usize) -> (&Decoder, Option<&Decoder>) {
        let tables = &self.fields.tables[field];
        (&tables.symbols, tables.low.as_ref())
    }

    /// Decodes the tile that starts at raw byte `start` of the block and fills `out`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for a payload that is not exactly a tile of this length,
    /// [`ErrorKind::NewerVersion`] for modes that this release does not know.
    pub fn tile(&self, payload: &[u8], start: u64, out: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let mut c = Cursor::new(payload);
        let result = self.decode(&mut c, start, out, scratch).map_err(|e| e.at_end("a tile"));
        match result {
            // The payload's length is known to be right, so missing bytes are damage, not truncation.
            Err(e) if e.kind() == ErrorKind::Truncated => Err(Error::corrupt(format!("{e}"))),
            Err(e) => Err(e),
            Ok(()) if c.rest().is_empty() => {
                self.fields.base.iter().try_for_each(|base| base.apply(start, out))?;
                let differences = self.fields.planes.differences.iter();
                differences.for_each(|d| add_earlier(d.element, &d.distances, out));
                Ok(())
            }
            Ok(()) => Err(Error::corrupt(format!("{} bytes after the tile", c.rest().len()))),
        }
    }

    fn decode(&self, c: &mut Cursor<'_>, start: u64, out: &mut [u8], scratch: &mut Scratch) -> Parsed<()> {
        let planes = &*self.fields.planes;
        if !out.len().is_multiple_of(planes.unit()) {
            return Err(Error::corrupt("a tile that ends inside a group").into());
        }
        let groups = TileGroups::unmasked(start / planes.group as u64, out.len() / planes.group);
        match (TileMode::parse(c)?, &planes.pieces) {
            (mode @ (TileMode::Planes | TileMode::Same), Some(layout)) => {
                self.pieces(c, layout, mode, &groups, out, scratch)
            }
            (TileMode::Planes, None) => self.planes(c, &groups, out, scratch),
            (TileMode::Same, None) => repeat_group(c, planes.group, out),
            (TileMode::Raw, _) => {
                out.copy_from_slice(c.take(out.len())?);
                Ok(())
            }
            (TileMode::Masked, _) => self.masked(c, groups.first, out, scratch),
        }
    }

    /// Decodes groups whose fields are whole bytes.
    fn planes(
        &self,
        c: &mut Cursor<'_>,
        groups: &TileGroups<'_>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let Planes { group, fields, .. } = &*self.fields.planes;
        let mut at = 0;
        for (i, field) in fields.iter().enumerate() {
            if field.width == *group {
                self.fields.decode(c, i, groups, out, &mut scratch.fields)?;
                continue;
            }
            let elements = &mut scratch.elements;
            elements.clear();
            elements.resize(groups.stored * field.width, 0);
            self.fields.decode(c, i, groups, elements, &mut scratch.fields)?;
            for (to, from) in out.chunks_exact_mut(*group).zip(elements.chunks_exact(field.width)) {
                to[at..at + field.width].copy_from_slice(from);
            }
            at += field.width;
        }
        Ok(())
    }

    /// Decodes groups that consist of pieces of fields, and whose words may lie in several rows.
    fn pieces(
        &self,
        c: &mut Cursor<'_>,
        layout: &PieceLayout,
        mode: TileMode,
        groups: &TileGroups<'_>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Parsed<()> {
        let Planes { group, fields, .. } = &*self.fields.planes;
        let scattered = layout.rows > 1;
        scratch.groups.clear();
        scratch.groups.resize(if scattered { out.len() } else { 0 }, 0);
        let to = if scattered { &mut scratch.groups[..] } else { &mut *out };
        if mode == TileMode::Same {
            repeat_group(c, *group, to)?;
        } else {
            scratch.pieces.resize_with(fields.len(), Vec::new);
            for (i, (field, elements)) in fields.iter().zip(&mut scratch.pieces).enumerate() {
                elements.clear();
                elements.resize(groups.stored * field.width, 0);
                self.fields.decode(c, i, groups, elements, &mut scratch.fields)?;
            }
            collect(layout, *group, fields, &scratch.pieces, to)?;
        }
        if scattered {
            scatter(layout, &scratch.groups, out);
        }
        Ok(())
    }

    /// Decodes a mask of the groups that are not zero, then those groups.
    fn masked(&self, c: &mut Cursor<'_>, first: u64, out: &mut [u8], scratch: &mut Scratch) -> Parsed<()> {
        let Some(table) = &self.mask else {
            return Err(Error::corrupt("a mask without frequencies").into());
        };
        let group = self.fields.planes.group;
        let all = out.len() / group;
        let mut mask = std::mem::take(&mut scratch.mask);
        mask.clear();
        mask.resize(all.div_ceil(8), 0);
        Sequence::parse(c, mask.len())?.decode(table, self.fields.kernel, Contexts::One, &mut mask)?;
        let stored = mask.iter().map(|m| m.count_ones() as usize).sum();
        let mut masked = std::mem::take(&mut scratch.masked);
        masked.clear();
        masked.resize(stored * group, 0);
        let groups = TileGroups { first, all, stored, mask: Some(&mask) };
        self.planes(c, &groups, &mut masked, scratch)?;
        let mut values = masked.chunks_exact(group);
        for (i, g) in out.chunks_exact_mut(group).enumerate() {
            match mask[i / 8] >> (i % 8) & 1 {
                0 => g.fill(0),
                _ => g.copy_from_slice(values.next().unwrap_or_default()),
            }
        }
        if values.next().is_some() {
            return Err(Error::corrupt("a mask of more groups than the tile has").into());
        }
        (scratch.mask, scratch.masked) = (mask, masked);
        Ok(())
    }
}

/// Reads one group of `group` bytes and fills `out` with copies of it.
fn repeat_group(c: &mut Cursor<'_>, group: usize, out: &mut [u8]) -> Parsed<()> {
    let value = c.take(group)?;
    out.chunks_exact_mut(group).for_each(|g| g.copy_from_slice(value));
    Ok(())
}
