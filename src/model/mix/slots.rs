//! The hash table of bit histories: 64-byte buckets of four slots, each one check byte and the 15
//! histories of a nibble's binary tree.

use super::pages::Pages;
use super::state::{STATES, StateTable};
use crate::Result;
use crate::kernel::prefetch_at;

/// Bytes of a slot.
pub const SLOT: usize = 16;
/// Slots of a bucket, which is one line of a processor's cache.
pub const WAYS: usize = 4;

/// A slot's contents: the check byte, then histories by tree node (1..=15).
pub type Slot = [u8; SLOT];

/// Slots found by hash, the least used of four giving way to a new one.
pub struct SlotTable {
    buckets: Pages<[Slot; WAYS]>,
    states: &'static StateTable,
    mask: usize,
}

impl SlotTable {
    /// A table of 2^`bits` bytes, all empty. `bits` is 12..=30.
    pub fn new(bits: u32) -> Result<Self> {
        let buckets = Pages::new((1 << bits) / (WAYS * SLOT))?;
        let mask = buckets.len() - 1;
        Ok(Self { buckets, states: &STATES, mask })
    }

    /// The bucket of a byte context's first nibble.
    #[inline(always)]
    pub fn bucket(&self, hash: u32) -> usize {
        (hash >> 8) as usize & self.mask
    }

    /// The bucket of the second nibble, in the same 4 KiB as the first.
    #[inline(always)]
    pub fn second_bucket(first: usize, nibble: u32) -> usize {
        first ^ ((nibble as usize & 15) + 1)
    }

    /// Hints that a bucket will be needed soon.
    #[inline(always)]
    pub fn prefetch(&self, bucket: usize) {
        prefetch_at(&self.buckets, bucket);
    }

    /// The place of the slot with this check byte in a bucket; a new one takes the least used place.
    #[inline(always)]
    pub fn find(&mut self, bucket: usize, check: u8) -> usize {
        let slots = &mut self.buckets[bucket];
        let (hits, firsts) = super::kernel::probe(slots, check);
        if hits != 0 {
            return bucket * WAYS + hits.trailing_zeros() as usize;
        }
        // The total above the place, so that the first of the least is the smallest.
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
