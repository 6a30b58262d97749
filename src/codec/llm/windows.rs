//! Blocks whose windows start anew: each decodes alone.

use super::{CACHE_BYTES, check_limits, coded, given, put, symbol_len};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits, max_window_raw};
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::{Error, Result};
use crate::model::llm::{Adaptive, Column, Distribution, Encode, MAX_COLUMNS, Model, Session, powers};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// Most bytes that one more symbol can add to a payload: three decisions of 14 bits, two symbols of 24, and the
/// rounding to whole words.
const SYMBOL_MAX: usize = 24;
/// A block while it is encoded.
struct Progress {
    symbols: Vec<u32>,
    /// Symbols that windows hold already.
    done: usize,
    windows: Vec<EncodedWindow>,
}

/// Cuts every block into windows and codes them. All windows run in parallel, as if none overflowed its
/// payload; where one does, what follows it is cut anew. The bytes do not depend on how many threads there are.
///
/// # Errors
/// `BadArgument` for limits that cannot hold one symbol; `LimitExceeded` where memory is missing.
pub fn encode_blocks(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Result<Vec<Vec<EncodedWindow>>> {
    check_limits(limits)?;
    let limits = WindowLimits { raw: limits.raw.min(max_window_raw(limits.payload)), ..limits };
    let encode =
        |block: &&[u8]| Progress { symbols: model.tokenizer().encode(block), done: 0, windows: Vec::new() };
    let mut blocks: Vec<Progress> = blocks.par_iter().map(encode).collect();
    let sessions = Mutex::new(Vec::new());
    given(blocks.iter().map(|p| p.symbols.iter().map(|&s| symbol_len(model, s)).sum::<usize>()).sum());
    loop {
        let cut = |(b, p): (usize, &Progress)| {
            plan(model, &p.symbols, p.done, limits.raw).into_iter().map(move |w| (b, w))
        };
        let jobs: Vec<(usize, Range<usize>)> = blocks.iter().enumerate().flat_map(cut).collect();
        if jobs.is_empty() {
            return Ok(blocks.into_iter().map(|p| p.windows).collect());
        }
        let run = |(b, window): &(usize, Range<usize>)| -> Result<_> {
            let spare = sessions.lock().unwrap_or_else(|e| e.into_inner()).pop();
            let mut session = match spare {
                Some(session) => session,
                None => Session::new(model, 1, model.shape().context)?,
            };
            let coded =
                encode_window(model, &mut session, &blocks[*b].symbols[window.clone()], limits.payload);
            sessions.lock().unwrap_or_else(|e| e.into_inner()).push(session);
            coded
        };
        let coded = jobs.par_iter().map(run).collect::<Result<Vec<_>>>()?;
        for ((b, window), (count, coded)) in jobs.into_iter().zip(coded) {
            // Behind a window that overflowed the plan is void.
            if window.start == blocks[b].done {
                blocks[b].done += count;
                blocks[b].windows.push(coded);
            }
        }
    }
}

/// Where windows would end if none overflowed its payload.
fn plan(model: &Model, symbols: &[u32], mut start: usize, most_raw: usize) -> Vec<Range<usize>> {
    let (vocab, context) = (model.shape().vocab as u32, model.shape().context);
    let mut windows = Vec::new();
    while start < symbols.len() {
        let (mut end, mut tokens, mut raw) = (start, 0, 0);
        while end < symbols.len() && tokens < context {
            let len = symbol_len(model, symbols[end]);
            if raw + len > most_raw {
                break;
            }
            raw += len;
            tokens += usize::from(symbols[end] < vocab);
            end += 1;
        }
        windows.push(start..end);
        start = end;
    }
    windows
}

/// Codes as many of the symbols as fit `capacity` bytes of payload; returns how many.
fn encode_window(
    model: &Model,
    session: &mut Session<'_>,
    symbols: &[u32],
    capacity: usize,
) -> Result<(usize, EncodedWindow)> {
    session.reset(0);
    let vocab = model.shape().vocab as u32;
    let tokens = symbols.iter().copied().filter(|&s| s < vocab);
    let inputs: Vec<u32> = [model.shape().start].into_iter().chain(tokens).collect();
    let (mut adaptive, mut coder) = (Adaptive::default(), BitEncoder::default());
    let mut blocks = Vec::new();
    // Columns start..end are at hand; the next symbol follows column `at`.
    let (mut start, mut end, mut at, mut raw_len) = (0, 0, 0, 0);
    let mut columns = Vec::new();
    // A pass that runs over a window's end is wasted, so short windows get short passes.
    let pass = MAX_COLUMNS.min(capacity);
    for (i, &symbol) in symbols.iter().enumerate() {
        if at == end {
            (start, end) = (end, inputs.len().min(end + pass));
            columns.clear();
            columns.extend(inputs[start..end].iter().map(|&token| Column { lane: 0, token }));
            session.step(&columns);
            (0..end - start).for_each(|c| powers(session, c));
        }
        let mark = (coder.payload_bound() + SYMBOL_MAX > capacity).then(|| coder.mark());
        let mut d = Distribution::new(session.logits(at - start), &mut blocks);
        adaptive.code(&mut d, &mut Encode { symbol, coder: &mut coder })?;
        if let Some(mark) = mark
            && coder.payload().len() > capacity
        {
            coder.rewind(&mark);
            return Ok((i, EncodedWindow { raw_len, payload: coder.payload() }));
        }
        let len = symbol_len(model, symbol);
        coded(len, symbol < vocab);
        raw_len += len;
        at += usize::from(symbol < vocab);
    }
    Ok((symbols.len(), EncodedWindow { raw_len, payload: coder.payload() }))
}

/// Decodes windows into their `raw` slices. Windows step together in lanes, and lanes are shared out to threads;
/// the result depends on neither.
///
/// # Errors
/// `Corrupt` where a payload is not one that an encoder writes; `LimitExceeded` where memory is missing. What
/// the slices hold after an error is unspecified.
pub fn decode_windows(model: &Model, jobs: &mut [WindowJob<'_>]) -> Result<()> {
    decode_with_lanes(model, jobs, MAX_COLUMNS)
}

/// The same with at most `lanes` windows together in a thread.
///
/// # Errors
/// See [`decode_windows`].
pub fn decode_with_lanes(model: &Model, jobs: &mut [WindowJob<'_>], lanes: usize) -> Result<()> {
    let mut queue: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
    given(queue.iter().map(|job| job.raw.len()).sum());
    // The longest come first off the end.
    queue.sort_by_key(|job| job.raw.len());
    let Some(longest) = queue.last().map(|job| job.raw.len()) else { return Ok(()) };
    let tokens = longest.min(model.shape().context);
    let threads = rayon::current_num_threads().min(queue.len());
    let by_memory = CACHE_BYTES / threads / model.cache_bytes(tokens).max(1);
    let lanes = queue.len().div_ceil(threads).min(lanes).min(by_memory).clamp(1, MAX_COLUMNS);
    let queue = Mutex::new(queue);
    (0..threads).into_par_iter().try_for_each(|_| decode_lanes(model, &queue, lanes, tokens))
}

/// A window on its way.
pub struct Lane<'a, 'b> {
    raw: &'a mut [u8],
    done: usize,
    coder: BitDecoder<'b>,
    adaptive: Adaptive,
}

impl<'a, 'b> Lane<'a, 'b> {
    /// At the window's start.
    pub fn new(payload: &'b [u8], raw: &'a mut [u8]) -> Self {
        Self { raw, done: 0, coder: BitDecoder::new(payload), adaptive: Adaptive::default() }
    }

    /// Decodes escaped bytes and one token, whose weights are `d`; `None` where the window is complete.
    ///
    /// # Errors
    /// `Corrupt` where the payload is not one that an encoder writes.
    pub fn token(&mut self, model: &Model, mut d: Distribution<'_>) -> Result<Option<u32>> {
        loop {
            let symbol = self.adaptive.code(&mut d, &mut self.coder)?;
            self.done += put(model, symbol, &mut self.raw[self.done..])?;
            if self.done == self.raw.len() {
                return Ok(None);
            }
            if symbol < d.vocab() {
                return Ok(Some(symbol));
            }
        }
    }
}

/// Steps windows from the queue together; one that ends makes room for the next.
fn decode_lanes<'a, 'b>(
    model: &Model,
    queue: &Mutex<Vec<&'a mut WindowJob<'b>>>,
    count: usize,
    tokens: usize,
) -> Result<()> {
    let next = || -> Option<Lane<'a, 'b>> {
        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).pop()?;
        Some(Lane::new(job.payload, &mut *job.raw))
    };
    let mut lanes: Vec<Lane<'_, '_>> = (0..count).map_while(|_| next()).collect();
    // Exactly as many windows as lanes: where one is removed, the last takes its place in both.
    let mut session = Session::new(model, lanes.len(), tokens)?;
    let start = model.shape().start;
    let mut columns: Vec<Column> = (0..lanes.len()).map(|lane| Column { lane, token: start }).collect();
    let mut blocks = Vec::new();
    while !lanes.is_empty() {
        session.step(&columns);
        for i in (0..lanes.len()).rev() {
            powers(&mut session, i);
            let d = Distribution::new(session.logits(i), &mut blocks);
            match lanes[i].token(model, d)? {
                Some(_) if session.len(i) >= model.shape().context => return Err(too_long(model)),
                Some(token) => columns[i].token = token,
                None => match next() {
                    Some(lane) => {
                        session.reset(i);
                        (lanes[i], columns[i].token) = (lane, start);
                    }
                    None => {
                        lanes.swap_remove(i);
                        session.swap_remove(i);
                        columns.swap_remove(i);
                    }
                },
            }
        }
        columns.iter_mut().enumerate().for_each(|(lane, c)| c.lane = lane);
    }
    Ok(())
}

fn too_long(model: &Model) -> Error {
    Error::corrupt(format!("llm: a window of more than {} tokens", model.shape().context))
}
