//! Windows that stand alone: the network and the adaptive stage start anew in each.

use super::lanes::{self, Lane, Limits};
use super::{check_limits, coded, put, symbol_len};
use crate::codec::window::{EncodedWindow, WindowJob, WindowLimits, max_window_raw};
use crate::coder::range::{BitDecoder, BitEncoder};
use crate::error::{Error, Result};
use crate::model::llm::{Adaptive, Column, Distribution, Encode, MAX_COLUMNS, Model, Session, powers};
use crate::progress::Meter;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// The memory in bytes that the keys and values of all lanes may take together.
const CACHE_BYTES: usize = 800 << 20;
/// The most bytes that one more symbol can add to a payload: four decisions of 14 bits, two choices of 24
/// bits, and the rounding to whole words.
const SYMBOL_MAX: usize = 24;

/// The state of a block that is being cut into windows and encoded.
struct Cut {
    symbols: Vec<u32>,
    /// The number of symbols in the finished windows.
    done: usize,
    windows: Vec<EncodedWindow>,
}

/// Cuts every block into windows and codes them.
///
/// Where a window ends depends on its payload, so windows would have to be coded one after the other. Few of
/// them fill their payload, however: all are first cut by raw bytes and tokens alone and coded in parallel.
/// Where one overflows, the windows after it are dropped, and the rest of the block is cut anew in the next
/// round. The bytes do not depend on the number of threads.
///
/// # Errors
/// `BadArgument` for limits that cannot hold one symbol; `LimitExceeded` where memory is missing.
pub fn encode_blocks(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
) -> Result<Vec<Vec<EncodedWindow>>> {
    encode_counted(model, blocks, limits, Meter::NONE)
}

pub(super) fn encode_counted(
    model: &Model,
    blocks: &[&[u8]],
    limits: WindowLimits,
    meter: Meter<'_>,
) -> Result<Vec<Vec<EncodedWindow>>> {
    check_limits(limits)?;
    let limits = WindowLimits { raw: limits.raw.min(max_window_raw(limits.payload)), ..limits };
    let encode =
        |block: &&[u8]| Cut { symbols: model.tokenizer().encode(block), done: 0, windows: Vec::new() };
    let mut blocks: Vec<Cut> = blocks.par_iter().map(encode).collect();
    let sessions = Mutex::new(Vec::new());
    loop {
        let cut = |(b, p): (usize, &Cut)| {
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
            let coded = encode_window(
                model,
                &mut session,
                &blocks[*b].symbols[window.clone()],
                limits.payload,
                meter,
            );
            sessions.lock().unwrap_or_else(|e| e.into_inner()).push(session);
            coded
        };
        let coded = jobs.par_iter().map(run).collect::<Result<Vec<_>>>()?;
        for ((b, window), (count, coded)) in jobs.into_iter().zip(coded) {
            // After a window that overflowed, the rest of the plan is void.
            if window.start == blocks[b].done {
                blocks[b].done += count;
                blocks[b].windows.push(coded);
            }
        }
    }
}

/// Cuts the symbols from `start` on into windows as if none overflowed its payload.
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

/// Codes as many of the symbols as fit into `capacity` bytes of payload; returns the window and their number.
fn encode_window(
    model: &Model,
    session: &mut Session<'_>,
    symbols: &[u32],
    capacity: usize,
    meter: Meter<'_>,
) -> Result<(usize, EncodedWindow)> {
    session.reset(0);
    let vocab = model.shape().vocab as u32;
    let tokens = symbols.iter().copied().filter(|&s| s < vocab);
    let inputs: Vec<u32> = [model.shape().start].into_iter().chain(tokens).collect();
    let (mut adaptive, mut coder) = (Adaptive::default(), BitEncoder::default());
    let mut blocks = Vec::new();
    // The columns `start..end` have been stepped; column `at` predicts the next symbol.
    let (mut start, mut end, mut at, mut raw_len) = (0, 0, 0, 0);
    let mut columns = Vec::new();
    // A pass that runs past a window's end is partly wasted, so short windows get short passes.
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
        coded(len, symbol < vocab, meter);
        raw_len += len;
        at += usize::from(symbol < vocab);
    }
    Ok((symbols.len(), EncodedWindow { raw_len, payload: coder.payload() }))
}

/// Decodes windows into their `raw` slices. Windows step together in lanes, which are shared out among
/// threads; the result depends on neither.
///
/// # Errors
/// `Corrupt` where a payload is not one that an encoder writes; `LimitExceeded` where memory is missing. What
/// the slices hold after an error is unspecified.
pub fn decode_windows(model: &Model, jobs: &mut [WindowJob<'_>]) -> Result<()> {
    decode_with_lanes(model, jobs, MAX_COLUMNS)
}

/// Decodes windows as [`decode_windows`] does, with at most `lanes` of them together in a thread.
///
/// # Errors
/// See [`decode_windows`].
pub fn decode_with_lanes(model: &Model, jobs: &mut [WindowJob<'_>], lanes: usize) -> Result<()> {
    decode_within(model, jobs, lanes, usize::MAX, Meter::NONE)
}

/// Does the same in at most `memory` bytes.
pub(super) fn decode_within(
    model: &Model,
    jobs: &mut [WindowJob<'_>],
    lanes: usize,
    memory: usize,
    meter: Meter<'_>,
) -> Result<()> {
    let queue: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
    let limits = Limits { lanes, memory: CACHE_BYTES.min(memory), own: size_of::<Adaptive>() };
    lanes::decode(
        model,
        queue,
        &limits,
        |job| job.raw.len(),
        |job| Ok(WindowLane::new(job.payload, &mut *job.raw, meter)),
    )
}

/// A window that is being decoded.
pub struct WindowLane<'a, 'b> {
    raw: &'a mut [u8],
    done: usize,
    coder: BitDecoder<'b>,
    adaptive: Adaptive,
    /// Scratch space for the sums of a distribution.
    sums: Vec<u64>,
    meter: Meter<'b>,
}

impl<'a, 'b> WindowLane<'a, 'b> {
    /// Starts at the first byte of a window.
    pub fn new(payload: &'b [u8], raw: &'a mut [u8], meter: Meter<'b>) -> Self {
        let (coder, adaptive) = (BitDecoder::new(payload), Adaptive::default());
        Self { raw, done: 0, coder, adaptive, sums: Vec::new(), meter }
    }

    /// Decodes escaped bytes and then one token, whose weights are `d`; `None` where the window is complete.
    ///
    /// # Errors
    /// `Corrupt` where the payload is not one that an encoder writes.
    pub fn token(&mut self, model: &Model, mut d: Distribution<'_>) -> Result<Option<u32>> {
        loop {
            let symbol = self.adaptive.code(&mut d, &mut self.coder)?;
            self.done += put(model, symbol, &mut self.raw[self.done..], self.meter)?;
            if self.done == self.raw.len() {
                return Ok(None);
            }
            if symbol < d.vocab() {
                return Ok(Some(symbol));
            }
        }
    }
}

impl Lane for WindowLane<'_, '_> {
    fn token(&mut self, model: &Model, session: &mut Session<'_>, column: usize) -> Result<Option<u32>> {
        powers(session, column);
        let mut sums = std::mem::take(&mut self.sums);
        let found = WindowLane::token(self, model, Distribution::new(session.logits(column), &mut sums));
        self.sums = sums;
        found
    }

    fn entering_again(&self, model: &Model) -> Result<Vec<u32>> {
        let context = model.shape().context;
        Err(Error::corrupt(format!("llm: a window of more than {context} tokens")))
    }
}
