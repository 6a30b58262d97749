//! Turns the elements of a base into those of the type of the tensor that is coded against it
//! (`formats/tensor.md`, "Parameters"). All steps are on bits, so that every machine gets the same.

use super::Dtype;
use std::borrow::Cow;

/// How the elements of a base become numbers of the type of the tensor that is coded against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// They are of that type.
    None,
    /// From BF16 to F32, which is exact.
    FromBf16,
    /// From F32 to BF16: to nearest, ties to even.
    ToBf16,
    /// F32 to the nearest value of BF16, as F32.
    ThroughBf16,
}

impl Rounding {
    const ALL: [Self; 4] = [Self::None, Self::FromBf16, Self::ToBf16, Self::ThroughBf16];

    /// The number that `.nz` files store.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The rounding with this number; `None` for an unknown one.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Whether elements of this many bytes can come from it.
    pub fn makes(self, element: usize) -> bool {
        match self {
            Self::None => true,
            Self::FromBf16 | Self::ThroughBf16 => element == 4,
            Self::ToBf16 => element == 2,
        }
    }

    /// The bytes of a base that `len` bytes of the tensor belong to. `None` where they overflow.
    pub fn base_len(self, len: u64) -> Option<u64> {
        match self {
            Self::None | Self::ThroughBf16 => Some(len),
            Self::FromBf16 => Some(len / 2),
            Self::ToBf16 => len.checked_mul(2),
        }
    }

    /// The bytes of a tensor that belong to `len` bytes of the base.
    pub fn tensor_len(self, len: u64) -> u64 {
        match self {
            Self::None | Self::ThroughBf16 => len,
            Self::FromBf16 => len.saturating_mul(2),
            Self::ToBf16 => len / 2,
        }
    }

    /// The rounding with which a tensor of a type, whose bytes start with `sample`, is coded against a base.
    /// `None` where the types have nothing to do with each other.
    pub fn between(base: Dtype, dtype: Dtype, sample: &[u8]) -> Option<Self> {
        match (base, dtype) {
            (Dtype::F32, Dtype::F32) if holds_bf16(sample) => Some(Self::ThroughBf16),
            (base, dtype) if base == dtype => Some(Self::None),
            (Dtype::Bf16, Dtype::F32) => Some(Self::FromBf16),
            (Dtype::F32, Dtype::Bf16) => Some(Self::ToBf16),
            _ => None,
        }
    }

    /// The elements that stand for those of a base, lowest byte first.
    pub fn apply(self, base: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
        let round = |b: u32| b.wrapping_add(0x7FFF + (b >> 16 & 1)) >> 16;
        let wide =
            |base: &[u8]| base.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect::<Vec<_>>();
        match self {
            Self::None => base,
            Self::FromBf16 => {
                base.as_chunks::<2>().0.iter().flat_map(|b| [0, 0, b[0], b[1]]).collect::<Vec<u8>>().into()
            }
            Self::ToBf16 => wide(&base)
                .into_iter()
                .flat_map(|b| (round(b) as u16).to_le_bytes())
                .collect::<Vec<u8>>()
                .into(),
            Self::ThroughBf16 => wide(&base)
                .into_iter()
                .flat_map(|b| (round(b) << 16).to_le_bytes())
                .collect::<Vec<u8>>()
                .into(),
        }
    }
}

/// Whether the first numbers of a tensor of F32 are all values of BF16, and not all zero.
fn holds_bf16(sample: &[u8]) -> bool {
    let numbers = &sample.as_chunks::<4>().0[..(sample.len() / 4).min(1 << 12)];
    numbers.iter().all(|n| n[..2] == [0, 0]) && numbers.iter().any(|n| n[2..] != [0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded() {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        // The middle between two values of BF16 goes to the even one.
        let bits =
            [0x3F80_0000, 0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0xBF80_7FFF, 0x7F7F_FFFF, 0xFFFF_FFFF];
        let raw = bytes(&bits.map(f32::from_bits));
        let rounded = [0x3F80u16, 0x3F80, 0x3F82, 0x3F81, 0xBF80, 0x7F80, 0x0000];
        let narrow: Vec<u8> = rounded.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(*Rounding::ToBf16.apply(Cow::Borrowed(&raw)), narrow);
        let wide: Vec<u8> = rounded.iter().flat_map(|n| (u32::from(*n) << 16).to_le_bytes()).collect();
        assert_eq!(*Rounding::ThroughBf16.apply(Cow::Borrowed(&raw)), wide);
        assert_eq!(*Rounding::FromBf16.apply(Cow::Borrowed(&narrow)), wide);
        for id in 0..4 {
            let rounding = Rounding::from_id(id).unwrap();
            assert_eq!(rounding.id(), id);
            let len = rounding.base_len(8).unwrap();
            assert_eq!(rounding.tensor_len(len), 8);
            assert_eq!(rounding.apply(Cow::Owned(vec![0; len as usize])).len(), 8);
        }
        assert_eq!(Rounding::from_id(4), None);
        let between = |base| Rounding::between(base, Dtype::F32, &wide);
        assert_eq!(between(Dtype::F32), Some(Rounding::ThroughBf16));
        assert_eq!(between(Dtype::Bf16), Some(Rounding::FromBf16));
        assert_eq!(between(Dtype::F16), None);
        assert_eq!(Rounding::between(Dtype::F32, Dtype::F32, &raw), Some(Rounding::None));
        assert_eq!(Rounding::between(Dtype::F32, Dtype::Bf16, &raw), Some(Rounding::ToBf16));
    }
}
