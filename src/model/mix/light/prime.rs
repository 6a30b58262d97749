//! Priming of the light predictor: before its first decision, a block of text learns phrases that are common in
//! text.

use super::code::Code;
use super::{CONTEXTS, SEGMENT, Shape};
use crate::Result;
use crate::model::mix::context::{self, Kind};
use crate::model::mix::history::History;
use crate::model::mix::priming::{self, Key};
use crate::model::mix::shipped;
use crate::model::mix::slots::SlotTable;
use crate::model::mix::state::{STATES, StateTable};

/// The table of a predictor of text, primed with phrases.
///
/// # Errors
/// `LimitExceeded` where memory is missing.
pub fn primed(shape: &Shape) -> Result<SlotTable> {
    let fill = || {
        let mut slots = SlotTable::new(shape.memory_bits)?;
        prime(&mut slots, &shape.code, shipped::phrases(shape.primed));
        Ok(slots)
    };
    // Tables for a code of the block's own would not be used again.
    if !shape.code.is_text() {
        return fill();
    }
    let key = Key { bits: shape.memory_bits, contexts: CONTEXTS, limit: shape.primed, light: true };
    priming::kept(key, fill)
}

/// Enters phrases, each terminated by a zero byte, into the bit histories of all contexts, as if each phrase
/// stood at the start of a block.
fn prime(slots: &mut SlotTable, code: &Code, phrases: &[u8]) {
    let seek = |slots: &SlotTable, history: &History, byte, hashes: &mut [u32; CONTEXTS]| {
        *hashes = context::first(Kind::Text, history);
        let (bits, length) = code.code(byte);
        for &hash in &*hashes {
            let bucket = slots.bucket(hash);
            slots.prefetch(bucket);
            if length > SEGMENT {
                let prefix = (bits | 1 << length) >> (length - SEGMENT);
                slots.prefetch(SlotTable::second_bucket(bucket, prefix));
            }
        }
    };
    let learn = |slots: &mut SlotTable, hashes: &[u32; CONTEXTS], byte| learn_byte(slots, code, hashes, byte);
    priming::learn_ahead(slots, phrases, seek, learn);
}

/// Enters a byte into the bit histories of all contexts.
fn learn_byte(slots: &mut SlotTable, code: &Code, hashes: &[u32; CONTEXTS], byte: u8) {
    let (bits, length) = code.code(byte);
    for &hash in hashes {
        learn_code(slots, &STATES, hash, bits | 1 << length, length);
    }
}

/// Enters the code of a byte, which has a leading one, into the bit histories of a context.
fn learn_code(slots: &mut SlotTable, states: &StateTable, hash: u32, code: u32, length: u32) {
    let (mut bucket, mut check) = (slots.bucket(hash), hash as u8);
    for start in (0..length).step_by(SEGMENT as usize) {
        let end = length.min(start + SEGMENT);
        slots.learn(bucket, check, |slot| {
            let mut node = 1;
            for depth in start..end {
                let bit = (code >> (length - 1 - depth) & 1) as usize;
                slot[node & 15] = states.next[bit][usize::from(slot[node & 15])];
                node = node << 1 | bit;
            }
        });
        let prefix = code >> (length - end);
        bucket = SlotTable::second_bucket(bucket, prefix);
        check = SlotTable::second_check(hash, prefix);
    }
}
