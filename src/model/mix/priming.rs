//! Priming: before its first bit, a block of text learns phrases that are common in text.

use super::context::{self, Kind, MAX_CONTEXTS};
use super::history::History;
use super::slots::{Slot, SlotTable};
use super::state::{STATES, StateTable};

/// Bytes between asking for a byte's slots and changing them.
const AHEAD: usize = 4;

/// Enters phrases of text, each ended by a zero byte, into the bit histories of the first `contexts`
/// contexts, as if each phrase stood at a block's start. Only slots are learned; `history` is empty
/// afterwards.
pub fn prime(slots: &mut SlotTable, history: &mut History, contexts: usize, phrases: &[u8]) {
    let mut line: [([u32; MAX_CONTEXTS], u8); AHEAD] = [([0; MAX_CONTEXTS], 0); AHEAD];
    let mut n = 0;
    for phrase in phrases.split(|&b| b == 0) {
        history.cut();
        for &byte in phrase {
            let (hashes, before) = &mut line[n % AHEAD];
            if n >= AHEAD {
                learn_byte(slots, contexts, hashes, *before);
            }
            context::fill(Kind::Text, history, hashes);
            *before = byte;
            for &i in context::PRIMED.iter().filter(|&&i| i < contexts) {
                let bucket = slots.bucket(hashes[i]);
                slots.prefetch(bucket);
                slots.prefetch(SlotTable::second_bucket(bucket, u32::from(byte) >> 4 | 16));
            }
            history.push(byte);
            n += 1;
        }
    }
    for k in n.saturating_sub(AHEAD)..n {
        let (hashes, byte) = &line[k % AHEAD];
        learn_byte(slots, contexts, hashes, *byte);
    }
    *history = History::new(false);
}

/// Enters a byte into the histories of the contexts that are primed.
fn learn_byte(slots: &mut SlotTable, contexts: usize, hashes: &[u32; MAX_CONTEXTS], byte: u8) {
    let c0 = u32::from(byte) >> 4 | 16;
    for &i in context::PRIMED.iter().filter(|&&i| i < contexts) {
        let bucket = slots.bucket(hashes[i]);
        slots.learn(bucket, hashes[i] as u8, |slot| learn_nibble(slot, byte >> 4, &STATES));
        let bucket = SlotTable::second_bucket(bucket, c0);
        slots.learn(bucket, SlotTable::second_check(hashes[i], c0), |slot| {
            learn_nibble(slot, byte & 15, &STATES)
        });
    }
}

/// Enters the four bits of a nibble into the histories along their path in the nibble's tree.
fn learn_nibble(slot: &mut Slot, nibble: u8, states: &StateTable) {
    let mut node = 1;
    for shift in [3, 2, 1, 0] {
        let bit = usize::from(nibble >> shift & 1);
        slot[node] = states.next[bit][usize::from(slot[node])];
        node = (node << 1 | bit) & 15;
    }
}
