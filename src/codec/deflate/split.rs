//! How insides are split into what a content of their kind holds, and what content 0 holds of them.

use super::picture::{Rows, filter, unfilter};
use crate::codec::hints::Hint;
use crate::tensor::npy;
use std::borrow::Cow;

/// How an inside is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// All of it is in one content.
    Whole,
    /// The raster of a picture; the names of its filters are in content 0.
    Picture(Rows),
    /// The numbers of an array; its header, of so many bytes, at least 1, is in content 0.
    Array(usize),
}

/// The part of an inside that the content of its kind holds, and the one in content 0.
pub type Pieces<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl Split {
    /// The bytes of an inside of `len` bytes that the content of its kind holds, and those in content 0; `None` where no
    /// inside of so many bytes is split like this.
    pub fn lens(self, len: usize) -> Option<(usize, usize)> {
        match self {
            Self::Whole => Some((len, 0)),
            Self::Picture(rows) => rows.parts(len),
            Self::Array(header) => Some((len.checked_sub(header)?, header)),
        }
    }

    /// The two parts of an inside, in the same order; `None` where it is not split like this.
    pub fn split(self, inside: &[u8]) -> Option<Pieces<'_>> {
        match self {
            Self::Whole => Some((inside.into(), Cow::default())),
            Self::Picture(rows) => {
                unfilter(inside, rows).map(|(names, raster)| (raster.into(), names.into()))
            }
            Self::Array(header) => {
                inside.split_at_checked(header).map(|(header, numbers)| (numbers.into(), header.into()))
            }
        }
    }

    /// Appends the inside of these parts, whose lengths must be those that `lens` gives.
    pub fn join(self, part: &[u8], first: &[u8], inside: &mut Vec<u8>) {
        match self {
            Self::Whole => inside.extend_from_slice(part),
            Self::Picture(rows) => filter(first, part, rows, inside),
            Self::Array(_) => {
                inside.extend_from_slice(first);
                inside.extend_from_slice(part);
            }
        }
    }
}

/// The length of the header of an inside that is a NumPy array, and what is known of its numbers.
pub fn array(inside: &[u8]) -> Option<(usize, Hint)> {
    let array = npy::array(inside, "").ok().filter(|a| a.end() == inside.len() as u64 && a.len > 0)?;
    let row_bytes = array.row_bytes();
    Some((array.start as usize, Hint { dtype: array.dtype, row_bytes, form: None, tile: 0 }))
}
