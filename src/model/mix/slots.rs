//! The hash table of bit histories: 64-byte buckets of four slots, each one check byte and the 15
//! histories of a nibble's binary tree.

use memmap2::{MmapMut, MmapOptions};

use super::state::{STATES, StateTable};
use crate::{Error, ErrorKind, Result};

/// Bytes of a slot.
pub const SLOT: usize = 16;
const BUCKET: usize = 64;

/// A slot's contents: the check byte, then histories by tree node (1..=15).
pub type Slot = [u8; SLOT];

/// Slots found by hash, the least used of four giving way to a new one.
pub struct SlotTable {
    memory: MmapMut,
    states: &'static StateTable,
    mask: usize,
}

impl SlotTable {
    /// A table of 2^`bits` bytes, all empty. `bits` is 12..=30.
    pub fn new(bits: u32) -> Result<Self> {
        let size = 1usize << bits;
        let memory = MmapOptions::new().len(size).map_anon().map_err(|e| {
            Error::new(ErrorKind::LimitExceeded, format!("no memory for a table of {size} bytes: {e}"))
        })?;
        #[cfg(target_os = "linux")]
        // Only a hint: huge pages save most of the cost of random access.
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(Self { memory, states: &STATES, mask: size / BUCKET - 1 })
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
        let total = &self.states.total;
        let line = &mut self.memory[bucket..bucket + BUCKET];
        let mut victim = 0;
        let mut least = u8::MAX;
        for at in [0, 16, 32, 48] {
            if line[at] == check {
                return bucket + at;
            }
            let priority = total[usize::from(line[at + 1])];
            if priority < least {
                least = priority;
                victim = at;
            }
        }
        line[victim..victim + SLOT].fill(0);
        line[victim] = check;
        bucket + victim
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
