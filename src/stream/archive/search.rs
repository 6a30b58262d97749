//! Finding the blocks that may hold a word.

use super::Archive;
use crate::error::Result;
use crate::format::search::{LONGEST, SHORTEST, blocks_with, hash};
use std::io::{Read, Seek};
use std::ops::Range;

impl<S: Read + Seek> Archive<S> {
    /// The raw ranges of the blocks that may hold a word, whatever its case: 3 to 64 ASCII letters with no ASCII letter
    /// before or behind them. A word that crosses into another block may be missing in the first one. Blocks of which
    /// nothing is known are among them: those of files that were not made with [`crate::Options::searchable`], and for
    /// anything but such a word all of them.
    ///
    /// # Errors
    ///
    /// Those of reading; [`crate::ErrorKind::Corrupt`] where what is stored about words is damaged.
    pub fn ranges_with(&mut self, word: &str) -> Result<Vec<Range<u64>>> {
        let known =
            (SHORTEST..=LONGEST).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic());
        let mut found = Vec::new();
        for number in 0..self.streams.len() {
            let stream = &self.streams[number];
            let place = stream.search.clone().filter(|_| known);
            let may_hold = match place {
                Some(place) => {
                    self.allow(place.end - place.start, "a search section")?;
                    let bytes = self.source.read(place.start, place.end - place.start)?;
                    let blocks = blocks_with(&bytes, stream.blocks.len(), hash(word.as_bytes()));
                    blocks.map_err(|e| e.within(format!("stream {number}")))?
                }
                None => vec![true; stream.blocks.len()],
            };
            let blocks = self.streams[number].blocks.iter().zip(may_hold).filter(|(_, may)| *may);
            found.extend(blocks.map(|(b, _)| b.raw_start..b.raw_end()));
        }
        Ok(found)
    }
}
