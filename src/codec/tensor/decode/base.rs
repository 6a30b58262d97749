//! Finds the base of a block among those that the caller gave.

use crate::codec::tensor::kernel::add_base;
use crate::codec::tensor::stored::BaseReference;
use crate::error::{Error, ErrorKind, Result};
use crate::format::checksum::hex;
use crate::tensor::bases::{BaseTensor, Bases};
use std::borrow::Cow;
use std::sync::Arc;

/// The base of a block, found and long enough.
pub struct FoundBase {
    tensor: Arc<BaseTensor>,
    reference: BaseReference,
}

impl FoundBase {
    /// Finds the base of a block of `len` raw bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingBase`] where the base is not among those given; [`ErrorKind::Corrupt`] where it is
    /// too short.
    pub fn find(reference: BaseReference, bases: &Bases, len: u64) -> Result<Self> {
        let Some(tensor) = bases.find(&reference.hash) else {
            let what = if bases.is_empty() { "no base was given" } else { "no base that was given has it" };
            let hash = hex(&reference.hash);
            return Err(Error::new(
                ErrorKind::MissingBase,
                format!("coded against a tensor with the BLAKE3 {hash}: {what}"),
            ));
        };
        let whole = tensor.len();
        let end = reference.offset.checked_add(len).and_then(|end| reference.rounding.base_len(end));
        if end.is_none_or(|end| end > whole) {
            let from = reference.offset;
            return Err(Error::corrupt(format!("{len} bytes from {from} of a base of {whole}")));
        }
        Ok(Self { tensor: tensor.clone(), reference })
    }

    /// The base's bytes, rounded, for `len` raw bytes of the block, starting at the block's byte `start`, both
    /// whole elements.
    ///
    /// # Errors
    ///
    /// Those of [`BaseTensor::read`].
    pub fn bytes(&self, start: u64, len: usize) -> Result<Cow<'_, [u8]>> {
        let rounding = self.reference.rounding;
        let (from, to) = (self.reference.offset + start, self.reference.offset + start + len as u64);
        // The whole block lies in the base, so none of these overflows.
        let from = rounding.base_len(from).unwrap_or(u64::MAX);
        let len = rounding.base_len(to).unwrap_or(u64::MAX).saturating_sub(from);
        let bytes = self.tensor.read(from, len as usize).map_err(|e| e.within("a base"))?;
        Ok(rounding.apply(bytes))
    }

    /// Turns decoded numbers into elements, in place. The first of them is at raw byte `start` of the block.
    ///
    /// # Errors
    ///
    /// Those of [`Self::bytes`].
    pub fn apply(&self, start: u64, numbers: &mut [u8]) -> Result<()> {
        let base = self.bytes(start, numbers.len())?;
        add_base(self.reference.element, self.reference.operation, &base, numbers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tensor::kernel::subtract_base;
    use crate::codec::tensor::stored::Operation;
    use crate::tensor::rounding::Rounding;

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
                let reference =
                    BaseReference { element, operation, rounding: Rounding::None, hash, offset: 0 };
                let mut out = raw.clone();
                subtract_base(element, operation, &base, &mut out);
                assert!(out != raw);
                let found = FoundBase::find(reference.clone(), &bases, 640).unwrap();
                found.apply(0, &mut out).unwrap();
                assert!(out == raw);
                let e = FoundBase::find(reference.clone(), &bases, 641).err().unwrap();
                assert_eq!(e.kind(), ErrorKind::Corrupt);
                let e = FoundBase::find(reference, &Bases::new(), 640).err().unwrap();
                assert_eq!(e.kind(), ErrorKind::MissingBase);
                assert!(e.to_string().contains(&hex(&hash)));
            }
        }
    }
}
