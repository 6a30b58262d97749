//! Priming: before its first bit, a block of text learns phrases that are common in text.

use super::context::{self, PRIMED};
use super::history::History;
use super::shipped;
use super::slots::{Slot, SlotTable};
use super::state::{STATES, StateTable};

use crate::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// log2 of the size of the largest tables that are kept: those for blocks of up to 32 KiB.
const KEPT_BITS: u32 = 22;
/// The number of tables that are kept: one for each level of `mix`, and one of `light`. A short content is coded at all
/// of them, in turn, so that fewer would be replaced before they are used again.
const KEPT: usize = 6;

/// The settings for which a table was primed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// log2 of the table's size in bytes.
    pub bits: u32,
    /// The number of contexts.
    pub contexts: usize,
    /// The most bytes of phrases.
    pub limit: usize,
    /// Whether the table is that of `light`, for its code of text.
    pub light: bool,
}

/// Small primed tables, the most recently used one last. Priming takes much longer than coding a short block,
/// and programs code many short blocks.
static TABLES: Mutex<Vec<(Key, Arc<SlotTable>)>> = Mutex::new(Vec::new());

/// A table of 2^`bits` bytes, primed for the first `contexts` contexts with at most `limit` bytes of phrases.
///
/// # Errors
/// `LimitExceeded` where memory is missing.
pub fn primed(bits: u32, contexts: usize, limit: usize) -> Result<SlotTable> {
    kept(Key { bits, contexts, limit, light: false }, || prime_new(bits, contexts, limit))
}

/// A copy of the table that was kept under this key, or else a new one, which is kept if it is small.
///
/// # Errors
/// Those of `new`; `LimitExceeded` where memory is missing.
pub fn kept(key: Key, new: impl FnOnce() -> Result<SlotTable>) -> Result<SlotTable> {
    if key.bits > KEPT_BITS || key.limit == 0 {
        return new();
    }
    let find = || {
        let mut kept = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(k, _)| *k == key)?;
        let found = kept.remove(at);
        let slots = found.1.clone();
        kept.push(found);
        Some(slots)
    };
    if let Some(slots) = find() {
        return slots.copy();
    }
    let slots = Arc::new(new()?);
    let copy = slots.copy()?;
    let mut kept = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push((key, slots));
    Ok(copy)
}

fn prime_new(bits: u32, contexts: usize, limit: usize) -> Result<SlotTable> {
    let mut slots = SlotTable::new(bits)?;
    prime(&mut slots, contexts, shipped::phrases(limit));
    Ok(slots)
}

/// The number of bytes between seeking a byte's slots and changing them.
const AHEAD: usize = 4;

/// The number of contexts that priming trains.
const TRAINED: usize = PRIMED.len();

/// Enters phrases of text, each terminated by a zero byte, into the bit histories of the first `contexts`
/// contexts, as if each phrase stood at the start of a block.
fn prime(slots: &mut SlotTable, contexts: usize, phrases: &[u8]) {
    let trained = PRIMED.iter().take_while(|&&i| i < contexts).count();
    let seek = |slots: &SlotTable, history: &History, byte: u8, hashes: &mut [u32; TRAINED]| {
        *hashes = context::primed(history);
        for &hash in &hashes[..trained] {
            let bucket = slots.bucket(hash);
            slots.prefetch(bucket);
            slots.prefetch(SlotTable::second_bucket(bucket, u32::from(byte) >> 4 | 16));
        }
    };
    let learn = |slots: &mut SlotTable, hashes: &[u32; TRAINED], byte| {
        learn_byte(slots, &hashes[..trained], byte);
    };
    learn_ahead(slots, phrases, seek, learn);
}

/// Learns phrases, each terminated by a zero byte and without a history before it. For each byte `seek` sets the hashes of its
/// contexts and fetches what `learn`, a few bytes later, will change.
#[inline(always)]
pub fn learn_ahead<const N: usize>(
    slots: &mut SlotTable,
    phrases: &[u8],
    seek: impl Fn(&SlotTable, &History, u8, &mut [u32; N]),
    learn: impl Fn(&mut SlotTable, &[u32; N], u8),
) {
    let mut history = History::new(false);
    let mut line = [([0; N], 0); AHEAD];
    let mut n = 0;
    for phrase in phrases.split(|&b| b == 0) {
        history.cut();
        for &byte in phrase {
            let (hashes, before) = &mut line[n % AHEAD];
            if n >= AHEAD {
                learn(slots, hashes, *before);
            }
            seek(slots, &history, byte, hashes);
            *before = byte;
            history.push(byte);
            n += 1;
        }
    }
    for k in n.saturating_sub(AHEAD)..n {
        let (hashes, byte) = &line[k % AHEAD];
        learn(slots, hashes, *byte);
    }
}

/// Enters a byte into the bit histories of the contexts with these hashes.
#[inline(always)]
fn learn_byte(slots: &mut SlotTable, hashes: &[u32], byte: u8) {
    let c0 = u32::from(byte) >> 4 | 16;
    let states: &StateTable = &STATES;
    for &hash in hashes {
        let bucket = slots.bucket(hash);
        slots.learn(bucket, hash as u8, |slot| learn_nibble(slot, byte >> 4, states));
        let bucket = SlotTable::second_bucket(bucket, c0);
        let check = SlotTable::second_check(hash, c0);
        slots.learn(bucket, check, |slot| learn_nibble(slot, byte & 15, states));
    }
}

/// Enters the four bits of a nibble into the bit histories along their path in the nibble's tree.
fn learn_nibble(slot: &mut Slot, nibble: u8, states: &StateTable) {
    let mut node = 1;
    for shift in [3, 2, 1, 0] {
        let bit = usize::from(nibble >> shift & 1);
        slot[node] = states.next[bit][usize::from(slot[node])];
        node = (node << 1 | bit) & 15;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_tables_are_those_of_new_ones() {
        for (contexts, limit) in [(8, 4 << 10), (16, 4 << 10), (8, 8 << 10), (8, 4 << 10)] {
            let mut tables =
                [prime_new(16, contexts, limit), primed(16, contexts, limit), primed(16, contexts, limit)]
                    .map(|table| table.unwrap());
            let [new, first, second] = &mut tables;
            for place in 0..(1 << 16) / super::super::slots::SLOT {
                assert_eq!(new.slot(place), first.slot(place));
                assert_eq!(new.slot(place), second.slot(place));
            }
        }
    }
}
