//! Chained blocks: the windows of a block follow one another, and what the adaptive stage has learned lasts
//! until the end of the block. A block is therefore the unit of encoding, and one lane in decoding.
//!
//! A network takes at most its context of tokens. Where that is full, the network starts anew, and the last
//! `kept` tokens enter it again so that it does not start blind. The learner is not reset: it sees every
//! symbol of the block once.

use super::lanes::{self, Lane, Limits, restart};
use super::{check_limits, coded, put, symbol_len};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits, max_window_raw};
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::{Error, Result};
use crate::format::cursor::{Cursor, Parse};
use crate::format::varint;
use crate::model::llm::{Column, Encode, Learner, MAX_COLUMNS, Model, Session};
use crate::progress::Meter;
use rayon::prelude::*;

/// The most bytes that one more symbol can add to a payload: six decisions of 14 bits, two choices of 24
/// bits, and the rounding to whole words.
const SYMBOL_MAX: usize = 32;
/// The memory in bytes that the keys, values and learners of all lanes may take together.
const LANE_BYTES: usize = 1100 << 20;

/// A block of chained windows to decode.
#[derive(Debug)]
pub struct ChainJob<'a> {
    /// The number of tokens that enter again where the network starts anew, at least 1.
    pub kept: usize,
    /// The block's windows from the first one on.
    pub windows: Vec<WindowJob<'a>>,
}

/// The number of tokens that an encoder lets enter again where the network starts anew.
pub(super) fn default_kept(model: &Model) -> usize {
    (model.shape().context / 4).max(1)
}

/// The stored parameters of a block.
pub(super) fn params(kept: usize) -> Vec<u8> {
    let mut params = Vec::new();
    varint::put(&mut params, kept as u64);
    params
}

/// Reads from a block's parameters the number of tokens that enter again where the network starts anew.
///
/// # Errors
/// `Corrupt` where they are not those of a chained block.
pub fn kept_of(params: &[u8]) -> Result<usize> {
    let mut cursor = Cursor::new(params);
    match cursor.varint_in("tokens that enter again", 1..=1 << 14) {
        Ok(kept) if cursor.pos() == params.len() => Ok(kept as usize),
        Err(Parse::Bad(e)) => Err(e),
        _ => Err(Error::corrupt("llm: the parameters must be one number of tokens")),
    }
}

/// Cuts every block into windows that follow one another, and codes them. Where the network's context is
/// full, it starts anew with the last `kept` tokens. Blocks run in parallel; the bytes do not depend on the
/// number of threads.
///
/// # Errors
/// `BadArgument` for limits that cannot hold one symbol; `LimitExceeded` where memory is missing.
pub fn encode_chains(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
    kept: usize,
) -> Result<Vec<Vec<EncodedWindow>>> {
    encode_counted(model, blocks, limits, kept, Meter::NONE)
}

pub(super) fn encode_counted(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
    kept: usize,
    meter: Meter<'_>,
) -> Result<Vec<Vec<EncodedWindow>>> {
    check_limits(limits)?;
    check_kept(model, kept)?;
    let limits = WindowLimits { raw: limits.raw.min(max_window_raw(limits.payload)), ..limits };
    blocks.par_iter().map(|block| encode_block(model, block, limits, kept, meter)).collect()
}

fn check_kept(model: &Model, kept: usize) -> Result<()> {
    let most = model.shape().context - 1;
    if (1..=most).contains(&kept) {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "llm: windows start with the last {kept} tokens of the one before, 1..={most} expected"
    )))
}

fn encode_block(
    model: &Model,
    block: &[u8],
    limits: WindowLimits,
    kept: usize,
    meter: Meter<'_>,
) -> Result<Vec<EncodedWindow>> {
    let symbols = model.tokenizer().encode(block);
    let vocab = model.shape().vocab as u32;
    let tokens: Vec<u32> = symbols.iter().copied().filter(|&s| s < vocab).collect();
    let mut timeline = TokenTimeline::new(model, &tokens, kept)?;
    let mut learner = Learner::new(model)?;
    let (mut windows, mut coder, mut raw_len) = (Vec::new(), BitEncoder::default(), 0);
    let mut fresh = true;
    for symbol in symbols {
        let len = symbol_len(model, symbol);
        // What the learner has learned cannot be undone, so a window ends while the longest symbol would
        // still fit.
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
        coded(len, symbol < vocab, meter);
        if symbol < vocab {
            fresh = true;
            timeline.at += 1;
        }
    }
    windows.push(EncodedWindow { raw_len, payload: coder.payload() });
    Ok(windows)
}

/// The network along the tokens of a block. The encoder knows all of them, so many step in one pass.
struct TokenTimeline<'m, 't> {
    session: Session<'m>,
    start: u32,
    context: usize,
    kept: usize,
    tokens: &'t [u32],
    /// The number of tokens before the next symbol.
    at: usize,
    /// The values of `at` for which the last pass has a column.
    ready: std::ops::Range<usize>,
}

impl<'m, 't> TokenTimeline<'m, 't> {
    fn new(model: &'m Model, tokens: &'t [u32], kept: usize) -> Result<Self> {
        let (context, start) = (model.shape().context, model.shape().start);
        let session = Session::new(model, 1, context.min(tokens.len() + 1))?;
        Ok(Self { session, start, context, kept, tokens, at: 0, ready: 0..0 })
    }

    /// The column of the last pass that predicts the next symbol; makes the next pass where the last one is
    /// used up.
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

/// Decodes blocks into the `raw` slices of their windows, with at most `lanes` of them together in a thread.
/// The result depends neither on that nor on the number of threads.
///
/// # Errors
/// `Corrupt` where a payload is not one that an encoder writes; `LimitExceeded` where memory is missing. What
/// the slices hold after an error is unspecified.
pub fn decode_chains_with_lanes(model: &Model, jobs: &mut [ChainJob<'_>], lanes: usize) -> Result<()> {
    decode_within(model, jobs, lanes, usize::MAX, Meter::NONE)
}

/// Does the same in at most `memory` bytes.
pub(super) fn decode_within(
    model: &Model,
    jobs: &mut [ChainJob<'_>],
    lanes: usize,
    memory: usize,
    meter: Meter<'_>,
) -> Result<()> {
    let raw_len = |job: &ChainJob<'_>| job.windows.iter().map(|w| w.raw.len()).sum::<usize>();
    let queue: Vec<_> = jobs.iter_mut().filter(|job| raw_len(job) > 0).collect();
    queue.iter().try_for_each(|job| check_kept(model, job.kept))?;
    let limits = Limits { lanes, memory: LANE_BYTES.min(memory), own: Learner::bytes(model) };
    lanes::decode(model, queue, &limits, |job| raw_len(job), |job| ChainLane::new(model, job, meter))
}

/// A block that is being decoded.
struct ChainLane<'a, 'b, 'm> {
    kept: usize,
    /// The windows after the current one.
    windows: std::slice::IterMut<'a, WindowJob<'b>>,
    raw: &'a mut [u8],
    done: usize,
    coder: BitDecoder<'b>,
    learner: Learner,
    meter: Meter<'m>,
}

impl<'a, 'b, 'm> ChainLane<'a, 'b, 'm> {
    fn new(model: &Model, job: &'a mut ChainJob<'b>, meter: Meter<'m>) -> Result<Self> {
        let (kept, learner) = (job.kept, Learner::new(model)?);
        let windows = job.windows.iter_mut();
        let coder = BitDecoder::new(&[]);
        let mut new = Self { kept, windows, raw: &mut [], done: 0, coder, learner, meter };
        new.open();
        Ok(new)
    }

    /// Opens the next window that is not empty; false at the block's end.
    fn open(&mut self) -> bool {
        let Some(window) = self.windows.find(|w| !w.raw.is_empty()) else { return false };
        (self.raw, self.done, self.coder) = (&mut *window.raw, 0, BitDecoder::new(window.payload));
        true
    }
}

impl Lane for ChainLane<'_, '_, '_> {
    fn token(&mut self, model: &Model, session: &mut Session<'_>, column: usize) -> Result<Option<u32>> {
        let vocab = model.shape().vocab as u32;
        self.learner.look(session, column);
        loop {
            let symbol = self.learner.code(session, column, &mut self.coder)?;
            self.done += put(model, symbol, &mut self.raw[self.done..], self.meter)?;
            if self.done == self.raw.len() && !self.open() {
                return Ok(None);
            }
            if symbol < vocab {
                return Ok(Some(symbol));
            }
        }
    }

    fn entering_again(&self, model: &Model) -> Result<Vec<u32>> {
        // The last token is not among them: it is stepped next.
        let mut tokens = self.learner.last_tokens(self.kept, model);
        tokens.pop();
        Ok(tokens)
    }
}
