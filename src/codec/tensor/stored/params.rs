//! The parameters of a `tensor` block (`formats/tensor.md`, "Parameters").

use super::context::Context;
use super::differences::Differences;
use super::field::{FieldParams, Transform};
use super::pieces::PieceLayout;
use super::reference::{BaseReference, Operation};
use crate::coder::rans::Freqs;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checksum::hex;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;
use std::sync::Arc;

/// The largest number of bytes of a group.
pub const MAX_GROUP: u64 = 512;
/// The largest number of fields of a group.
const MAX_FIELDS: u64 = 32;

/// The first byte of the parameters: the block is a copy of an earlier one.
const COPY: u8 = 0;
/// The block has planes.
const PLANES: u8 = 1;
/// The block has planes, and later blocks may be copies of it.
const KEPT: u8 = 2;
/// The block has planes of its differences from a base.
const DELTA: u8 = 3;
/// The block has planes of differences between its elements.
const DIFFERENCES: u8 = 4;
/// The same, and later blocks may be copies of it.
const KEPT_DIFFERENCES: u8 = 5;

/// Set in the byte after the fields if tiles may have masks.
const HAS_MASK: u8 = 1;
/// Set there if fields consist of pieces.
const HAS_PIECES: u8 = 2;

/// The parameters of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Params {
    /// The raw bytes are those of an earlier block of the stream.
    Copy {
        /// The number of that block, counted from 0.
        block: u64,
    },
    /// The block is a sequence of groups, coded in planes.
    Planes(Arc<Planes>),
}

/// How the groups of a block are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes {
    /// Whether later blocks may copy this one, so that readers keep its payload.
    pub kept: bool,
    /// The base that the block is coded against, if any.
    pub delta: Option<BaseReference>,
    /// The differences between elements that are coded in place of them, if any; never together with a base.
    pub differences: Option<Differences>,
    /// The number of bytes of a group.
    pub group: usize,
    /// The fields of a group, in order.
    pub fields: Vec<FieldParams>,
    /// The table of masks, where tiles may leave out groups that are zero.
    pub mask: Option<Freqs>,
    /// The places of the fields' pieces. `None` if a group's fields are whole bytes, one after the other.
    pub pieces: Option<PieceLayout>,
}

impl Planes {
    /// The number of all tables of frequencies.
    pub fn table_count(&self) -> usize {
        let of = |f: &FieldParams| f.tables.len() + f.low.as_ref().map_or(0, |l| l.1.len()) + 1;
        self.fields.iter().map(of).sum::<usize>() + 1
    }
}

impl Params {
    /// Appends the parameters.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Params::Copy { block } => {
                out.push(COPY);
                varint::put(out, *block);
            }
            Params::Planes(p) => {
                out.push(match (&p.delta, &p.differences) {
                    (Some(_), _) => DELTA,
                    (None, Some(_)) => {
                        if p.kept {
                            KEPT_DIFFERENCES
                        } else {
                            DIFFERENCES
                        }
                    }
                    (None, None) => {
                        if p.kept {
                            KEPT
                        } else {
                            PLANES
                        }
                    }
                });
                p.delta.iter().for_each(|d| d.put(out));
                p.differences.iter().for_each(|d| d.put(out));
                varint::put(out, p.group as u64);
                out.push(p.fields.len() as u8);
                p.fields.iter().for_each(|f| f.put(out));
                let flag = |is_set, flag| if is_set { flag } else { 0 };
                out.push(flag(p.mask.is_some(), HAS_MASK) | flag(p.pieces.is_some(), HAS_PIECES));
                p.mask.iter().for_each(|m| m.put(out));
                p.pieces.iter().for_each(|pieces| pieces.put(out));
            }
        }
    }

    /// Reads parameters that must take up all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NewerVersion`] for methods that this release does not know; [`ErrorKind::Corrupt`] for
    /// anything else that breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes);
        let params = Self::parse_all(&mut c).map_err(|e| e.at_end("the parameters of a tensor block"));
        let params = params.map_err(|e| match e.kind() {
            ErrorKind::NewerVersion => e,
            _ => Error::corrupt(format!("tensor parameters: {e}")),
        })?;
        if !c.rest().is_empty() {
            return Err(Error::corrupt(format!("tensor parameters: {} bytes too many", c.rest().len())));
        }
        Ok(params)
    }

    fn parse_all(c: &mut Cursor<'_>) -> Parsed<Self> {
        let method = c.u8()?;
        match method {
            COPY => return Ok(Params::Copy { block: c.varint("block")? }),
            PLANES..=KEPT_DIFFERENCES => {}
            other => return Err(crate::codec::newer(&format!("tensor method {other}")).into()),
        }
        let delta = if method == DELTA { Some(BaseReference::parse(c)?) } else { None };
        let differences = if method >= DIFFERENCES { Some(Differences::parse(c)?) } else { None };
        let group = c.varint_in("bytes of a group", 1..=MAX_GROUP)? as usize;
        let count = u64::from(c.u8()?);
        in_range("number of fields", count, 1..=MAX_FIELDS)?;
        let fields =
            (0..count).map(|i| FieldParams::parse(c, i as usize, group)).collect::<Parsed<Vec<_>>>()?;
        let more = c.u8()?;
        in_range("flags", more.into(), 0..=2)?;
        let mask = match more & HAS_MASK {
            0 => None,
            _ if fields.len() == 1 && fields[0].per_group() == 1 => Some(Freqs::parse(c)?),
            _ => return Err(Error::corrupt("masks need groups of one element").into()),
        };
        let pieces = if more & HAS_PIECES != 0 { Some(PieceLayout::parse(c, group, &fields)?) } else { None };
        if pieces.is_none() {
            let sum: usize = fields.iter().map(|f| f.width).sum();
            in_range("sum of the fields' bytes", sum as u64, group as u64..=group as u64)?;
        }
        let element = delta.as_ref().map(|d| d.element).or(differences.as_ref().map(|d| d.element));
        if element.is_some_and(|element| element != group || more != 0) {
            return Err(Error::corrupt("deltas need groups of one element").into());
        }
        let predicted = fields.iter().any(|f| matches!(f.context, Context::Predicted(_)));
        if predicted && (element.is_some() || more != 0) {
            return Err(Error::corrupt("predictions with masks, a cut, a base or differences").into());
        }
        if delta.is_none() && fields.iter().any(|f| matches!(f.context, Context::Base { .. })) {
            return Err(Error::corrupt("a field's context is the base, but the block has none").into());
        }
        let kept = matches!(method, KEPT | KEPT_DIFFERENCES);
        Ok(Params::Planes(Arc::new(Planes { kept, delta, differences, group, fields, mask, pieces })))
    }

    /// Changes valid parameters so that later blocks may copy their block. Returns false and changes nothing
    /// for a block that is itself a copy or is coded against a base: such blocks cannot be copied.
    pub fn mark_kept(bytes: &mut [u8]) -> bool {
        let Some(method) = bytes.first_mut() else { return false };
        *method = match *method {
            PLANES => KEPT,
            DIFFERENCES => KEPT_DIFFERENCES,
            _ => return false,
        };
        true
    }
}

impl Planes {
    /// The number of raw bytes of which every tile holds a multiple.
    pub fn unit(&self) -> usize {
        self.pieces.as_ref().map_or(self.group, PieceLayout::band)
    }

    /// A description in a few words, for reports.
    pub fn describe(&self) -> String {
        let bits = |i: usize| self.pieces.as_ref().and_then(|pieces| pieces.bits(i));
        let field = |(i, f): (usize, &FieldParams)| {
            let mut text = match (&f.transform, bits(i)) {
                (Transform::Plain, Some(bits)) => format!("bits{bits}"),
                (Transform::Plain, None) => format!("int{}", 8 * f.element),
                (Transform::Float, _) => format!("float{}/{}", 8 * f.element, f.low_bits),
                (Transform::Palette(values), _) => format!("palette {}", values.len()),
                (Transform::Decimal(digits), _) => format!("{digits} digits"),
                (Transform::Halves, _) => "nibbles".into(),
                (Transform::Pairs, _) => "pairs".into(),
                (Transform::Delta, _) => format!("delta{}", 8 * f.element),
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
        let differences = self.differences.as_ref().map_or(String::new(), Differences::describe);
        format!("{against}{differences}{}{mask}", fields.join(", "))
    }
}
