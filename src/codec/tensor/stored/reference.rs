//! The reference from a block to the base tensor that it is coded against.

use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;

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
    /// BLAKE3 of all bytes of the base tensor.
    pub hash: [u8; 32],
    /// The offset in the base tensor of the byte that belongs to the block's first byte.
    pub offset: u64,
}

impl BaseReference {
    /// Appends the reference.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.element as u8, u8::from(self.operation == Operation::Xor)]);
        out.extend_from_slice(&self.hash);
        varint::put(out, self.offset);
    }

    /// Reads a reference.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) {
            return Err(Error::corrupt(format!("deltas of {element} bytes")).into());
        }
        let operation = match c.u8()? {
            0 => Operation::Difference,
            1 => Operation::Xor,
            other => return Err(crate::codec::newer(&format!("delta {other}")).into()),
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(c.take(32)?);
        Ok(Self { element, operation, hash, offset: c.varint("offset in the base")? })
    }
}
