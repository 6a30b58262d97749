//! Hints for encoders: what their callers know about the bytes of a block, and how they want them coded.

use crate::model::lm::Model;
use crate::tensor::Dtype;
use crate::tensor::form::Form;
use crate::tensor::rounding::Rounding;

/// The caller's knowledge of the bytes of a block. Coding is lossless even where it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The type of the elements.
    pub dtype: Dtype,
    /// The length of a row in bytes; a block starts where a row starts. 0 where there are no rows.
    pub row_bytes: u64,
    /// How the bytes pack fields of a few bits each, where that is known.
    pub form: Option<Form>,
    /// The bytes of a tile, which decodes alone; 0 for the level's choice.
    pub tile: u32,
}

/// The piece of a base tensor that belongs to the bytes of a block.
#[derive(Debug, Clone, Copy)]
pub struct BasePiece<'a> {
    /// As many bytes as the block has, already rounded.
    pub bytes: &'a [u8],
    /// How they come from those of the base.
    pub rounding: Rounding,
    /// BLAKE3 of the whole base.
    pub hash: [u8; 32],
    /// The number of bytes of the tensor before this piece.
    pub offset: u64,
}

/// Whether a language model guides blocks of text.
#[derive(Debug, Clone, Copy)]
pub enum Guide<'a> {
    /// No model guides.
    None,
    /// The model guides where that makes the block smaller; text is coded both ways.
    WhereItPays(&'a Model),
    /// The model guides all text.
    All(&'a Model),
}
