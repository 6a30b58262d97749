//! Writes tiles.

use super::field_parts::FieldParts;
use super::tile::TileParts;
use crate::codec::tensor::kernel::transpose;
use crate::codec::tensor::stored::{
    Context, FieldParams, Planes, SequenceWriter, TileMode, put_exceptions, put_nibbles,
};
use crate::coder::rans::{Contexts, Encoder};
use crate::error::Result;

/// The parameters of a block, prepared for writing its tiles.
pub struct TileWriter<'p> {
    planes: &'p Planes,
    /// For each field, the tables of its symbols, and those of its low bits where these are coded.
    fields: Vec<(Encoder, Option<Encoder>)>,
    mask: Option<Encoder>,
}

impl<'p> TileWriter<'p> {
    /// Builds the tables.
    pub fn new(planes: &'p Planes) -> Self {
        let both = |f: &FieldParams| (Encoder::new(&f.tables), f.low.as_ref().map(|l| Encoder::new(&l.1)));
        let mask = planes.mask.as_ref().map(|m| Encoder::new(std::slice::from_ref(m)));
        Self { planes, fields: planes.fields.iter().map(both).collect(), mask }
    }

    /// Appends a tile. A tile that would take more than its raw bytes is stored raw.
    ///
    /// # Errors
    ///
    /// Those of [`SequenceWriter::put`].
    pub fn put(&self, tile: &TileParts<'_>, writer: &mut SequenceWriter) -> Result<()> {
        let start = writer.out.len();
        if tile.constant {
            writer.out.push(TileMode::Same as u8);
            self.put_group(tile.raw, &mut writer.out);
            return Ok(());
        }
        match (&tile.mask, &self.mask) {
            (Some(mask), Some(encoder)) => {
                writer.out.push(TileMode::Masked as u8);
                writer.put(mask, encoder, Contexts::One)?;
            }
            _ => writer.out.push(TileMode::Planes as u8),
        }
        let fields = self.planes.fields.iter().zip(&tile.fields).zip(&self.fields);
        for ((field, parts), (symbols, low)) in fields {
            put_sections(field, parts, &tile.row_classes, symbols, writer)?;
            put_low_bits(field, parts, low.as_ref(), writer)?;
        }
        if writer.out.len() - start > tile.raw.len() {
            writer.out.truncate(start);
            writer.out.push(TileMode::Raw as u8);
            writer.out.extend_from_slice(tile.raw);
        }
        Ok(())
    }

    /// Appends the first group. Where its words lie in several rows, they are taken from the rows' starts.
    fn put_group(&self, raw: &[u8], out: &mut Vec<u8>) {
        let group = self.planes.group;
        let (word, row) = match &self.planes.pieces {
            Some(layout) => (layout.word, layout.word * layout.columns),
            None => (group, group),
        };
        for at in (0..group / word).map(|i| i * row) {
            out.extend_from_slice(&raw[at..at + word]);
        }
    }
}

/// Appends the sections of a field up to its symbols and the nibbles of the folded ones.
fn put_sections(
    field: &FieldParams,
    parts: &FieldParts,
    row_classes: &[u8],
    symbols: &Encoder,
    writer: &mut SequenceWriter,
) -> Result<()> {
    parts.zero_bits.put(field, &mut writer.out);
    put_exceptions(&parts.exceptions, field.element, &mut writer.out);
    let contexts = match field.context {
        Context::None => Contexts::One,
        _ => Contexts::Many(&parts.contexts),
    };
    match &field.context {
        Context::Classes { freqs, .. } => {
            let encoder = Encoder::new(std::slice::from_ref(&**freqs));
            writer.put(&parts.classes, &encoder, Contexts::One)?;
        }
        Context::Rows { .. } | Context::Predicted(_) => put_nibbles(row_classes, &mut writer.out),
        Context::None | Context::Fields { .. } | Context::Base { .. } | Context::Above { .. } => {}
    }
    if let Context::Predicted(prediction) = &field.context {
        let mut columns = vec![0; parts.symbols.len()];
        transpose(&parts.symbols, prediction.row(), &mut columns);
        writer.put_runs(&columns, symbols, contexts, row_classes.len())?;
    } else {
        writer.put(&parts.symbols, symbols, contexts)?;
    }
    put_nibbles(&parts.folded, &mut writer.out);
    Ok(())
}

/// Appends the low bits of a field, coded where it has tables for them.
fn put_low_bits(
    field: &FieldParams,
    parts: &FieldParts,
    encoder: Option<&Encoder>,
    writer: &mut SequenceWriter,
) -> Result<()> {
    match (encoder, &field.low) {
        (Some(encoder), Some((map, _))) => {
            let contexts: Vec<u8> = parts.symbols.iter().map(|s| map[usize::from(*s)]).collect();
            writer.put(&parts.low.bytes, encoder, Contexts::Many(&contexts))?;
        }
        _ => writer.out.extend_from_slice(&parts.low.bytes),
    }
    for more in [&parts.low.packed, &parts.marked_low.bytes, &parts.marked_low.packed] {
        writer.out.extend_from_slice(more);
    }
    Ok(())
}
