//! Bit histories: what a context has seen, in one byte.
//!
//! A state stands for the last bits in full while there are at most four of them, and later for a pair
//! of bounded counts with the last bit. The table is generated; `formats/mix.md` gives the recurrence.

use std::sync::LazyLock;

/// Largest count of the more frequent bit for each count of the rarer one.
const BOUND: [u8; 6] = [30, 20, 12, 9, 8, 7];

/// A history's meaning: counts of zeros and ones and the last bits (all of them up to four).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    counts: [u8; 2],
    last: u8,
}

impl History {
    fn total(self) -> u8 {
        self.counts[0] + self.counts[1]
    }

    /// The history after one more bit.
    fn push(self, bit: usize) -> Self {
        let mut counts = self.counts;
        counts[bit] += 1;
        if self.total() >= 4 {
            counts[1 - bit] = discount(counts[1 - bit]);
        }
        let last = if self.total() < 4 { self.last << 1 | bit as u8 } else { bit as u8 };
        Self { counts: bounded(counts, bit), last }.canonical()
    }

    /// Beyond four bits only the very last one is kept, and only if both bits were seen.
    fn canonical(mut self) -> Self {
        if self.total() > 4 {
            self.last = if self.counts[0] == 0 || self.counts[1] == 0 { 0 } else { self.last & 1 };
        }
        self
    }
}

/// The count left of a bit after the other one was seen.
fn discount(count: u8) -> u8 {
    match count {
        0..=4 => count,
        5..=6 => 5,
        7 => 6,
        8..=11 => 7,
        12..=15 => 8,
        16..=23 => 9,
        _ => 11,
    }
}

/// Shrinks counts until the pair is representable; the bit just seen keeps precedence.
fn bounded(mut counts: [u8; 2], bit: usize) -> [u8; 2] {
    loop {
        let low = counts[0].min(counts[1]) as usize;
        let high = usize::from(counts[1] > counts[0]);
        if low < BOUND.len() && counts[high] <= BOUND[low] {
            return counts;
        }
        if high == bit && low < BOUND.len() {
            counts[high] = BOUND[low];
        } else {
            counts[1 - bit] -= 1;
        }
    }
}

/// Everything that is looked up by state.
pub struct StateTable {
    /// Successor by bit and state.
    pub next: [[u8; 256]; 2],
    /// Bits remembered: the replacement priority of a slot.
    pub total: [u8; 256],
    /// Zeros and ones remembered.
    pub counts: [[u8; 2]; 256],
    /// Number of states in use.
    pub used: usize,
}

/// The shared table.
pub static STATES: LazyLock<Box<StateTable>> = LazyLock::new(|| {
    let mut known = vec![History { counts: [0; 2], last: 0 }];
    let mut table =
        Box::new(StateTable { next: [[0; 256]; 2], total: [0; 256], counts: [[0; 2]; 256], used: 0 });
    let mut at = 0;
    while at < known.len() {
        let from = known[at];
        table.total[at] = from.total();
        table.counts[at] = from.counts;
        for bit in 0..2 {
            let to = from.push(bit);
            let index = known.iter().position(|&h| h == to).unwrap_or_else(|| {
                known.push(to);
                known.len() - 1
            });
            table.next[bit][at] = index as u8;
        }
        at += 1;
    }
    table.used = known.len();
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_fit_a_byte_and_stay_bounded() {
        assert!(STATES.used <= 256, "{}", STATES.used);
        for state in 0..STATES.used {
            let [zeros, ones] = STATES.counts[state];
            let low = usize::from(zeros.min(ones));
            assert!(low < BOUND.len() && zeros.max(ones) <= BOUND[low].max(4), "{zeros} {ones}");
        }
    }

    #[test]
    fn repeated_bits_reach_a_fixed_state() {
        for bit in 0..2 {
            let mut state = 0usize;
            for _ in 0..100 {
                state = usize::from(STATES.next[bit][state]);
            }
            assert_eq!(usize::from(STATES.next[bit][state]), state);
            assert_eq!(STATES.counts[state][bit], BOUND[0]);
        }
    }
}
