//! The block-quantised types of GGUF, field by field.
//!
//! The layouts follow the structures of ggml (`ggml-common.h`). All numbers are little-endian; the fields of
//! a block lie one after the other without padding.

/// The kind of numbers that a field of a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldKind {
    /// IEEE half-precision numbers.
    F16,
    /// Single-precision numbers.
    F32,
    /// Signed bytes.
    I8,
    /// Signed 16-bit numbers.
    I16,
    /// Bytes that pack several numbers: quants, scales or indices.
    U8,
    /// Bytes of two 4-bit quants each, the first in the low half. See [`Block::nibble_order`].
    Nibbles,
}

/// One field of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The field's name in ggml.
    pub name: &'static str,
    /// The kind of its numbers.
    pub kind: FieldKind,
    /// Offset in bytes of the field in the block.
    pub offset: usize,
    /// Length of the field in bytes.
    pub bytes: usize,
}

/// The elements of a block that the low half and the high half of a byte of quants hold, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NibbleOrder {
    /// Byte i of the block's 16 holds elements i and i + 16.
    Halves16,
    /// Byte i of each run of 32 holds elements 64·(run) + i and 64·(run) + 32 + i.
    Runs32,
    /// Byte i of each run of 64 (the low four bits of six) holds elements 128·(run) + i and 128·(run) + 64 +
    /// i.
    Runs64,
}

/// A block-quantised type of ggml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(u8);

struct Spec {
    id: u32,
    name: &'static str,
    len: usize,
    bytes: usize,
    fields: &'static [Field],
}

const fn field(name: &'static str, kind: FieldKind, offset: usize, bytes: usize) -> Field {
    Field { name, kind, offset, bytes }
}

const fn spec(id: u32, name: &'static str, len: usize, bytes: usize, fields: &'static [Field]) -> Spec {
    Spec { id, name, len, bytes, fields }
}

use FieldKind::{F16, F32, I8, I16, Nibbles, U8};

const SPECS: [Spec; 24] = [
    spec(2, "Q4_0", 32, 18, &[field("d", F16, 0, 2), field("qs", Nibbles, 2, 16)]),
    spec(3, "Q4_1", 32, 20, &[field("d", F16, 0, 2), field("m", F16, 2, 2), field("qs", Nibbles, 4, 16)]),
    spec(6, "Q5_0", 32, 22, &[field("d", F16, 0, 2), field("qh", U8, 2, 4), field("qs", Nibbles, 6, 16)]),
    spec(
        7,
        "Q5_1",
        32,
        24,
        &[field("d", F16, 0, 2), field("m", F16, 2, 2), field("qh", U8, 4, 4), field("qs", Nibbles, 8, 16)],
    ),
    spec(8, "Q8_0", 32, 34, &[field("d", F16, 0, 2), field("qs", I8, 2, 32)]),
    spec(9, "Q8_1", 32, 36, &[field("d", F16, 0, 2), field("s", F16, 2, 2), field("qs", I8, 4, 32)]),
    spec(
        10,
        "Q2_K",
        256,
        84,
        &[
            field("scales", U8, 0, 16),
            field("qs", U8, 16, 64),
            field("d", F16, 80, 2),
            field("dmin", F16, 82, 2),
        ],
    ),
    spec(
        11,
        "Q3_K",
        256,
        110,
        &[
            field("hmask", U8, 0, 32),
            field("qs", U8, 32, 64),
            field("scales", U8, 96, 12),
            field("d", F16, 108, 2),
        ],
    ),
    spec(
        12,
        "Q4_K",
        256,
        144,
        &[
            field("d", F16, 0, 2),
            field("dmin", F16, 2, 2),
            field("scales", U8, 4, 12),
            field("qs", Nibbles, 16, 128),
        ],
    ),
    spec(
        13,
        "Q5_K",
        256,
        176,
        &[
            field("d", F16, 0, 2),
            field("dmin", F16, 2, 2),
            field("scales", U8, 4, 12),
            field("qh", U8, 16, 32),
            field("qs", Nibbles, 48, 128),
        ],
    ),
    spec(
        14,
        "Q6_K",
        256,
        210,
        &[
            field("ql", Nibbles, 0, 128),
            field("qh", U8, 128, 64),
            field("scales", I8, 192, 16),
            field("d", F16, 208, 2),
        ],
    ),
    spec(
        15,
        "Q8_K",
        256,
        292,
        &[field("d", F32, 0, 4), field("qs", I8, 4, 256), field("bsums", I16, 260, 32)],
    ),
    spec(16, "IQ2_XXS", 256, 66, &[field("d", F16, 0, 2), field("qs", U8, 2, 64)]),
    spec(17, "IQ2_XS", 256, 74, &[field("d", F16, 0, 2), field("qs", U8, 2, 64), field("scales", U8, 66, 8)]),
    spec(18, "IQ3_XXS", 256, 98, &[field("d", F16, 0, 2), field("qs", U8, 2, 96)]),
    spec(19, "IQ1_S", 256, 50, &[field("d", F16, 0, 2), field("qs", U8, 2, 32), field("qh", U8, 34, 16)]),
    spec(20, "IQ4_NL", 32, 18, &[field("d", F16, 0, 2), field("qs", Nibbles, 2, 16)]),
    spec(
        21,
        "IQ3_S",
        256,
        110,
        &[
            field("d", F16, 0, 2),
            field("qs", U8, 2, 64),
            field("qh", U8, 66, 8),
            field("signs", U8, 74, 32),
            field("scales", U8, 106, 4),
        ],
    ),
    spec(
        22,
        "IQ2_S",
        256,
        82,
        &[field("d", F16, 0, 2), field("qs", U8, 2, 64), field("qh", U8, 66, 8), field("scales", U8, 74, 8)],
    ),
    spec(
        23,
        "IQ4_XS",
        256,
        136,
        &[
            field("d", F16, 0, 2),
            field("scales_h", U8, 2, 2),
            field("scales_l", U8, 4, 4),
            field("qs", Nibbles, 8, 128),
        ],
    ),
    spec(
        29,
        "IQ1_M",
        256,
        56,
        &[field("qs", U8, 0, 32), field("qh", U8, 32, 16), field("scales", U8, 48, 8)],
    ),
    spec(34, "TQ1_0", 256, 54, &[field("qs", U8, 0, 48), field("qh", U8, 48, 4), field("d", F16, 52, 2)]),
    spec(35, "TQ2_0", 256, 66, &[field("qs", U8, 0, 64), field("d", F16, 64, 2)]),
    spec(39, "MXFP4", 32, 17, &[field("e", U8, 0, 1), field("qs", Nibbles, 1, 16)]),
];

impl Block {
    /// The type with this id in ggml; `None` for unknown ids and for types that are not block-quantised.
    pub fn from_id(id: u32) -> Option<Self> {
        SPECS.iter().position(|s| s.id == id).map(|i| Self(i as u8))
    }

    fn spec(self) -> &'static Spec {
        &SPECS[usize::from(self.0)]
    }

    /// The type's id in ggml.
    pub fn id(self) -> u32 {
        self.spec().id
    }

    /// The type's name in ggml.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The number of elements in a block.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> usize {
        self.spec().len
    }

    /// The size of a block in bytes.
    pub fn bytes(self) -> usize {
        self.spec().bytes
    }

    /// The fields of a block, in the order in which they lie.
    pub fn fields(self) -> &'static [Field] {
        self.spec().fields
    }

    /// The field with this name.
    pub fn field(self, name: &str) -> Option<Field> {
        self.fields().iter().find(|f| f.name == name).copied()
    }

    /// The order of elements in fields of [`FieldKind::Nibbles`]; `None` where that is not known or there is
    /// no such field.
    pub fn nibble_order(self) -> Option<NibbleOrder> {
        match self.name() {
            "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "IQ4_NL" | "MXFP4" => Some(NibbleOrder::Halves16),
            "Q4_K" | "Q5_K" => Some(NibbleOrder::Runs32),
            "Q6_K" => Some(NibbleOrder::Runs64),
            _ => None,
        }
    }
}

/// Unpacks the eight 6-bit scales and the eight 6-bit mins of a Q4_K or Q5_K block from its 12 bytes of
/// `scales`.
pub fn k4_scales(bytes: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut mins) = ([0; 8], [0; 8]);
    for i in 0..4 {
        let (a, b, c) = (bytes[i], bytes[i + 4], bytes[i + 8]);
        (scales[i], mins[i]) = (a & 63, b & 63);
        (scales[i + 4], mins[i + 4]) = (c & 15 | a >> 6 << 4, c >> 4 | b >> 6 << 4);
    }
    (scales, mins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fill_their_blocks() {
        for s in &SPECS {
            let mut at = 0;
            for f in s.fields {
                assert_eq!(f.offset, at, "{} {}", s.name, f.name);
                at += f.bytes;
            }
            assert_eq!(at, s.bytes, "{}", s.name);
            assert_eq!(Block::from_id(s.id).unwrap().name(), s.name);
        }
        assert!(SPECS.windows(2).all(|w| w[0].id < w[1].id) && SPECS.iter().all(|s| s.id < 128));
        let q6 = Block::from_id(14).unwrap();
        assert_eq!(q6.field("scales").unwrap().offset, 192);
        assert_eq!(q6.nibble_order(), Some(NibbleOrder::Runs64));
        assert!(Block::from_id(0).is_none() && Block::from_id(4).is_none());
    }

    #[test]
    fn scales_unpack_as_ggml_packs_them() {
        // Packed after ggml's quantiser: scale j < 4 in byte j, min in byte j + 4; for j >= 4 the low four
        // bits of both in byte j + 4, the high two above those of scale and min j - 4.
        let (scales, mins) = ([1, 17, 33, 63, 50, 21, 9, 62], [0, 63, 5, 40, 16, 47, 31, 1]);
        let mut bytes = [0u8; 12];
        for j in 0..8 {
            let (l, m) = (scales[j], mins[j]);
            if j < 4 {
                bytes[j] |= l;
                bytes[j + 4] |= m;
            } else {
                bytes[j + 4] = (l & 15) | (m & 15) << 4;
                bytes[j - 4] |= (l >> 4) << 6;
                bytes[j] |= (m >> 4) << 6;
            }
        }
        assert_eq!(k4_scales(&bytes), (scales, mins));
    }
}
