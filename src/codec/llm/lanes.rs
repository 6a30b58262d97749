//! Decoding in lanes: windows or blocks that step through the network together, one token of each at a time.

use crate::error::{Error, Result};
use crate::model::llm::{Column, MAX_COLUMNS, Model, Session};
use rayon::prelude::*;
use std::sync::Mutex;

/// The content of a lane: a window that stands alone, or a chained block.
pub(super) trait Lane {
    /// Decodes escaped bytes and one token from a column of the last step; `None` where the lane is complete.
    ///
    /// # Errors
    /// `Corrupt` where the payload is not one that an encoder writes.
    fn token(&mut self, model: &Model, session: &mut Session<'_>, column: usize) -> Result<Option<u32>>;

    /// The tokens that follow the start token where the network starts anew because its context is full.
    ///
    /// # Errors
    /// `Corrupt` where no encoder fills the context.
    fn entering_again(&self, model: &Model) -> Result<Vec<u32>>;
}

/// Bounds of decoding in lanes. No result depends on them.
pub(super) struct Limits {
    /// Most lanes of a thread.
    pub lanes: usize,
    /// Bytes that all lanes may take together.
    pub memory: usize,
    /// Bytes that a lane takes beside the keys and values of its tokens.
    pub own: usize,
}

/// Decodes all jobs, none of which is empty: `raw_len` tells how many raw bytes one has, `open` makes a lane
/// of it. Lanes are shared out to the threads of rayon; the result depends neither on how many there are nor
/// on `limits`.
///
/// # Errors
/// Those of the lanes and of `open`; `LimitExceeded` where memory is missing.
pub(super) fn decode<J: Send, L: Lane>(
    model: &Model,
    mut jobs: Vec<J>,
    limits: &Limits,
    raw_len: impl Fn(&J) -> usize,
    open: impl Fn(J) -> Result<L> + Sync,
) -> Result<()> {
    // The longest come first off the end, so that no thread is left alone with one of them.
    jobs.sort_by_key(&raw_len);
    let Some(longest) = jobs.last().map(raw_len) else { return Ok(()) };
    // A token has a byte at least, and the last one is not stepped.
    let tokens = longest.min(model.shape().context);
    // What a thread takes for itself, and for each of its lanes.
    let (fixed, lane) = (Session::fixed_bytes(model), (model.cache_bytes(tokens) + limits.own).max(1));
    if fixed + lane > limits.memory {
        let (need, memory) = (fixed + lane, limits.memory);
        return Err(Error::limit(format!("llm: states of {need} bytes; the memory cap leaves {memory}")));
    }
    let threads = rayon::current_num_threads().min(jobs.len()).min(limits.memory / (fixed + lane));
    let by_memory = (limits.memory / threads - fixed) / lane;
    let count = jobs.len().div_ceil(threads).min(limits.lanes).min(by_memory).clamp(1, MAX_COLUMNS);
    let queue = Mutex::new(jobs);
    let next = || {
        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).pop();
        job.map(&open).transpose()
    };
    (0..threads).into_par_iter().try_for_each(|_| run(model, count, tokens, next))
}

/// Steps up to `count` lanes together; one that ends makes room for the next.
fn run<L: Lane>(
    model: &Model,
    count: usize,
    tokens: usize,
    next: impl Fn() -> Result<Option<L>>,
) -> Result<()> {
    let mut lanes = Vec::new();
    while lanes.len() < count
        && let Some(lane) = next()?
    {
        lanes.push(lane);
    }
    // Exactly as many windows as lanes: where one is removed, the last takes its place in both.
    let mut session = Session::new(model, lanes.len(), tokens)?;
    let (start, context) = (model.shape().start, model.shape().context);
    let mut columns: Vec<Column> = (0..lanes.len()).map(|lane| Column { lane, token: start }).collect();
    while !lanes.is_empty() {
        session.step(&columns);
        // From the last to the first: a lane that takes a removed one's place has used its column already.
        for i in (0..lanes.len()).rev() {
            columns[i].token = match lanes[i].token(model, &mut session, i)? {
                Some(token) => token,
                None => match next()? {
                    Some(lane) => {
                        session.reset(i);
                        lanes[i] = lane;
                        start
                    }
                    None => {
                        lanes.swap_remove(i);
                        session.swap_remove(i);
                        columns.swap_remove(i);
                        continue;
                    }
                },
            };
        }
        // Only when all columns have been used: entering again steps the network, which overwrites them.
        for (i, lane) in lanes.iter().enumerate() {
            columns[i].lane = i;
            if session.len(i) == context {
                restart(&mut session, i, start, &lane.entering_again(model)?);
            }
        }
    }
    Ok(())
}

/// Starts a window of the network anew with the start token and `tokens`.
pub(super) fn restart(session: &mut Session<'_>, lane: usize, start: u32, tokens: &[u32]) {
    session.reset(lane);
    let columns: Vec<Column> = [start].iter().chain(tokens).map(|&token| Column { lane, token }).collect();
    columns.chunks(MAX_COLUMNS).for_each(|columns| session.feed(columns));
}
