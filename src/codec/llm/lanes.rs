//! Decoding in lanes: windows or blocks that step through the network together, one token of each per step.

use crate::error::{Error, Result};
use crate::model::llm::{Column, MAX_COLUMNS, Model, Session};
use rayon::prelude::*;
use std::sync::Mutex;

/// The content of a lane: a window that stands alone, or a chained block.
pub(super) trait Lane {
    /// Decodes escaped bytes and then one token, using a column of the last step; `None` where the lane is
    /// complete.
    ///
    /// # Errors
    /// `Corrupt` where the payload is not one that an encoder writes.
    fn token(&mut self, model: &Model, session: &mut Session<'_>, column: usize) -> Result<Option<u32>>;

    /// The tokens that follow the start token where the network starts anew because its context is full.
    ///
    /// `Corrupt` where encoders never fill the context.
    fn entering_again(&self, model: &Model) -> Result<Vec<u32>>;
}

/// Bounds of decoding in lanes. No result depends on them.
pub(super) struct Limits {
    /// The most lanes of a thread.
    pub lanes: usize,
    /// The memory in bytes that all lanes may take together.
    pub memory: usize,
    /// The memory in bytes that a lane takes in addition to the keys and values of its tokens.
    pub own: usize,
}

/// Decodes all jobs, none of which may be empty: `raw_len` returns the raw bytes of a job, and `open` makes
/// it a lane. Lanes are shared out among rayon's threads; the result depends neither on how many there are
/// nor on `limits`.
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
    // Jobs are popped off the end, so the longest start first and no thread is left alone with one of them.
    jobs.sort_by_key(&raw_len);
    let Some(longest) = jobs.last().map(raw_len) else { return Ok(()) };
    // A token has at least one byte, and the last one is not stepped.
    let tokens = longest.min(model.shape().context);
    // The memory of a thread itself, and of each of its lanes.
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

/// Steps up to `count` lanes together; a lane that ends makes room for the next job.
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
    // There are exactly as many windows as lanes: where one is removed, the last takes its place in both
    // lists.
    let mut session = Session::new(model, lanes.len(), tokens)?;
    let (start, context) = (model.shape().start, model.shape().context);
    let mut columns: Vec<Column> = (0..lanes.len()).map(|lane| Column { lane, token: start }).collect();
    while !lanes.is_empty() {
        session.step(&columns);
        // From the last to the first: a lane that moves into a removed lane's place has already used its
        // column.
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
        // Only after all columns have been used: entering again steps the network, which overwrites them.
        for (i, lane) in lanes.iter().enumerate() {
            columns[i].lane = i;
            if session.len(i) == context {
                restart(&mut session, i, start, &lane.entering_again(model)?);
            }
        }
    }
    Ok(())
}

/// Empties a lane's window of the network and steps the start token and `tokens` through it.
pub(super) fn restart(session: &mut Session<'_>, lane: usize, start: u32, tokens: &[u32]) {
    session.reset(lane);
    let columns: Vec<Column> = [start].iter().chain(tokens).map(|&token| Column { lane, token }).collect();
    columns.chunks(MAX_COLUMNS).for_each(|columns| session.feed(columns));
}
