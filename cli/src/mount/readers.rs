//! Opened sources, and the memory that they share.

use super::sources::Source;
use crate::content::Content;
use nzip::DecodeOptions;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Readers of all sources. Together they take no more memory than they were given: each has an equal share, or one has
/// all of it.
pub struct Readers {
    options: DecodeOptions,
    memory: u64,
    shares: usize,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// Shares that nobody has.
    free: usize,
    /// Opened sources that nobody reads, the one used last at the end.
    idle: Vec<Opened>,
    /// Those who wait for all shares.
    waiting: usize,
}

/// An opened source.
struct Opened {
    source: usize,
    shares: usize,
    content: Content,
}

/// Shares of the memory that somebody has, with a source that was opened with them.
struct Share<'a> {
    readers: &'a Readers,
    shares: usize,
    opened: Option<Opened>,
}

impl Readers {
    /// Readers that decode with these options and take `memory` bytes together, `shares` at a time.
    pub fn new(options: DecodeOptions, memory: u64, shares: usize) -> Self {
        let state = State { free: shares, idle: Vec::new(), waiting: 0 };
        Self { options, memory, shares, state: Mutex::new(state), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads something of a source with a share of the memory, or with all of it. Waits until so much is free.
    ///
    /// # Errors
    ///
    /// Those of [`Source::open`] and of `read`.
    pub fn with<T>(
        &self,
        number: usize,
        source: &Source,
        all: bool,
        read: impl FnOnce(&mut Content) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut share = self.reserve(number, if all { self.shares } else { 1 });
        let mut opened = match share.opened.take() {
            Some(opened) => opened,
            None => {
                let memory = self.memory / self.shares as u64 * share.shares as u64;
                let content = source.open(&self.options.clone().memory(memory))?;
                Opened { source: number, shares: share.shares, content }
            }
        };
        let result = read(&mut opened.content);
        share.opened = Some(opened);
        result
    }

    /// Waits for shares. Gives an idle reader of the source that has at least as many, or none where one is to be opened.
    fn reserve(&self, source: usize, shares: usize) -> Share<'_> {
        let mut state = self.lock();
        // Whoever wants all goes first, or might wait for ever.
        let first = shares > 1;
        state.waiting += usize::from(first);
        loop {
            if (first || state.waiting == 0)
                && let Some((shares, opened)) = state.give(source, shares)
            {
                state.waiting -= usize::from(first);
                return Share { readers: self, shares, opened };
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Shares, and the reader that has them where it is one of the source; none where others have too many.
    fn give(&mut self, source: usize, shares: usize) -> Option<(usize, Option<Opened>)> {
        if let Some(i) = self.idle.iter().rposition(|o| o.source == source && o.shares >= shares) {
            let opened = self.idle.remove(i);
            return Some((opened.shares, Some(opened)));
        }
        let idle: usize = self.idle.iter().map(|o| o.shares).sum();
        if self.free + idle < shares {
            return None;
        }
        while self.free < shares {
            self.free += self.idle.remove(0).shares;
        }
        self.free -= shares;
        Some((shares, None))
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        match self.opened.take() {
            Some(opened) => state.idle.push(opened),
            None => state.free += self.shares,
        }
        drop(state);
        self.readers.returned.notify_all();
    }
}
