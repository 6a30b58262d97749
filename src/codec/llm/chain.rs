//! Blocks whose windows follow one another: what has been learned lives as long as the block, which is a lane.

use super::{check_limits, coded, given, put, symbol_len};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits, max_window_raw};
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse};
use crate::format::varint;
use crate::model::llm::{Column, Encode, Learner, MAX_COLUMNS, Model, Session};
use rayon::prelude::*;
use std::sync::Mutex;

/// Most bytes that one more symbol can add to a payload: six decisions of 14 bits, two symbols of 24, and the
/// rounding to whole words.
const SYMBOL_MAX: usize = 32;
/// Memory for what the network and the learners of all lanes remember together.
const LANE_BYTES: usize = 1100 << 20;

/// A block to decode whose windows follow one another.
#[derive(Debug)]
pub struct ChainJob<'a> {
    /// Tokens that enter again where the network starts anew.
    pub kept: usize,
    /// Its windows from the first one on.
    pub windows: Vec<WindowJob<'a>>,
}

/// Tokens that enter again where the network starts anew, for a model of `context` tokens.
pub(super) fn default_kept(model: &Model) -> usize {
    (model.shape().context / 4).max(1)
}

/// Parameters of a block.
pub(super) fn params(kept: usize) -> Vec<u8> {
    let mut params = Vec::new();
    varint::put(&mut params, kept as u64);
    params
}

/// How many tokens enter again where the network starts anew, by a block's parameters.
///
/// # Errors
/// `Corrupt` where they are none of a chained block.
pub fn kept_of(params: &[u8]) -> Result<usize> {
    let mut cursor = Cursor::new(params);
    match cursor.varint_in("tokens that enter again", 1..=1 << 14) {
        Ok(kept) if cursor.pos() == params.len() => Ok(kept as usize),
        Err(Parse::Bad(e)) => Err(e),
        _ => Err(Error::corrupt("llm: parameters that are no number of tokens")),
    }
}

/// Cuts every block into windows that follow one another, and codes them; where the network starts anew, `kept`
/// tokens enter again. Blocks run in parallel; the bytes do not depend on how many threads there are.
///
/// # Errors
/// `BadArgument` for limits that cannot hold one symbol; `LimitExceeded` where memory is missing.
pub fn encode_chains(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
    kept: usize,
) -> Result<Vec<Vec<EncodedWindow>>> {
    check_limits(limits)?;
    check_kept(model, kept)?;
    let limits = WindowLimits { raw: limits.raw.min(max_window_raw(limits.payload)), ..limits };
    given(blocks.iter().map(|b| b.len()).sum());
    blocks.par_iter().map(|block| encode_block(model, block, limits, kept)).collect()
}

fn check_kept(model: &Model, kept: usize) -> Result<()> {
    let most = model.shape().context - 1;
    if (1..=most).contains(&kept) {
        return Ok(());
    }
    Err(Error::corrupt(format!("llm: {kept} tokens enter again, 1..={most} expected")))
}

fn encode_block(
    model: &Model,
    block: &[u8],
    limits: WindowLimits,
    kept: usize,
) -> Result<Vec<EncodedWindow>> {
    let symbols = model.tokenizer().encode(block);
    let vocab = model.shape().vocab as u32;
    let tokens: Vec<u32> = symbols.iter().copied().filter(|&s| s < vocab).collect();
    let mut timeline = Timeline::new(model, &tokens, kept)?;
    let mut learner = Learner::new(model)?;
    let (mut windows, mut coder, mut raw_len) = (Vec::new(), BitEncoder::default(), 0);
    let mut fresh = true;
    for symbol in symbols {
        let len = symbol_len(model, symbol);
        // What has been learned cannot be taken back, so a window ends while any symbol still fits.
        if raw_len > 0 && (coder.payload_bound() + SYMBOL_MAX > limits.payload || raw_len + len > limits.raw)
        {
            windows.push(EncodedWindow { raw_len, payload: coder.payload() });
            (coder, raw_len) = (BitEncoder::default(), 0);
        }
        let column = timeline.column();
        if std::mem::take(&mut fresh) {
            learner.look(&mut timeline.session, column);
        }
        learner.code(&mut timeline.session, column, &mut Encode { symbol, coder: &mut coder })?;
        raw_len += len;
        coded(len, symbol < vocab);
        if symbol < vocab {
            fresh = true;
            timeline.at += 1;
        }
    }
    windows.push(EncodedWindow { raw_len, payload: coder.payload() });
    Ok(windows)
}

/// The network along the tokens of a block that are all known.
struct Timeline<'m, 't> {
    session: Session<'m>,
    start: u32,
    context: usize,
    kept: usize,
    tokens: &'t [u32],
    /// Tokens in front of the next symbol.
    at: usize,
    /// Columns are at hand for so many tokens in front of a symbol.
    ready: std::ops::Range<usize>,
}

impl<'m, 't> Timeline<'m, 't> {
    fn new(model: &'m Model, tokens: &'t [u32], kept: usize) -> Result<Self> {
        let (context, start) = (model.shape().context, model.shape().start);
        let session = Session::new(model, 1, context.min(tokens.len() + 1))?;
        Ok(Self { session, start, context, kept, tokens, at: 0, ready: 0..0 })
    }

    /// The column from which the next symbol is coded.
    fn column(&mut self) -> usize {
        if self.at == self.ready.end {
            if self.session.len(0) == self.context {
                restart(&mut self.session, 0, self.start, &self.tokens[self.at - self.kept..self.at - 1]);
            }
            let room = self.context - self.session.len(0);
            let end = (self.tokens.len() + 1).min(self.at + MAX_COLUMNS.min(room));
            let token = |at: usize| if at == 0 { self.start } else { self.tokens[at - 1] };
            let columns: Vec<_> = (self.at..end).map(|at| Column { lane: 0, token: token(at) }).collect();
            self.session.step(&columns);
            self.ready = self.at..end;
        }
        self.at - self.ready.start
    }
}

/// Starts a window of the network anew with the start token and `tokens`.
fn restart(session: &mut Session<'_>, lane: usize, start: u32, tokens: &[u32]) {
    session.reset(lane);
    let columns: Vec<Column> = [start].iter().chain(tokens).map(|&token| Column { lane, token }).collect();
    columns.chunks(MAX_COLUMNS).for_each(|columns| session.feed(columns));
}

/// Decodes blocks into the `raw` slices of their windows, at most `lanes` blocks together in a thread; the result
/// depends neither on that nor on the threads.
///
/// # Errors
/// `Corrupt` where a payload is not one that an encoder writes; `LimitExceeded` where memory is missing. What
/// the slices hold after an error is unspecified.
pub fn decode_chains_with_lanes(model: &Model, jobs: &mut [ChainJob<'_>], lanes: usize) -> Result<()> {
    let raw_len = |job: &ChainJob<'_>| job.windows.iter().map(|w| w.raw.len()).sum::<usize>();
    let mut queue: Vec<_> = jobs.iter_mut().filter(|job| raw_len(job) > 0).collect();
    for job in &queue {
        given(raw_len(job));
        check_kept(model, job.kept)?;
    }
    // The longest come first off the end.
    queue.sort_by_key(|job| raw_len(job));
    let Some(longest) = queue.last().map(|job| raw_len(job)) else { return Ok(()) };
    let tokens = (longest + 1).min(model.shape().context);
    let threads = rayon::current_num_threads().min(queue.len());
    let by_memory = LANE_BYTES / threads / (model.cache_bytes(tokens) + Learner::bytes(model));
    let lanes = queue.len().div_ceil(threads).min(lanes).min(by_memory).clamp(1, MAX_COLUMNS);
    let queue = Mutex::new(queue);
    (0..threads).into_par_iter().try_for_each(|_| decode_lanes(model, &queue, lanes, tokens))
}

/// A block on its way.
struct Lane<'a, 'b> {
    kept: usize,
    /// Windows after the one that is being decoded.
    windows: std::slice::IterMut<'a, WindowJob<'b>>,
    raw: &'a mut [u8],
    done: usize,
    coder: BitDecoder<'b>,
    learner: Learner,
}

impl<'a, 'b> Lane<'a, 'b> {
    fn new(model: &Model, job: &'a mut ChainJob<'b>) -> Result<Self> {
        let (kept, learner) = (job.kept, Learner::new(model)?);
        let windows = job.windows.iter_mut();
        let mut new = Self { kept, windows, raw: &mut [], done: 0, coder: BitDecoder::new(&[]), learner };
        new.open();
        Ok(new)
    }

    /// Goes on to the next window that holds something; false at the block's end.
    fn open(&mut self) -> bool {
        let Some(window) = self.windows.find(|w| !w.raw.is_empty()) else { return false };
        (self.raw, self.done, self.coder) = (&mut *window.raw, 0, BitDecoder::new(window.payload));
        true
    }

    /// Decodes escaped bytes and one token from a column of the last step; `None` where the block is complete.
    fn token(&mut self, model: &Model, session: &mut Session<'_>, column: usize) -> Result<Option<u32>> {
        let vocab = model.shape().vocab as u32;
        self.learner.look(session, column);
        loop {
            let symbol = self.learner.code(session, column, &mut self.coder)?;
            self.done += put(model, symbol, &mut self.raw[self.done..])?;
            if self.done == self.raw.len() && !self.open() {
                return Ok(None);
            }
            if symbol < vocab {
                return Ok(Some(symbol));
            }
        }
    }
}

/// Steps blocks from the queue together; one that ends makes room for the next.
fn decode_lanes<'a, 'b>(
    model: &Model,
    queue: &Mutex<Vec<&'a mut ChainJob<'b>>>,
    count: usize,
    tokens: usize,
) -> Result<()> {
    let next = || -> Result<Option<Lane<'a, 'b>>> {
        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).pop();
        job.map(|job| Lane::new(model, job)).transpose()
    };
    let mut lanes = Vec::new();
    while lanes.len() < count
        && let Some(lane) = next()?
    {
        lanes.push(lane);
    }
    let mut session = Session::new(model, lanes.len(), tokens)?;
    let (start, context) = (model.shape().start, model.shape().context);
    let mut columns: Vec<Column> = (0..lanes.len()).map(|lane| Column { lane, token: start }).collect();
    while !lanes.is_empty() {
        session.step(&columns);
        // Lanes that end are replaced or removed only when all columns have been used.
        let mut ended = Vec::new();
        for (i, lane) in lanes.iter_mut().enumerate() {
            match lane.token(model, &mut session, i)? {
                Some(token) => columns[i].token = token,
                None => ended.push(i),
            }
        }
        for &i in ended.iter().rev() {
            match next()? {
                Some(lane) => {
                    session.reset(i);
                    (lanes[i], columns[i].token) = (lane, start);
                }
                None => {
                    lanes.swap_remove(i);
                    session.swap_remove(i);
                    columns.swap_remove(i);
                }
            }
        }
        for (i, lane) in lanes.iter().enumerate() {
            columns[i].lane = i;
            if session.len(i) == context {
                restart(&mut session, i, start, &lane.learner.last_tokens(lane.kept, model)[..lane.kept - 1]);
            }
        }
    }
    Ok(())
}
