//! Differences between the elements of a block (`formats/tensor.md`, "Differences").

use crate::error::Error;
use crate::format::cursor::{Cursor, Parsed, in_range};
use crate::format::varint;

/// The largest number of distances.
const MAX_DISTANCES: u64 = 2;
/// The largest distance, in elements.
pub const MAX_DISTANCE: u64 = 1 << 16;

/// How the numbers of a tile are computed from its elements: for each distance in turn, every element is
/// replaced by its difference from the element at that distance before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    /// The number of bytes of an element: 1, 2, 4 or 8.
    pub element: usize,
    /// The distances, in elements, each in 1..=[`MAX_DISTANCE`]; one or two of them.
    pub distances: Vec<usize>,
}

impl Differences {
    /// Appends the differences.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.element as u8, self.distances.len() as u8]);
        self.distances.iter().for_each(|d| varint::put(out, *d as u64));
    }

    /// Reads differences.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let element = usize::from(c.u8()?);
        if !matches!(element, 1 | 2 | 4 | 8) {
            return Err(Error::corrupt(format!("differences of {element} bytes")).into());
        }
        let count = u64::from(c.u8()?);
        in_range("number of distances", count, 1..=MAX_DISTANCES)?;
        let distance = |_| Ok(c.varint_in("distance", 1..=MAX_DISTANCE)? as usize);
        Ok(Self { element, distances: (0..count).map(distance).collect::<Parsed<_>>()? })
    }

    /// A description in a few words, for reports.
    pub fn describe(&self) -> String {
        let distances: Vec<String> = self.distances.iter().map(usize::to_string).collect();
        format!("differences {}: ", distances.join("+"))
    }
}
