//! Tensors as what distinguishes them from others.

use super::params::MAX_GROUP;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checksum::hex;
use crate::format::cursor::{Cursor, Parsed};
use crate::format::varint;
use crate::tensor::bases::{BaseTensor, Bases};
use std::sync::Arc;

/// How an element differs from that of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// By a signed difference, whose sign is moved to the lowest bit.
    Difference,
    /// By these bits.
    Xor,
}

/// What a block's parameters say of its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub element: usize,
    pub operation: Operation,
    /// BLAKE3 of the base's bytes.
    pub hash: [u8; 32],
    /// Bytes of the base before those of the block.
    pub offset: u64,
}

impl Delta {
    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.element as u8, u8::from(self.operation == Operation::Xor)]);
        out.extend_from_slice(&self.hash);
        varint::put(out, self.offset);
    }

    /// Reads it.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) || element as u64 > MAX_GROUP {
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

    /// Finds the bytes of the base for a block of `len` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingBase`] where nobody gave this base; [`ErrorKind::Corrupt`] where it is too short.
    pub fn find(self, bases: &Bases, len: u64) -> Result<Base> {
        let Some(tensor) = bases.find(&self.hash) else {
            let what = if bases.is_empty() { "no base was given" } else { "no base that was given has it" };
            let hash = hex(&self.hash);
            return Err(Error::new(
                ErrorKind::MissingBase,
                format!("coded against a tensor with the BLAKE3 {hash}: {what}"),
            ));
        };
        let whole = tensor.bytes().len() as u64;
        if self.offset.checked_add(len).is_none_or(|end| end > whole) {
            let from = self.offset;
            return Err(Error::corrupt(format!("{len} bytes from {from} of a base of {whole}")));
        }
        Ok(Base { tensor: tensor.clone(), delta: self })
    }
}

/// The base of a block, found.
pub struct Base {
    tensor: Arc<BaseTensor>,
    delta: Delta,
}

impl Base {
    /// The bytes that belong to `len` bytes of the block from `start` on, which must be in it.
    pub fn bytes(&self, start: u64, len: usize) -> &[u8] {
        let from = (self.delta.offset + start) as usize;
        self.tensor.bytes().get(from..from + len).unwrap_or_default()
    }

    /// Turns what distinguishes elements, from byte `start` of the block on, into these.
    pub fn apply(&self, start: u64, out: &mut [u8]) {
        let base = self.bytes(start, out.len());
        match self.delta.element {
            1 => join8(self.delta.operation, base, out),
            2 => join16(self.delta.operation, base, out),
            4 => join32(self.delta.operation, base, out),
            _ => join64(self.delta.operation, base, out),
        }
    }
}

/// What distinguishes the elements of `raw` from those of `base`, which is as long.
pub fn distinguish(element: usize, operation: Operation, raw: &[u8], base: &[u8]) -> Vec<u8> {
    let mut out = raw.to_vec();
    match element {
        1 => part8(operation, base, &mut out),
        2 => part16(operation, base, &mut out),
        4 => part32(operation, base, &mut out),
        _ => part64(operation, base, &mut out),
    }
    out
}

/// The class of a base's element: its bits without the highest, of which the highest eight.
pub fn key(element: &[u8]) -> u8 {
    let (low, high) = match *element {
        [.., low, high] => (low, high),
        [high] => (0, high),
        [] => (0, 0),
    };
    high << 1 | low >> 7
}

macro_rules! operations {
    ($part:ident, $join:ident, $type:ty, $signed:ty) => {
        fn $part(operation: Operation, base: &[u8], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for (e, b) in elements.iter_mut().zip(base.as_chunks().0) {
                let (a, b) = (<$type>::from_le_bytes(*e), <$type>::from_le_bytes(*b));
                let n = match operation {
                    Operation::Xor => a ^ b,
                    Operation::Difference => {
                        let d = a.wrapping_sub(b) as $signed;
                        (d << 1 ^ d >> (<$type>::BITS - 1)) as $type
                    }
                };
                *e = n.to_be_bytes();
            }
        }

        fn $join(operation: Operation, base: &[u8], out: &mut [u8]) {
            let (elements, _) = out.as_chunks_mut::<{ size_of::<$type>() }>();
            for (e, b) in elements.iter_mut().zip(base.as_chunks().0) {
                let (n, b) = (<$type>::from_be_bytes(*e), <$type>::from_le_bytes(*b));
                let a = match operation {
                    Operation::Xor => n ^ b,
                    Operation::Difference => b.wrapping_add(n >> 1 ^ (n & 1).wrapping_neg()),
                };
                *e = a.to_le_bytes();
            }
        }
    };
}

operations!(part8, join8, u8, i8);
operations!(part16, join16, u16, i16);
operations!(part32, join32, u32, i32);
operations!(part64, join64, u64, i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back() {
        let raw: Vec<u8> = (0..640u32).map(|i| ((i * i * 7) >> 3) as u8).collect();
        let base: Vec<u8> = (0..640u32).map(|i| ((i * 31) >> 2) as u8).collect();
        for element in [1, 2, 4, 8] {
            for operation in [Operation::Difference, Operation::Xor] {
                let mut bases = Bases::new();
                let json = r#"{"x":{"dtype":"U8","shape":[640],"data_offsets":[0,640]}}"#;
                let file = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &base].concat();
                bases.add(file).unwrap();
                let hash = *blake3::hash(&base).as_bytes();
                let delta = Delta { element, operation, hash, offset: 0 };
                let mut out = distinguish(element, operation, &raw, &base);
                assert!(out != raw);
                let found = delta.clone().find(&bases, 640).unwrap();
                found.apply(0, &mut out);
                assert!(out == raw);
                assert_eq!(delta.clone().find(&bases, 641).err().unwrap().kind(), ErrorKind::Corrupt);
                let e = delta.find(&Bases::new(), 640).err().unwrap();
                assert_eq!(e.kind(), ErrorKind::MissingBase);
                assert!(e.to_string().contains(&hex(&hash)));
            }
        }
        // One more and one less than the base.
        assert_eq!(distinguish(2, Operation::Difference, &[6, 0, 4, 0], &[5, 0, 5, 0]), [0, 2, 0, 1]);
        assert_eq!(key(&1.5f32.to_le_bytes()), 127);
    }
}
