//! The groups of a block that a tile holds, and the rows in which they lie.

use std::ops::Range;

/// The groups of a block that a tile holds.
pub struct TileGroups<'a> {
    /// The number of groups of the block before the tile.
    pub first: u64,
    /// The number of groups in the tile.
    pub all: usize,
    /// The number of groups that the tile stores: all of them, or those that the mask names.
    pub stored: usize,
    /// A bit for each group of the tile, the lowest bit of the first byte first: 1 if the group is stored.
    /// `None` where all groups are.
    pub mask: Option<&'a [u8]>,
}

impl TileGroups<'_> {
    /// A tile that stores all of its `count` groups.
    pub fn unmasked(first: u64, count: usize) -> Self {
        Self { first, all: count, stored: count, mask: None }
    }

    /// The number of rows, of `groups` groups each, of which the tile holds at least one group.
    pub fn rows(&self, groups: u64) -> u64 {
        let all = self.all as u64;
        if all == 0 { 0 } else { (self.first + all - 1) / groups - self.first / groups + 1 }
    }
}

/// Cuts `count` elements into rows of `groups` elements. The first row lacks its first `skipped` elements;
/// the last row may be cut off too.
pub fn row_ranges(skipped: u64, groups: u64, count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let mut next = usize::try_from(groups - skipped).unwrap_or(usize::MAX);
    let groups = usize::try_from(groups).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let range = at..count.min(next);
        (at, next) = (range.end, next.saturating_add(groups));
        (!range.is_empty()).then_some(range)
    })
}
