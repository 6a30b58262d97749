//! The words of blocks, gathered while a stream is written.

use crate::format::search::{Filter, LONGEST, SHORTEST, SPARED, hash};
use std::collections::HashSet;

/// Gathers the filters of blocks in their order.
#[derive(Debug, Default)]
pub(super) struct Words {
    filters: Vec<Filter>,
    /// The letters at the end of the last block, which may go on in the next one.
    open: Vec<u8>,
}

impl Words {
    /// Adds the next block. A word that began in the block before counts as a word of this one.
    pub(super) fn add(&mut self, raw: &[u8], stored_len: u64) {
        let mut found = HashSet::new();
        let is_letter = |b: &&u8| b.is_ascii_alphabetic();
        let letters = raw.iter().take(LONGEST + 1).take_while(is_letter).count();
        let mut first = std::mem::take(&mut self.open);
        if letters == 0 {
            first.clear();
        }
        first.extend_from_slice(&raw[..letters]);
        let rest = raw[letters..].split(|b| !b.is_ascii_alphabetic());
        for word in rest.chain([&first[..]]).filter(|w| (SHORTEST..=LONGEST).contains(&w.len())) {
            found.insert(hash(word));
        }
        let end = raw.iter().rev().take(LONGEST + 1).take_while(is_letter).count();
        self.open = if end == raw.len() { first } else { raw[raw.len() - end..].to_vec() };
        self.open.truncate(LONGEST + 1);
        let hashes: Vec<u64> = found.into_iter().collect();
        self.filters.push(Filter::new(&hashes, (stored_len / 100).saturating_sub(SPARED)));
    }

    /// The filters of all blocks.
    pub(super) fn finish(self) -> Vec<Filter> {
        self.filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::search::{blocks_with, put};

    #[test]
    fn words_across_blocks_are_words_of_the_later_one() {
        let mut words = Words::default();
        let blocks: [&[u8]; 6] = [b"One two thr", b"ee, fo", b"r", b"ty Seven", b" end", &[b'x'; 300]];
        blocks.iter().for_each(|raw| words.add(raw, 100_000));
        words.add(b"few bytes, no room", 1000);
        let mut section = Vec::new();
        put(&mut section, &words.finish());
        let holds = |word: &str| blocks_with(&section, 7, hash(word.as_bytes())).unwrap();
        for (word, block) in [("one", 0), ("two", 0), ("three", 1), ("forty", 3), ("seven", 3), ("end", 4)] {
            let expected: Vec<bool> = (0..7).map(|i| i == block || i == 6).collect();
            assert_eq!(holds(word), expected, "{word}");
        }
        assert!(holds(&"x".repeat(300))[..6].iter().all(|h| !h), "longer words are not known");
    }
}
