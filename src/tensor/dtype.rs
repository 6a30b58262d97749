//! Element types of tensors, with the ids that `.nz` files store.

use super::ggml;

/// The type of a tensor's elements.
///
/// Elements are stored in *groups* ([`Dtype::group`]): for plain types a group is one element, or as many as
/// fill whole bytes; for GGUF's block-quantised types it is a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Dtype {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    Bool,
    F16,
    Bf16,
    F32,
    F64,
    F8E4m3,
    F8E5m2,
    F8E8m0,
    F8E4m3fnuz,
    F8E5m2fnuz,
    F4,
    F6E2m3,
    F6E3m2,
    C64,
    C128,
    /// A block-quantised type of GGUF.
    Ggml(ggml::Block),
}

/// Id of the first block-quantised type: 64 plus ggml's own id.
const GGML_BASE: u8 = 64;

/// Plain types in the order of their ids: the type, its name in safetensors, and the bits of an element.
const PLAIN: [(Dtype, &str, u32); 23] = [
    (Dtype::U8, "U8", 8),
    (Dtype::I8, "I8", 8),
    (Dtype::U16, "U16", 16),
    (Dtype::I16, "I16", 16),
    (Dtype::U32, "U32", 32),
    (Dtype::I32, "I32", 32),
    (Dtype::U64, "U64", 64),
    (Dtype::I64, "I64", 64),
    (Dtype::Bool, "BOOL", 8),
    (Dtype::F16, "F16", 16),
    (Dtype::Bf16, "BF16", 16),
    (Dtype::F32, "F32", 32),
    (Dtype::F64, "F64", 64),
    (Dtype::F8E4m3, "F8_E4M3", 8),
    (Dtype::F8E5m2, "F8_E5M2", 8),
    (Dtype::F8E8m0, "F8_E8M0", 8),
    (Dtype::F8E4m3fnuz, "F8_E4M3FNUZ", 8),
    (Dtype::F8E5m2fnuz, "F8_E5M2FNUZ", 8),
    (Dtype::F4, "F4", 4),
    (Dtype::F6E2m3, "F6_E2M3", 6),
    (Dtype::F6E3m2, "F6_E3M2", 6),
    (Dtype::C64, "C64", 64),
    (Dtype::C128, "C128", 128),
];

impl Dtype {
    fn plain(self) -> Option<(usize, &'static str, u32)> {
        PLAIN.iter().position(|p| p.0 == self).map(|i| (i, PLAIN[i].1, PLAIN[i].2))
    }

    /// The type's id in `.nz` files (`formats/tensor.md`, "Names").
    pub fn id(self) -> u8 {
        match self {
            Dtype::Ggml(block) => GGML_BASE + block.id() as u8,
            plain => plain.plain().map_or(0, |p| p.0 as u8),
        }
    }

    /// The type with this id in `.nz` files; `None` for an unknown id.
    pub fn from_id(id: u8) -> Option<Self> {
        match id.checked_sub(GGML_BASE) {
            Some(ggml) => ggml::Block::from_id(ggml.into()).map(Dtype::Ggml),
            None => PLAIN.get(usize::from(id)).map(|p| p.0),
        }
    }

    /// The type's name for reports: for plain types that of safetensors, for block-quantised types that of
    /// ggml.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Ggml(block) => block.name(),
            plain => plain.plain().map_or("?", |p| p.1),
        }
    }

    /// The plain type with this name in safetensors, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        PLAIN.iter().find(|p| p.1.eq_ignore_ascii_case(name)).map(|p| p.0)
    }

    /// Whether elements are 8-bit floats that have signs and mantissas.
    pub(crate) fn is_small_float(self) -> bool {
        matches!(self, Self::F8E4m3 | Self::F8E4m3fnuz | Self::F8E5m2 | Self::F8E5m2fnuz)
    }

    /// The number of elements of a group, and its size in bytes.
    pub fn group(self) -> (u64, u64) {
        match self {
            Dtype::Ggml(block) => (block.len() as u64, block.bytes() as u64),
            plain => match plain.plain().map_or(8, |p| p.2) {
                4 => (2, 1),
                6 => (4, 3),
                bits => (1, u64::from(bits / 8)),
            },
        }
    }

    /// The size in bytes of a tensor of this shape. `None` where it overflows 64 bits, or where the elements
    /// do not fill whole groups (for block-quantised types: where the last dimension does not).
    pub fn bytes(self, shape: &[u64]) -> Option<u64> {
        let (len, bytes) = self.group();
        // A zero anywhere makes the tensor empty, however large the other dimensions are.
        if shape.contains(&0) {
            return Some(0);
        }
        if let Dtype::Ggml(_) = self
            && !shape.last().is_some_and(|n| n.is_multiple_of(len))
        {
            return None;
        }
        let count = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
        if count.is_multiple_of(len) { (count / len).checked_mul(bytes) } else { None }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_lead_back() {
        for id in 0..=255 {
            if let Some(dtype) = Dtype::from_id(id) {
                assert_eq!(dtype.id(), id);
                if id < GGML_BASE {
                    assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
                }
            }
        }
        assert_eq!(Dtype::from_name("bf16"), Some(Dtype::Bf16));
        assert_eq!(Dtype::from_name("Q4_0"), None);
    }

    #[test]
    fn sizes() {
        let q4k = Dtype::from_id(GGML_BASE + 12).unwrap();
        assert_eq!((q4k.name(), q4k.bytes(&[3, 512])), ("Q4_K", Some(3 * 2 * 144)));
        assert_eq!(q4k.bytes(&[512, 3]), None);
        assert_eq!(q4k.bytes(&[]), None);
        assert_eq!(Dtype::F32.bytes(&[]), Some(4));
        assert_eq!(Dtype::F4.bytes(&[3, 2]), Some(3));
        assert_eq!(Dtype::F4.bytes(&[3]), None);
        assert_eq!(Dtype::F6E2m3.bytes(&[8]), Some(6));
        assert_eq!(Dtype::F32.bytes(&[1 << 40, 1 << 40]), None);
        assert_eq!(Dtype::F32.bytes(&[1 << 40, 1 << 40, 0]), Some(0));
        assert_eq!(Dtype::F64.bytes(&[1 << 61]), None);
    }
}
