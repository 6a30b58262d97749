//! The reference from a block to the base tensor that it is coded against.

use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;
use crate::tensor::rounding::Rounding;

/// How an element differs from the base's element at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A signed difference, stored with its sign in the lowest bit.
    Difference,
    /// The exclusive or of both.
    Xor,
}

/// The bytes that a block is coded against, and how the block differs from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseReference {
    /// The number of bytes of an element: 1, 2, 4 or 8.
    pub element: usize,
    /// How elements differ from those of the base.
    pub operation: Operation,
    /// How the base's elements become numbers of the block's type.
    pub rounding: Rounding,
    /// BLAKE3 of all bytes of the base tensor.
    pub hash: [u8; 32],
    /// The number of bytes before the block's first one in a tensor of the block's type.
    pub offset: u64,
}

impl BaseReference {
    /// Appends the reference.
    pub fn put(&self, out: &mut Vec<u8>) {
        let operation = u8::from(self.operation == Operation::Xor) + 2 * self.rounding.id();
        out.extend_from_slice(&[self.element as u8, operation]);
        out.extend_from_slice(&self.hash);
        varint::put(out, self.offset);
    }

    /// Reads a reference.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) {
            return Err(Error::corrupt(format!("deltas of {element} bytes")).into());
        }
        let how = c.u8()?;
        let operation = if how & 1 == 1 { Operation::Xor } else { Operation::Difference };
        let Some(rounding) = Rounding::from_id(how / 2) else {
            return Err(crate::codec::newer(&format!("delta {how}")).into());
        };
        if !rounding.makes(element) {
            return Err(Error::corrupt(format!("delta {how} of {element} bytes")).into());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(c.take(32)?);
        let offset = c.varint("offset in the base")?;
        if rounding != Rounding::None && !offset.is_multiple_of(element as u64) {
            return Err(Error::corrupt("a delta that starts inside an element").into());
        }
        Ok(Self { element, operation, rounding, hash, offset })
    }
}
