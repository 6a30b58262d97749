//! The hash table of bit histories: 64-byte buckets of four slots, each one check byte and the 15
//! histories of a nibble's binary tree.

use super::pages::Pages;
use super::state::{STATES, StateTable};
use crate::Result;

/// Bytes of a slot.
pub const SLOT: usize = 16;
const BUCKET: usize = 64;

/// A slot's contents: the check byte, then histories by tree node (1..=15).
pub type Slot = [u8; SLOT];

/// Slots found by hash, the least used of four giving way to a new one.
pub struct SlotTable {
    memory: Pages<u8>,
    states: &'static StateTable,
    mask: usize,
}

impl SlotTable {
    /// A table of 2^`bits` bytes, all empty. `bits` is 12..=30.
    pub fn new(bits: u32) -> Result<Self> {
        let memory = Pages::new(1 << bits)?;
        let mask = memory.len() / BUCKET - 1;
        Ok(Self { memory, states: &STATES, mask })
    }

    /// The bucket of a byte context's first nibble, as a byte offset.
    #[inline(always)]
    pub fn bucket(&self, hash: u32) -> usize {
        ((hash >> 8) as usize & self.mask) * BUCKET
    }

    /// The bucket of the second nibble, in the same 4 KiB as the first.
    #[inline(always)]
    pub fn second_bucket(first: usize, nibble: u32) -> usize {
        first ^ (((nibble as usize & 15) + 1) * BUCKET)
    }

    /// Hints that a bucket will be needed soon.
    #[inline(always)]
    pub fn prefetch(&self, bucket: usize) {
        super::kernel::prefetch(&self.memory, bucket);
    }

    /// The offset of the slot with this check byte in a bucket; a new one takes the least used place.
    #[inline(always)]
    pub fn find(&mut self, bucket: usize, check: u8) -> usize {
        let Some(line) = self.memory[bucket..].first_chunk_mut::<BUCKET>() else { return 0 };
        let (hits, firsts) = super::kernel::probe(line, check);
        if hits != 0 {
            return bucket + SLOT * hits.trailing_zeros() as usize;
        }
        // The total above the place, so that the first of the least is the smallest.
        let rank = |i: usize| u32::from(self.states.total[usize::from(firsts[i])]) << 2 | i as u32;
        let victim = SLOT * (rank(0).min(rank(1)).min(rank(2).min(rank(3))) & 3) as usize;
        line[victim..victim + SLOT].fill(0);
        line[victim] = check;
        bucket + victim
    }

    /// Finds a slot and changes it in place.
    #[inline(always)]
    pub fn learn(&mut self, bucket: usize, check: u8, change: impl FnOnce(&mut Slot)) {
        let offset = self.find(bucket, check);
        if let Some(slot) = self.memory[offset..].first_chunk_mut::<SLOT>() {
            change(slot);
        }
    }

    /// A slot's contents.
    #[inline(always)]
    pub fn load(&self, offset: usize) -> Slot {
        let mut slot = [0; SLOT];
        slot.copy_from_slice(&self.memory[offset..offset + SLOT]);
        slot
    }

    /// Replaces a slot's contents.
    #[inline(always)]
    pub fn store(&mut self, offset: usize, slot: &Slot) {
        self.memory[offset..offset + SLOT].copy_from_slice(slot);
    }
}
