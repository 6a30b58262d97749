//! The Burrows-Wheeler transform and its inverse.
//!
//! The suffixes of a block, and the empty one, are sorted; a suffix that is the beginning of another comes first. The
//! transform is the byte in front of each, in this order, without the place of the whole block, in front of which there is
//! none (Burrows and Wheeler, "A block-sorting lossless data compression algorithm", 1994).

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};

/// The longest block in bytes: rows take 24 bits. (They count from 1 to the block's length; the highest is stored as 0.)
pub const LONGEST: usize = 1 << ROW_BITS;
const ROW_BITS: u32 = 24;
const ROW_MASK: u32 = (1 << ROW_BITS) - 1;
/// Blocks of so many bytes and more are restored from several places side by side, and from so many places at most.
const LONG: [(usize, usize); 2] = [(4096, 8), (4 << 20, 32)];
/// Further room that sorting makes use of, in numbers.
const EXTRA: usize = 6 * 256;

/// Bytes between the places from which a block of `len` bytes is restored: a power of two, or all of it.
pub fn part_len(len: usize) -> usize {
    let parts = LONG.iter().rfind(|(least, _)| len >= *least);
    parts.map_or(len, |(_, parts)| len.div_ceil(*parts).next_power_of_two())
}

/// A block that has been sorted.
pub struct Sorted {
    pub bytes: Vec<u8>,
    /// The rank, from 1 on, of the suffix at the start of each part.
    pub starts: Vec<u32>,
}

fn memory(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::LimitExceeded, format!("no memory to sort a block: {e}"))
}

/// Sorts a block of 1..=[`LONGEST`] bytes.
///
/// # Errors
///
/// `LimitExceeded` where memory is missing.
pub fn sort(raw: &[u8]) -> Result<Sorted> {
    let (mut bytes, mut suffixes): (Vec<u8>, Vec<i32>) = (Vec::new(), Vec::new());
    bytes.try_reserve_exact(raw.len()).map_err(memory)?;
    bytes.resize(raw.len(), 0);
    suffixes.try_reserve_exact(raw.len() + EXTRA).map_err(memory)?;
    suffixes.resize(raw.len() + EXTRA, 0);
    let len = part_len(raw.len());
    let mut starts = vec![0; raw.len().div_ceil(len)];
    let extra = EXTRA as i32;
    let result = match &mut starts[..] {
        [start] => {
            *start = libsais_rs::libsais_bwt(raw, &mut bytes, &mut suffixes, extra, None);
            (*start).min(0)
        }
        starts => {
            libsais_rs::libsais_bwt_aux(raw, &mut bytes, &mut suffixes, extra, None, len as i32, starts)
        }
    };
    if result < 0 {
        return Err(memory(format!("code {result}")));
    }
    Ok(Sorted { bytes, starts: starts.into_iter().map(|s| s as u32).collect() })
}

/// Restores a block. Whatever the starts are, this takes one step for each byte.
///
/// # Errors
///
/// `Corrupt` where a start is not in 1..=the block's length, or they are too many or too few; `LimitExceeded` where memory
/// is missing.
pub fn restore(sorted: &[u8], starts: &[u32]) -> Result<Vec<u8>> {
    let n = sorted.len();
    let part = part_len(n);
    if n > LONGEST || starts.len() != n.div_ceil(part.max(1)) {
        return Err(Error::corrupt("a sort block with another number of starts"));
    }
    if starts.iter().any(|s| !(1..=n).contains(&(*s as usize))) {
        return Err(Error::corrupt("a start of a sort block is outside of it"));
    }
    let mut steps: Vec<u32> = Vec::new();
    steps.try_reserve_exact(n + 1).map_err(memory)?;
    steps.resize(n + 1, 0);
    let mut raw: Vec<u8> = Vec::new();
    raw.try_reserve_exact(n).map_err(memory)?;
    raw.resize(n, 0);

    // The row of each suffix's successor, and the suffix's first byte below it.
    let mut next = [0usize; 256];
    sorted.iter().for_each(|&b| next[usize::from(b)] += 1);
    let mut sum = 1;
    for entry in &mut next {
        sum += std::mem::replace(entry, sum);
    }
    // The whole block has no byte in front of it: rows behind its own are one further.
    let (before, behind) = sorted.split_at(starts.first().map_or(0, |&s| s as usize));
    let mut place = |row: usize, byte: u8| {
        let at = &mut next[usize::from(byte)];
        steps[*at & ROW_MASK as usize] = (row as u32 & ROW_MASK) << 8 | u32::from(byte);
        *at += 1;
    };
    before.iter().enumerate().for_each(|(i, &b)| place(i, b));
    behind.iter().enumerate().for_each(|(i, &b)| place(before.len() + 1 + i, b));

    // Parts are independent chains of steps, each of which waits for memory: their waits overlap.
    let mut rows: Vec<u32> = starts.iter().map(|s| s & ROW_MASK).collect();
    let (all, last) = (rows.len(), n - (rows.len().max(1) - 1) * part);
    let mut follow = |rows: &mut [u32], range: Range<usize>| {
        for i in range {
            for (k, row) in rows.iter_mut().enumerate() {
                let step = steps[*row as usize];
                raw[k * part + i] = step as u8;
                *row = step >> 8;
            }
        }
    };
    follow(&mut rows, 0..last);
    follow(&mut rows[..all.saturating_sub(1)], last..part);
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_word_of_the_specification() {
        let sorted = sort(b"banana").unwrap();
        assert_eq!((&sorted.bytes[..], &sorted.starts[..]), (&b"annbaa"[..], &[4][..]));
    }

    #[test]
    fn long_blocks_have_parts() {
        for len in [4095, 4096, 4097, 5000, 8192, 40_000] {
            let raw: Vec<u8> = (0..len).map(|i: usize| (i * i / 7) as u8 & 15).collect();
            let sorted = sort(&raw).unwrap();
            assert_eq!(sorted.starts.len(), len.div_ceil(part_len(len)));
            assert!(restore(&sorted.bytes, &sorted.starts).unwrap() == raw);
        }
    }

    proptest! {
        #[test]
        fn restores(raw in prop::collection::vec(0u8..4, 1..5000)) {
            let sorted = sort(&raw).unwrap();
            prop_assert!(restore(&sorted.bytes, &sorted.starts).unwrap() == raw);
        }

        #[test]
        fn any_start_ends(raw in prop::collection::vec(any::<u8>(), 4096..5000), starts: [u16; 8]) {
            let starts: Vec<u32> = starts.iter().take(raw.len().div_ceil(part_len(raw.len()))).map(|&s| s.into()).collect();
            if let Ok(restored) = restore(&raw, &starts) {
                prop_assert_eq!(restored.len(), raw.len());
            }
        }
    }
}
