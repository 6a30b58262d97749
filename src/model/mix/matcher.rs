//! Match models: they find an earlier occurrence of the last bytes and expect the byte that followed it.
//!
//! A model follows one occurrence as long as it predicts well. After a miss it goes on after the byte that
//! differed, since a single change is common in text and records, and it gives up after a number of misses.

use super::apm::{Counter, counter, learn, p12};
use super::history::History;
use super::logistic::{Tables, pair};
use super::pages::Pages;
use crate::Result;
use crate::kernel::prefetch_at;

/// The greatest match length that is distinguished.
const LONGEST: u32 = 400;
/// The number of counters of one match model, which are chosen by class of length and by misses.
pub const COUNTERS: usize = 256;
/// The most misses after which an occurrence is still followed.
const RECOVER: u32 = 8;
/// The index of the first of the counters for bytes that are known not to come, of which there is one for each number
/// of bits that are left; those below belong to lengths and misses.
pub const REFUSED: usize = 240;

/// A match model. Candidates are found by a hash of the last `order` bytes, and then compared.
pub struct Matcher {
    /// The position after the last occurrence of `order` bytes, by their hash.
    heads: Pages<u32>,
    order: usize,
    /// The index of the newest bytes in `heads`.
    slot: usize,
    /// The position in the history of the expected byte; 0 if there is none.
    position: usize,
    /// The number of equal bytes before that position; 0 right after a miss.
    length: u32,
    /// The misses since the match was found, or since 16 bytes in a row were right.
    misses: u32,
    /// The expected byte after a leading one; 0 if there is none.
    expected: u32,
    /// See [`Matcher::class`].
    class: u32,
    /// The index of the counter for this length and these misses.
    place: usize,
    /// Whether it is known that the expected byte does not come.
    refused: bool,
    /// The probabilities that the expected bit comes.
    pub counters: Vec<Counter>,
    /// The expected bit, if the bits of this byte so far agree with the expected byte.
    bit: Option<u32>,
}

impl Matcher {
    /// A model with a table of 2^`bits` entries that starts with the given [`COUNTERS`] counters.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(order: usize, bits: u32, counters: &[Counter]) -> Result<Self> {
        Ok(Self {
            heads: Pages::new(1 << bits)?,
            order,
            slot: 0,
            position: 0,
            length: 0,
            misses: 0,
            expected: 0,
            class: 0,
            place: 0,
            refused: false,
            counters: counters.to_vec(),
            bit: None,
        })
    }

    /// Finds the index of the newest bytes in the table and prefetches the entry. Other work should come
    /// before the next call.
    #[inline(always)]
    pub fn seek(&mut self, history: &History) {
        self.slot = self.hash(history);
        prefetch_at(&self.heads, self.slot);
    }

    /// Prefetches the bytes that [`Matcher::push`] will compare. Other work should come before that, too.
    #[inline(always)]
    pub fn seek_candidate(&self, history: &History) {
        if self.length < self.order as u32 {
            let candidate = self.heads[self.slot] as usize;
            prefetch_at(history.bytes(), candidate.wrapping_sub(8));
        }
    }

    /// Makes the counters for bytes that are known not to come start anew, for coding with flags.
    pub fn reset_refused(&mut self) {
        if let Some(counters) = self.counters.get_mut(REFUSED..) {
            counters.fill(counter(32768));
        }
    }

    /// Takes note that the expected byte does not come.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// Processes the byte that was last appended to the history; must come after [`Matcher::seek`].
    pub fn push(&mut self, history: &History) {
        let bytes = history.bytes();
        let n = bytes.len();
        if self.position > 0 {
            if bytes[self.position] == bytes[n - 1] {
                self.length = (self.length + 1).min(LONGEST);
                self.position += 1;
                if self.length >= 16 {
                    self.misses = 0;
                }
            } else {
                self.length = 0;
                self.misses += 1;
                self.position += 1;
                if self.misses > RECOVER {
                    self.position = 0;
                    self.misses = 0;
                }
            }
        }
        if n >= self.order {
            if self.length < self.order as u32 {
                self.search(bytes, self.heads[self.slot] as usize);
            }
            self.heads[self.slot] = n as u32;
        }
        self.refused = false;
        self.expected = if self.position > 0 { u32::from(bytes[self.position]) | 256 } else { 0 };
        self.class = self.length_class();
        let counters = match self.length {
            0 => self.misses.min(7),
            1..=31 => 8 + self.length,
            _ => 39 + self.length / 32,
        };
        self.place = counters as usize * 4 + self.misses.min(3) as usize;
    }

    /// Follows the candidate instead of the current occurrence if more bytes before it are equal.
    fn search(&mut self, bytes: &[u8], candidate: usize) {
        let length = common_suffix(bytes, &bytes[..candidate]).min(LONGEST as usize) as u32;
        if length >= self.order as u32 && length > self.length {
            self.position = candidate;
            self.length = length;
            self.misses = 0;
        }
    }

    /// The index in the table for the last `order` bytes.
    fn hash(&self, history: &History) -> usize {
        let last = u64::from(history.c8) << 32 | u64::from(history.c4);
        let bits = self.heads.len().trailing_zeros();
        let low = if self.order < 8 { last << (64 - 8 * self.order) } else { last };
        let mut hash = low.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if self.order > 8 {
            let more = u64::from(history.c12) << 32 | u64::from(history.c12 >> 7);
            hash = (hash ^ more).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        (hash >> (64 - bits)) as usize
    }

    /// The class of length, 0..=13, which selects rows of the mixer; 0 if nothing is expected.
    #[inline(always)]
    pub fn class(&self) -> u32 {
        self.class
    }

    fn length_class(&self) -> u32 {
        if self.expected == 0 {
            return 0;
        }
        match self.length {
            0 => 1 + (self.misses > 3) as u32,
            1..=7 => 3 + (self.length > 5) as u32,
            8..=15 => 5 + (self.length > 11) as u32,
            16..=31 => 7 + (self.length > 23) as u32,
            32..=399 => {
                9 + (self.length > 63) as u32 + (self.length > 127) as u32 + (self.length > 255) as u32
            }
            _ => 13,
        }
    }

    /// The number of equal bytes before the expected one, at most 400; 0 right after a miss.
    #[inline(always)]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The misses since the match was found, or since 16 bytes in a row were right.
    #[inline(always)]
    pub fn misses(&self) -> u32 {
        self.misses
    }

    /// The expected byte; 0 if there is none.
    #[inline(always)]
    pub fn expected_byte(&self) -> u32 {
        self.expected & 255
    }

    /// The expected byte, if any, and the index of the counter for this length and these misses.
    #[inline(always)]
    pub fn expectation(&self) -> Option<(u8, usize)> {
        (self.expected != 0).then_some((self.expected as u8, self.place))
    }

    /// The bit that the last [`Matcher::predict`] expected, if any.
    #[inline(always)]
    pub fn expected_bit(&self) -> Option<u32> {
        self.bit
    }

    /// The two inputs for the next bit; 0 if the bits so far disagree with the expected byte. `c0` holds
    /// these bits after a leading one, and `bit_position` is their number.
    #[inline(always)]
    pub fn predict(&mut self, c0: u32, bit_position: u32, tables: &Tables) -> u32 {
        if self.expected == 0 || self.expected >> (8 - bit_position) != c0 {
            self.bit = None;
            return 0;
        }
        let bit = self.expected >> (7 - bit_position) & 1;
        self.bit = Some(bit);
        if self.refused {
            self.place = REFUSED + ((8 - bit_position as usize) & 15);
        }
        let p = p12(self.counters[self.place]);
        let sign = if bit != 0 { 1 } else { -1 };
        pair(sign * tables.stretch(p), sign * (p as i32 - 2048))
    }

    /// Learns whether the expected bit came.
    #[inline(always)]
    pub fn update(&mut self, bit: u32) {
        if let (Some(expected), Some(counter)) = (self.bit, self.counters.get_mut(self.place)) {
            learn(counter, u32::from(bit == expected), 1000);
        }
    }
}

/// The number of equal bytes at the ends of two slices; results above [`LONGEST`] may be too low.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let words = |bytes| <[u8]>::as_rchunks::<8>(bytes).1.iter().rev().take(LONGEST as usize / 8 + 1);
    let mut length = 0;
    for (a, b) in words(a).zip(words(b)) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return length + differ.leading_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = a[..a.len() - length].iter().rev().zip(b[..b.len() - length].iter().rev());
    length + rest.take(7).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_counted_in_bytes() {
        let text: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for n in 0..40 {
            let mut other = text[500..].to_vec();
            other[1499 - n] ^= 1;
            assert_eq!(common_suffix(&text, &other), n);
            assert_eq!(common_suffix(&text, &other[1500 - n..]), n);
        }
        assert!(common_suffix(&text, &text) >= LONGEST as usize);
        assert_eq!(common_suffix(&text, &[]), 0);
    }
}
