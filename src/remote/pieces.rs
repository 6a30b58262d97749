//! The parts of a remote file that are in memory.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges with fewer bytes between them share a request: fetching these bytes costs less than another request.
const NEAR: u64 = 16 << 10;

/// Parts of a file by their offsets. They do not overlap.
#[derive(Debug, Default)]
pub(super) struct Pieces(BTreeMap<u64, Bytes>);

impl Pieces {
    /// The bytes from `offset` on, up to the end of the piece that holds them; none where no piece does.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let before = self.0.range(..=offset).next_back();
        before.and_then(|(start, bytes)| bytes.get((offset - start) as usize..)).unwrap_or_default()
    }

    /// Adds a piece. Of those that it overlaps, what it does not hold stays.
    pub(super) fn add(&mut self, start: u64, bytes: Bytes) {
        let end = start + bytes.len() as u64;
        let overlapped: Vec<u64> = self
            .0
            .range(..end)
            .rev()
            .map_while(|(&at, b)| (at + b.len() as u64 > start).then_some(at))
            .collect();
        for at in overlapped {
            let Some(mut old) = self.0.remove(&at) else { continue };
            if at + old.len() as u64 > end {
                self.0.insert(end, old.split_off((end - at) as usize));
            }
            if at < start {
                old.truncate((start - at) as usize);
                self.0.insert(at, old);
            }
        }
        self.0.insert(start, bytes);
    }

    /// Forgets pieces that touch none of the ranges.
    pub(super) fn keep(&mut self, wanted: &[Range<u64>]) {
        self.0.retain(|&start, bytes| {
            let end = start + bytes.len() as u64;
            wanted.iter().any(|r| r.start < end && start < r.end)
        });
    }

    /// The parts of the ranges that no piece holds, in order of their offsets and without overlaps.
    pub(super) fn missing(&self, wanted: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut wanted = wanted.to_vec();
        wanted.sort_by_key(|r| r.start);
        let (mut missing, mut done) = (Vec::new(), 0);
        for range in wanted {
            let mut at = range.start.max(done);
            while at < range.end {
                let held = self.from(at).len() as u64;
                if held > 0 {
                    at += held;
                    continue;
                }
                let next = self.0.range(at..).next().map_or(range.end, |(&start, _)| start.min(range.end));
                missing.push(at..next);
                at = next;
            }
            done = done.max(range.end);
        }
        missing
    }
}

/// The requests for ranges, which are sorted and do not overlap: near ones together, and each of at most `most`
/// bytes.
pub(super) fn requests(missing: &[Range<u64>], most: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in missing {
        match joined.last_mut() {
            Some(last) if range.start - last.end < NEAR => last.end = range.end,
            _ => joined.push(range.clone()),
        }
    }
    let parts = |r: Range<u64>| {
        let count = (r.end - r.start).div_ceil(most);
        (0..count).map(move |i| r.start + i * most..r.end.min(r.start + (i + 1) * most))
    };
    joined.into_iter().flat_map(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let mut pieces = Pieces::default();
        pieces.add(100, Bytes::from(vec![1; 50]));
        pieces.add(200, Bytes::from(vec![2; 50]));
        assert_eq!(pieces.missing(&[90..260, 0..10, 95..120]), [0..10, 90..100, 150..200, 250..260]);
        assert_eq!(pieces.missing(std::slice::from_ref(&(110..140))), []);
        assert_eq!(pieces.from(120).len(), 30);
        assert_eq!(pieces.from(150).len(), 0);
        pieces.keep(std::slice::from_ref(&(149..150)));
        assert_eq!((pieces.from(100).len(), pieces.from(200).len()), (50, 0));
    }

    #[test]
    fn pieces_that_overlap_are_cut() {
        let mut pieces = Pieces::default();
        pieces.add(100, Bytes::from(vec![1; 50]));
        pieces.add(200, Bytes::from(vec![2; 50]));
        // A request for what is missing on both sides of a piece brings the piece once more.
        pieces.add(90, Bytes::from(vec![3; 130]));
        assert_eq!(pieces.missing(std::slice::from_ref(&(90..250))), []);
        assert_eq!(
            (pieces.from(120), pieces.from(215), pieces.from(220)),
            (&[3; 100][..], &[3; 5][..], &[2; 30][..])
        );
        pieces.add(110, Bytes::from(vec![4; 10]));
        assert_eq!(
            (pieces.from(90), pieces.from(110), pieces.from(120)),
            (&[3; 20][..], &[4; 10][..], &[3; 100][..])
        );
    }

    #[test]
    fn near_ranges_share_a_request_and_long_ones_are_cut() {
        let far = NEAR + 20;
        assert_eq!(requests(&[0..10, 20..30, far + 10..far + 40], 1 << 20), [0..30, far + 10..far + 40]);
        assert_eq!(requests(std::slice::from_ref(&(5..25)), 8), [5..13, 13..21, 21..25]);
    }
}
