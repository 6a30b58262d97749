//! Pieces of raw bytes that were decoded not long ago, of all files together.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Decoded pieces, of which the oldest are forgotten.
pub struct Cache {
    most: u64,
    state: Mutex<State>,
    /// A piece is there, or will not be.
    changed: Condvar,
}

/// Raw bytes of a source.
#[derive(Debug)]
pub struct Piece {
    /// The offset of the first one.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// The pieces of each source by their starts, with the time of their last use.
    pieces: HashMap<usize, BTreeMap<u64, (u64, Arc<Piece>)>>,
    /// The pieces by the time of their last use.
    uses: BTreeMap<u64, (usize, u64)>,
    /// The bytes of all pieces.
    held: u64,
    now: u64,
    /// The ranges that are being decoded.
    busy: Vec<(usize, Range<u64>)>,
}

/// The right to decode a piece, while others who want it wait.
pub struct Claim<'a> {
    cache: &'a Cache,
    source: usize,
    range: Range<u64>,
}

impl Piece {
    /// The bytes of the piece that lie in a range.
    pub fn part(&self, range: &Range<u64>) -> &[u8] {
        let end = self.start + self.bytes.len() as u64;
        let inside = |at: u64| (at.clamp(self.start, end) - self.start) as usize;
        &self.bytes[inside(range.start)..inside(range.end)]
    }
}

impl Cache {
    /// A cache of at most this many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The most bytes that it holds.
    pub fn most(&self) -> u64 {
        self.most
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The piece that holds a byte, if it is there.
    pub fn get(&self, source: usize, at: u64) -> Option<Arc<Piece>> {
        self.lock().get(source, at)
    }

    /// Waits as long as a part of a range is being decoded by another, and gives the piece that holds its first byte if
    /// it is there then.
    pub fn wait(&self, source: usize, range: &Range<u64>) -> Option<Arc<Piece>> {
        let mut state = self.lock();
        while state.is_busy(source, range) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.get(source, range.start)
    }

    /// The right to decode a range; `None` where a part of it is being decoded, or its first byte is there.
    pub fn claim(&self, source: usize, range: Range<u64>) -> Option<Claim<'_>> {
        let mut state = self.lock();
        if state.is_busy(source, &range) || state.get(source, range.start).is_some() {
            return None;
        }
        state.busy.push((source, range.clone()));
        Some(Claim { cache: self, source, range })
    }
}

impl Claim<'_> {
    /// Keeps what was decoded, unless it is larger than the whole cache.
    pub fn fulfil(self, bytes: Vec<u8>) -> Arc<Piece> {
        let piece = Arc::new(Piece { start: self.range.start, bytes });
        self.cache.lock().add(self.source, piece.clone(), self.cache.most);
        piece
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.cache.lock().busy.retain(|(of, range)| (*of, range) != (self.source, &self.range));
        self.cache.changed.notify_all();
    }
}

impl State {
    fn is_busy(&self, source: usize, range: &Range<u64>) -> bool {
        let overlaps = |busy: &Range<u64>| busy.start < range.end && range.start < busy.end;
        self.busy.iter().any(|(of, busy)| *of == source && overlaps(busy))
    }

    fn get(&mut self, source: usize, at: u64) -> Option<Arc<Piece>> {
        let (start, (used, piece)) = self.pieces.get_mut(&source)?.range_mut(..=at).next_back()?;
        if at >= piece.start + piece.bytes.len() as u64 {
            return None;
        }
        self.now += 1;
        self.uses.remove(used);
        self.uses.insert(self.now, (source, *start));
        *used = self.now;
        Some(piece.clone())
    }

    fn add(&mut self, source: usize, piece: Arc<Piece>, most: u64) {
        let len = piece.bytes.len() as u64;
        if len > most {
            return;
        }
        self.remove(source, piece.start);
        while self.held + len > most
            && let Some((_, (of, start))) = self.uses.pop_first()
        {
            self.remove(of, start);
        }
        self.now += 1;
        self.held += len;
        self.uses.insert(self.now, (source, piece.start));
        self.pieces.entry(source).or_default().insert(piece.start, (self.now, piece));
    }

    fn remove(&mut self, source: usize, start: u64) {
        let Some(pieces) = self.pieces.get_mut(&source) else { return };
        if let Some((used, piece)) = pieces.remove(&start) {
            self.uses.remove(&used);
            self.held -= piece.bytes.len() as u64;
        }
        if pieces.is_empty() {
            self.pieces.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(cache: &Cache, source: usize, range: Range<u64>) {
        let bytes = vec![source as u8; (range.end - range.start) as usize];
        cache.claim(source, range).unwrap().fulfil(bytes);
    }

    #[test]
    fn the_pieces_used_last_stay() {
        let cache = Cache::new(100);
        add(&cache, 1, 0..40);
        add(&cache, 2, 0..40);
        assert!(cache.get(1, 39).is_some() && cache.get(1, 40).is_none() && cache.get(3, 0).is_none());
        add(&cache, 3, 10..50);
        assert!(cache.get(2, 0).is_none(), "the oldest is forgotten");
        assert_eq!(cache.get(3, 20).unwrap().part(&(15..60)), [3; 35]);
        assert!(cache.get(1, 0).is_some() && cache.lock().held == 80);
        add(&cache, 4, 0..1000);
        assert!(cache.get(4, 0).is_none() && cache.lock().held == 80, "more than fits is not kept");
        assert_eq!(cache.lock().uses.len(), 2);
    }

    #[test]
    fn a_piece_is_decoded_once() {
        let cache = Cache::new(100);
        let claim = cache.claim(1, 0..40).unwrap();
        assert!(cache.claim(1, 39..50).is_none() && cache.claim(2, 0..40).is_some());
        let piece = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cache.wait(1, &(5..6)));
            claim.fulfil(vec![7; 40]);
            waiting.join().unwrap()
        });
        assert_eq!(piece.unwrap().bytes, [7; 40]);
        assert!(cache.claim(1, 0..40).is_none());
        // One who fails leaves nothing behind.
        drop(cache.claim(1, 50..60).unwrap());
        assert!(cache.wait(1, &(55..56)).is_none() && cache.claim(1, 50..60).is_some());
    }
}
