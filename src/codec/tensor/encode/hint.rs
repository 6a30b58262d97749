//! The caller's knowledge of a block.

use crate::tensor::Dtype;
use crate::tensor::form::Form;

/// The caller's knowledge of the bytes of a block. They are coded without loss even where it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The type of the elements.
    pub dtype: Dtype,
    /// Bytes of a row; a block starts where a row starts. 0 where there are no rows.
    pub row_bytes: u64,
    /// How the bytes pack fields of some bits, where that is known.
    pub form: Option<Form>,
}
