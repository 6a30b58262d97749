//! The search section of a stream: which words its blocks may hold (`formats/search.md`).

use super::consts::KIND_SEARCH;
use super::cursor::{Cursor, Parsed};
use super::{section, varint};
use crate::error::{Error, Result};
use twox_hash::XxHash3_64;

/// The tag of the index record that says that a stream has a search section.
pub const TAG: u64 = 4;
/// The most bytes that the index takes for a search section.
pub const AROUND: u64 = 32;
/// The bytes of a block's filter that are left for what stands around it.
pub const SPARED: u64 = 16;
/// The shortest word that filters know, in bytes.
pub const SHORTEST: usize = 3;
/// The longest word that filters know, in bytes.
pub const LONGEST: usize = 64;
/// The most bits that a filter sets for a word.
const MOST_BITS: u64 = 8;
/// The most bits of a filter for each word: about one other word in 300 then seems to be there.
const WANTED: u64 = 12;
/// The fewest bits of a filter for each word; with fewer it would be of no use.
const LEAST: u64 = 3;

/// The hash of a word, whatever its case.
pub fn hash(word: &[u8]) -> u64 {
    XxHash3_64::oneshot(&word.to_ascii_lowercase())
}

/// The bits of a filter of `bytes` bytes that stand for a word.
fn bits(hash: u64, count: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    let all = 8 * bytes as u64;
    (0..count as u32)
        .map(move |i| ((u64::from(first.wrapping_add(i.wrapping_mul(step))) * all) >> 32) as usize)
}

/// The words of a block, as a set of bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The number of bits that are set for a word; 0 for a filter that is not there.
    count: u8,
    bytes: Vec<u8>,
}

impl Filter {
    /// A filter of these words, given by their hashes, of at most `most` bytes. It is empty, and says that every
    /// word may be there, where that is too little.
    pub fn new(hashes: &[u64], most: u64) -> Self {
        let words = (hashes.len() as u64).max(1);
        let len = (words * WANTED).div_ceil(8).min(most);
        if 8 * len < words * LEAST {
            return Self::default();
        }
        let count = (8 * len * 69 / (100 * words)).clamp(1, MOST_BITS);
        let mut bytes = vec![0; len as usize];
        for hash in hashes {
            bits(*hash, count, bytes.len()).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
        }
        Self { count: count as u8, bytes }
    }

    /// Whether the block may hold the word with this hash.
    fn may_hold(count: u8, bytes: &[u8], hash: u64) -> bool {
        bits(hash, count.into(), bytes.len()).all(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1)
    }
}

/// The place of the search section, from the record of the index: its offset in the stream, and its length.
pub fn place(record: &[u8]) -> Option<(u64, u64)> {
    let mut c = Cursor::new(record);
    let (offset, len) = (c.varint("offset").ok()?, c.varint("length").ok()?);
    c.rest().is_empty().then_some((offset, len))
}

/// Appends the search section of a stream with one filter for each block.
pub fn put(out: &mut Vec<u8>, filters: &[Filter]) {
    let mut body = Vec::new();
    varint::put(&mut body, filters.len() as u64);
    for filter in filters {
        varint::put(&mut body, filter.bytes.len() as u64);
        if !filter.bytes.is_empty() {
            body.push(filter.count);
        }
    }
    filters.iter().for_each(|f| body.extend_from_slice(&f.bytes));
    section::put(out, KIND_SEARCH, &body);
}

/// Finds the blocks, of the `blocks` of a stream, that may hold a word, from the whole search section.
///
/// # Errors
///
/// `Corrupt` where the section breaks a rule.
pub fn blocks_with(bytes: &[u8], blocks: usize, hash: u64) -> Result<Vec<bool>> {
    if bytes.first() != Some(&KIND_SEARCH) {
        return Err(Error::corrupt("the index points to something that is not a search section"));
    }
    let body = section::body(bytes).map_err(|e| e.at_end("the search section"))?;
    read(body, blocks, hash).map_err(|e| e.at_end("the search section"))
}

fn read(body: &[u8], blocks: usize, hash: u64) -> Parsed<Vec<bool>> {
    let bad = |what: String| Error::corrupt(format!("search section: {what}"));
    let mut c = Cursor::new(body);
    let count = c.varint("number of filters")?;
    if count != blocks as u64 {
        return Err(bad(format!("{count} filters for {blocks} blocks")).into());
    }
    let mut heads = Cursor::new(c.rest());
    let mut sizes = Vec::new();
    for _ in 0..blocks {
        let len = heads.varint("length of a filter")?;
        let count = if len == 0 { 0 } else { heads.u8()? };
        if len > 0 && !(1..=MOST_BITS).contains(&count.into()) {
            return Err(bad(format!("{count} bits for a word")).into());
        }
        sizes.push((len, count));
    }
    let mut rest = heads.rest();
    let mut found = Vec::with_capacity(sizes.len());
    for (len, count) in sizes {
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len());
        let (filter, after) = rest.split_at(len.ok_or_else(|| bad("the filters are too long".into()))?);
        found.push(filter.is_empty() || Filter::may_hold(count, filter, hash));
        rest = after;
    }
    if !rest.is_empty() {
        return Err(bad(format!("{} bytes follow the filters", rest.len())).into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(from: u32, to: u32) -> Vec<u64> {
        (from..to).map(|i| hash(format!("word{i}").as_bytes())).collect()
    }

    #[test]
    fn no_word_is_missed_and_few_others_are_found() {
        let filters = [
            Filter::new(&words(0, 500), 1 << 20),
            Filter::new(&words(500, 900), 500),
            Filter::new(&words(0, 900), 99),
        ];
        assert!(filters[2].bytes.is_empty());
        let mut section = Vec::new();
        put(&mut section, &filters);
        let holds = |word| blocks_with(&section, 3, word).unwrap();
        assert!(words(0, 500).iter().all(|w| holds(*w)[0]) && words(500, 900).iter().all(|w| holds(*w)[1]));
        assert!(words(0, 2000).iter().all(|w| holds(*w)[2]));
        let wrong = |i: usize| words(10_000, 12_000).iter().filter(|w| holds(**w)[i]).count();
        assert!(wrong(0) < 30 && wrong(1) < 60, "{} {}", wrong(0), wrong(1));
        assert_eq!(hash(b"Word7"), words(7, 8)[0]);
    }

    #[test]
    fn damage_is_found() {
        let mut section = Vec::new();
        put(&mut section, &[Filter::new(&words(0, 9), 100), Filter::default()]);
        assert!(blocks_with(&section, 1, 5).is_err());
        for at in 0..section.len() {
            let mut damaged = section.clone();
            damaged[at] ^= 1;
            assert!(blocks_with(&damaged, 2, 5).is_err(), "byte {at}");
            assert!(blocks_with(&section[..at], 2, 5).is_err());
        }
        for body in [&[2, 1, 0, 0, 9][..], &[2, 1, 9, 0, 9], &[2, 2, 1, 0, 9], &[2, 0, 0, 9], &[2]] {
            let mut section = Vec::new();
            super::section::put(&mut section, KIND_SEARCH, body);
            assert!(blocks_with(&section, 2, 5).is_err(), "{body:?}");
        }
    }
}
