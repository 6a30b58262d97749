//! What an encoder is given, and the block that it makes.

use super::Codec;
use super::hints::{BasePiece, Guide, Hint};
use crate::format::block::{BlockHeader, Units};
use crate::progress::Meter;

/// The raw bytes of a block to encode, and what is known about them.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    pub raw: &'a [u8],
    /// The type of the numbers in these bytes, and their rows.
    pub numbers: Option<Hint>,
    /// The piece of another tensor that these bytes may be coded against.
    pub base: Option<BasePiece<'a>>,
    /// For a picture's raster: the bytes of a pixel, and of a row.
    pub rows: Option<(usize, usize)>,
    /// For a sample: the coded block from which it comes, whose kind of data it has.
    pub sample_of: Option<&'a EncodedBlock>,
}

impl<'a> Content<'a> {
    /// Bytes of which nothing is known.
    pub fn bytes(raw: &'a [u8]) -> Self {
        Self { raw, numbers: None, base: None, rows: None, sample_of: None }
    }
}

/// How much work encoding may take.
#[derive(Debug, Clone, Copy)]
pub struct Effort<'a> {
    /// The level, 1..=9.
    pub level: u8,
    /// The language model that may guide `mix`.
    pub guide: Guide<'a>,
    /// Counts what has been coded.
    pub meter: Meter<'a>,
    /// The memory that decoding the block may take, in bytes (approximate).
    pub limit: u64,
    /// Whether the caller asks for the codec, which then also codes what it would leave to others.
    pub only: bool,
}

/// A block ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedBlock {
    pub codec: Codec,
    pub raw_len: u32,
    /// Hash of the model, where the block names one.
    pub model: Option<[u8; 32]>,
    pub params: Option<Vec<u8>>,
    pub units: Units,
    pub payload: Vec<u8>,
}

impl EncodedBlock {
    /// The bytes on disk, without those that every block has.
    pub fn cost(&self) -> usize {
        self.payload.len() + self.units.stored_len() + self.params.as_ref().map_or(0, Vec::len)
    }

    /// The smaller of two blocks of the same bytes; the first of equal ones.
    pub fn or_smaller(self, other: Self) -> Self {
        if other.cost() < self.cost() { other } else { self }
    }

    /// The block's header and payload. `model` is the stream's reference to the model, where the block names
    /// one.
    pub fn into_parts(self, model: Option<u64>) -> (BlockHeader, Vec<u8>) {
        let header = BlockHeader {
            codec: self.codec.id(),
            flushed: false,
            raw_len: self.raw_len,
            payload_len: self.payload.len() as u32,
            model,
            params: self.params,
            units: self.units,
        };
        (header, self.payload)
    }
}
