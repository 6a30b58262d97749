//! The hash table of bit histories.
//!
//! A slot holds what one context has seen at one nibble: a check byte, and a bit history for each of the 15
//! nodes of the nibble's binary tree, so that a context touches memory once for four bits. Slots lie in
//! buckets of four, which fill one cache line.

use super::pages::Pages;
use super::state::{STATES, StateTable};
use crate::Result;
use crate::kernel::prefetch_at;

/// The bytes of a slot.
pub const SLOT: usize = 16;
/// The number of slots in a bucket, which is one cache line.
pub const WAYS: usize = 4;

/// A slot: the check byte at index 0, then the bit histories by node of the tree (1..=15).
pub type Slot = [u8; SLOT];

/// The table. Where a bucket is full, a new slot replaces the one that has seen the fewest bits.
pub struct SlotTable {
    buckets: Pages<[Slot; WAYS]>,
    states: &'static StateTable,
    mask: usize,
}

impl SlotTable {
    /// An empty table of 2^`bits` bytes, `bits` in 12..=30.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(bits: u32) -> Result<Self> {
        let buckets = Pages::new((1 << bits) / (WAYS * SLOT))?;
        let mask = buckets.len() - 1;
        Ok(Self { buckets, states: &STATES, mask })
    }

    /// A copy of the table.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn copy(&self) -> Result<Self> {
        let mut buckets = Pages::new(self.buckets.len())?;
        buckets.copy_from_slice(&self.buckets);
        Ok(Self { buckets, ..*self })
    }

    /// The bucket that holds the slot of a context's first nibble.
    #[inline(always)]
    pub fn bucket(&self, hash: u32) -> usize {
        (hash >> 8) as usize & self.mask
    }

    /// The bucket that holds the slot of a context's second nibble, which lies close to that of the first.
    #[inline(always)]
    pub fn second_bucket(first: usize, nibble: u32) -> usize {
        first ^ ((nibble as usize & 15) + 1)
    }

    /// The check byte of the second nibble's slot; `nibble` is the first nibble plus 16.
    #[inline(always)]
    pub fn second_check(hash: u32, nibble: u32) -> u8 {
        (hash as u8).wrapping_add((nibble as u8).wrapping_mul(0x3D))
    }

    /// Hints that a bucket will be needed soon.
    #[inline(always)]
    pub fn prefetch(&self, bucket: usize) {
        prefetch_at(&self.buckets, bucket);
    }

    /// The place of the slot with this check byte in a bucket. If there is none, the slot that has seen the
    /// fewest bits is cleared and gets the check byte.
    #[inline(always)]
    pub fn find(&mut self, bucket: usize, check: u8) -> usize {
        let slots = &mut self.buckets[bucket];
        let (hits, firsts) = super::kernel::probe(slots, check);
        if hits != 0 {
            return bucket * WAYS + hits.trailing_zeros() as usize;
        }
        // The total stands above the index, so that the smallest number is the first of the least.
        let rank = |i: usize| u32::from(self.states.total[usize::from(firsts[i])]) << 2 | i as u32;
        let victim = (rank(0).min(rank(1)).min(rank(2).min(rank(3))) & 3) as usize;
        slots[victim] = [0; SLOT];
        slots[victim][0] = check;
        bucket * WAYS + victim
    }

    /// Finds a slot and changes it in place.
    #[inline(always)]
    pub fn learn(&mut self, bucket: usize, check: u8, change: impl FnOnce(&mut Slot)) {
        let place = self.find(bucket, check);
        change(self.slot(place));
    }

    /// The slot at a place.
    #[inline(always)]
    pub fn slot(&mut self, place: usize) -> &mut Slot {
        &mut self.buckets.as_flattened_mut()[place]
    }
}
