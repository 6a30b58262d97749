//! Documents coded with an imported model. Its symbols are the tokens of its vocabulary that have bytes, and
//! after them the 256 bytes.

use super::choices::{Choices, Policy};
use super::document::{Budget, Windows};
use super::writer::{Decision, Onward, Place, Replay, Writer};
use crate::coder::Wide;
use crate::coder::points::{Halves, Row, WindowDecoder};
use crate::error::{Error, Result};
use crate::model::llm::{Column, MAX_COLUMNS, Model, Session, powers};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The symbols of a model.
pub struct Symbols<'m> {
    model: &'m Model,
    /// The tokens that have bytes.
    tokens: Vec<u32>,
    /// The number of each token among these.
    numbers: Vec<u32>,
}

impl<'m> Symbols<'m> {
    /// The symbols of a model.
    pub fn new(model: &'m Model) -> Self {
        let vocab = model.shape().vocab as u32;
        let has_bytes = |t: &u32| !model.tokenizer().bytes_of(*t).is_empty();
        let tokens: Vec<u32> = (0..vocab).filter(has_bytes).collect();
        let mut numbers = vec![0; vocab as usize];
        tokens.iter().zip(0..).for_each(|(&t, i)| numbers[t as usize] = i);
        Self { model, tokens, numbers }
    }

    /// All of them.
    pub fn row(&self) -> Row {
        Row { first: 0, len: self.tokens.len() as u32 + 256 }
    }

    /// The symbols of a text.
    fn of(&self, text: &[u8]) -> Vec<u32> {
        let (vocab, tokens) = (self.numbers.len() as u32, self.tokens.len() as u32);
        let number = |t: u32| if t < vocab { self.numbers[t as usize] } else { tokens + (t - vocab) };
        self.model.tokenizer().encode(text).into_iter().map(number).collect()
    }

    /// The token of a symbol; `None` for a byte.
    fn token(&self, symbol: u32) -> Option<u32> {
        self.tokens.get(symbol as usize).copied()
    }

    /// Turns a column's logits into the sums of the weights before each symbol, and of all.
    fn sums(&self, session: &mut Session<'_>, column: usize, sums: &mut Vec<u64>) {
        let weights = session.logits(column);
        let total: u64 = weights.iter().map(|&w| w as u64).sum();
        let bytes = std::iter::repeat_n((total >> 14) + 1, 256);
        let weights = self.tokens.iter().map(|&t| 16 * weights[t as usize] as u64 + 1);
        let mut sum = 0;
        sums.clear();
        sums.push(0);
        sums.extend(weights.chain(bytes).map(|w| {
            sum += w;
            sum
        }));
    }
}

/// The probability in 1/65536 that the symbol is in the second half of the row.
fn one(sums: &[u64], row: Row) -> u32 {
    let first = row.first as usize;
    let (start, end) = (sums[first], sums[first + row.len as usize]);
    let middle = sums[first + row.halves()[0] as usize];
    // Sums are below 2^44.
    (((end - middle) << 16) / (end - start)).clamp(1, 65535) as u32
}

/// The number of tokens that enter again where the context is full.
fn kept(model: &Model) -> usize {
    model.shape().context / 2
}

/// The memory in bytes (approximate) that a thread and each of its documents take.
pub fn memory(model: &Model) -> (u64, u64) {
    let sums = 8 * (model.shape().vocab as u64 + 257);
    (Session::fixed_bytes(model) as u64 + sums, model.cache_bytes(model.shape().context) as u64)
}

/// A network that runs ahead over the known tokens of a document, many in a pass.
struct Ahead<'m, 's> {
    symbols: &'s Symbols<'m>,
    session: Session<'m>,
    tokens: &'s [u32],
    /// The first token that the network predicts after the start token.
    from: usize,
    /// The tokens that the columns of the last pass predict.
    columns: Range<usize>,
    /// The most columns of a pass.
    pass: usize,
    /// The sums of a column, and the token that it predicts.
    sums: Vec<u64>,
    of: Option<usize>,
}

impl<'m, 's> Ahead<'m, 's> {
    fn new(symbols: &'s Symbols<'m>, session: Session<'m>, tokens: &'s [u32], choices: &Choices) -> Self {
        // A pass that runs past the end of a window is partly wasted where the network starts anew.
        let pass = match choices.policy {
            Policy::Reset => (choices.window_bits as usize / 8).clamp(2, MAX_COLUMNS),
            Policy::Continue => MAX_COLUMNS,
        };
        let mut new =
            Self { symbols, session, tokens, from: 0, columns: 0..0, pass, sums: Vec::new(), of: None };
        new.restart(0);
        new
    }

    /// Starts anew before a token.
    fn restart(&mut self, token: usize) {
        self.session.reset(0);
        (self.from, self.columns, self.of) = (token, token..token, None);
    }

    /// The sums by which a token is predicted: one of the last pass, or the first of the next.
    fn sums(&mut self, token: usize) -> &[u64] {
        if token >= self.columns.end {
            self.pass();
        }
        if self.of != Some(token) {
            self.symbols.sums(&mut self.session, token - self.columns.start, &mut self.sums);
            self.of = Some(token);
        }
        &self.sums
    }

    fn pass(&mut self) {
        let (shape, start) = (self.symbols.model.shape(), self.columns.end);
        if self.session.len(0) == shape.context {
            // The token before `start` is about to enter; with it, as many have entered again as are kept.
            let again = &self.tokens[start - kept(self.symbols.model)..start - 1];
            enter_again(&mut self.session, 0, shape.start, again);
        }
        let room = (shape.context - self.session.len(0)).min(self.pass);
        let end = (start + room).min(self.tokens.len() + 1);
        let input = |t: usize| if t == self.from { shape.start } else { self.tokens[t - 1] };
        let columns: Vec<Column> = (start..end).map(|t| Column { lane: 0, token: input(t) }).collect();
        self.session.step(&columns);
        (0..columns.len()).for_each(|c| powers(&mut self.session, c));
        self.columns = start..end;
    }
}

/// The values of the windows of each document.
pub fn encode(symbols: &Symbols<'_>, choices: &Choices, documents: &[&[u8]]) -> Result<Vec<Vec<Wide>>> {
    let sessions = Mutex::new(Vec::new());
    let run = |document: &&[u8]| -> Result<Vec<Wide>> {
        let spare = sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match spare {
            Some(session) => session,
            None => Session::new(symbols.model, 1, symbols.model.shape().context)?,
        };
        let text = symbols.of(document);
        let tokens: Vec<u32> = text.iter().filter_map(|&s| symbols.token(s)).collect();
        let mut network = Ahead::new(symbols, session, &tokens, choices);
        let values = match choices.policy {
            Policy::Reset => encode_anew(&mut network, choices, &text),
            Policy::Continue => encode_through(&mut network, choices, &text),
        };
        sessions.lock().unwrap_or_else(PoisonError::into_inner).push(network.session);
        Ok(values)
    };
    documents.par_iter().map(run).collect()
}

/// Encodes a document through which the network runs once.
fn encode_through(network: &mut Ahead<'_, '_>, choices: &Choices, text: &[u32]) -> Vec<Wide> {
    let mut replay = Replay::new(choices);
    let (all, mut token) = (network.symbols.row(), 0);
    for (i, &symbol) in text.iter().enumerate() {
        let sums = network.sums(token);
        let mut at = Place { symbol: i, depth: 0 };
        let mut row = all;
        while row.len > 1 {
            let bit = row.bit_of(symbol);
            replay.push(Decision { at, bit, one: one(sums, row), halves: row.halves() });
            row = row.half(bit);
            at.depth += 1;
        }
        replay.run();
        replay.forget();
        token += usize::from(network.symbols.token(symbol).is_some());
    }
    if replay.finish(Place { symbol: text.len(), depth: 0 }) {
        pad(all, network.sums(token), |one, halves| replay.pad(one, halves));
    }
    replay.into_values()
}

/// Encodes a document in windows in which the network starts anew.
fn encode_anew(network: &mut Ahead<'_, '_>, choices: &Choices, text: &[u32]) -> Vec<Wide> {
    let mut writer = Writer::new(choices);
    // The place of the next decision, and the number of tokens before it.
    let (mut at, mut token) = (Place::default(), 0);
    loop {
        let onward = match text.get(at.symbol) {
            Some(&symbol) => encode_symbol(&mut writer, network, symbol, at, token),
            None => match writer.finish(at) {
                None => break,
                Some(place) if place == at => {
                    let all = network.symbols.row();
                    pad(all, network.sums(token), |one, halves| writer.pad(one, halves));
                    break;
                }
                Some(place) => Onward::Anew(place),
            },
        };
        let tokens = |text: &[u32]| text.iter().filter(|&&s| network.symbols.token(s).is_some()).count();
        match onward {
            Onward::Here => {
                token += tokens(&text[at.symbol..=at.symbol]);
                at = Place { symbol: at.symbol + 1, depth: 0 };
            }
            Onward::Anew(place) => {
                token -= tokens(&text[place.symbol..at.symbol]);
                at = place;
                network.restart(token);
            }
        }
    }
    writer.into_values()
}

/// Codes what is left of a symbol from a place on; `token` tokens come before it.
fn encode_symbol(
    writer: &mut Writer,
    network: &mut Ahead<'_, '_>,
    symbol: u32,
    mut at: Place,
    token: usize,
) -> Onward {
    if at.depth == 0 {
        let onward = writer.symbol(at);
        if onward != Onward::Here {
            return onward;
        }
    }
    let mut row = network.symbols.row().after(symbol, at.depth);
    let sums = network.sums(token);
    while row.len > 1 {
        let bit = row.bit_of(symbol);
        let decision = Decision { at, bit, one: one(sums, row), halves: row.halves() };
        let onward = writer.decide(&decision);
        if onward != Onward::Here {
            return onward;
        }
        row = row.half(bit);
        at.depth += 1;
    }
    Onward::Here
}

/// Codes decisions after a document's end until the window has ended.
fn pad(mut row: Row, sums: &[u64], mut code: impl FnMut(u32, Halves) -> Option<bool>) {
    while row.len > 1
        && let Some(bit) = code(one(sums, row), row.halves())
    {
        row = row.half(bit);
    }
}

/// The bytes of each document.
pub fn decode(
    symbols: &Symbols<'_>,
    choices: &Choices,
    documents: &[&[u32]],
    lanes: usize,
    budget: &Budget,
) -> Result<Vec<Vec<u8>>> {
    let lanes_of = documents.iter().map(|d| Lane::new(symbols, choices, d, budget));
    let mut jobs: Vec<(usize, Lane<'_, '_>)> = lanes_of.enumerate().collect();
    let count = jobs.len();
    jobs.sort_by_key(|(_, job)| job.windows.len());
    let threads = rayon::current_num_threads().min(count).max(1);
    let lanes = count.div_ceil(threads).clamp(1, lanes.clamp(1, MAX_COLUMNS));
    let queue = Mutex::new(jobs);
    // Documents without text need no lane.
    let next = |done: &mut Vec<(usize, Vec<u8>)>| loop {
        let (number, mut lane) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        if lane.begin() != Begin::Complete {
            return Some((number, lane));
        }
        done.push((number, lane.raw));
    };
    let run = |_| run_lanes(symbols, lanes, next);
    let done = (0..threads).into_par_iter().map(run).collect::<Result<Vec<_>>>()?;
    let mut all: Vec<(usize, Vec<u8>)> = done.into_iter().flatten().collect();
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, raw)| raw).collect())
}

/// Runs documents side by side; one that ends makes room for the next.
fn run_lanes<'l, 'm: 'l>(
    symbols: &'l Symbols<'m>,
    count: usize,
    next: impl Fn(&mut Vec<(usize, Vec<u8>)>) -> Option<(usize, Lane<'l, 'm>)>,
) -> Result<Vec<(usize, Vec<u8>)>> {
    let mut done = Vec::new();
    let mut lanes = Vec::new();
    while lanes.len() < count
        && let Some(lane) = next(&mut done)
    {
        lanes.push(lane);
    }
    let (start, context) = (symbols.model.shape().start, symbols.model.shape().context);
    let mut session = Session::new(symbols.model, lanes.len(), context)?;
    let mut columns: Vec<Column> = (0..lanes.len()).map(|lane| Column { lane, token: start }).collect();
    let mut sums = Vec::new();
    while !lanes.is_empty() {
        session.step(&columns);
        // From the last to the first: a lane that moves into a removed lane's place has already used its
        // column.
        for i in (0..lanes.len()).rev() {
            powers(&mut session, i);
            symbols.sums(&mut session, i, &mut sums);
            columns[i].token = match lanes[i].1.code(&sums)? {
                Next::Enter(token) => token,
                Next::Anew => {
                    session.reset(i);
                    start
                }
                Next::Complete => match next(&mut done) {
                    Some(lane) => {
                        session.reset(i);
                        let (number, lane) = std::mem::replace(&mut lanes[i], lane);
                        done.push((number, lane.raw));
                        start
                    }
                    None => {
                        let (number, lane) = lanes.swap_remove(i);
                        done.push((number, lane.raw));
                        session.swap_remove(i);
                        columns.swap_remove(i);
                        continue;
                    }
                },
            };
        }
        for (i, (_, lane)) in lanes.iter().enumerate() {
            columns[i].lane = i;
            if session.len(i) == context {
                let (_, again) = lane.tokens.split_last().unwrap_or((&0, &[]));
                let again = &again[(again.len() + 1).saturating_sub(kept(symbols.model))..];
                enter_again(&mut session, i, start, again);
            }
        }
    }
    Ok(done)
}

/// Empties a lane's context and lets the start token and `tokens` enter.
fn enter_again(session: &mut Session<'_>, lane: usize, start: u32, tokens: &[u32]) {
    session.reset(lane);
    let columns: Vec<Column> = [start].iter().chain(tokens).map(|&token| Column { lane, token }).collect();
    columns.chunks(MAX_COLUMNS).for_each(|columns| session.feed(columns));
}

/// The next need of a lane.
enum Next {
    /// A step of this token.
    Enter(u32),
    /// A step of the start token, in an empty context.
    Anew,
    /// Nothing more.
    Complete,
}

/// How a symbol begins.
#[derive(PartialEq, Eq)]
enum Begin {
    /// In the same window.
    Further,
    /// In another one.
    Another,
    /// Not at all: the document is complete.
    Complete,
}

/// A document that is being decoded.
struct Lane<'l, 'm> {
    symbols: &'l Symbols<'m>,
    windows: Windows<'l>,
    window: Option<WindowDecoder>,
    budget: &'l Budget,
    reset: bool,
    raw: Vec<u8>,
    /// The symbols among which the next one is.
    row: Row,
    /// The tokens that have entered since the network started anew, the start token not counted.
    tokens: Vec<u32>,
}

impl<'l, 'm> Lane<'l, 'm> {
    fn new(symbols: &'l Symbols<'m>, choices: &Choices, tokens: &'l [u32], budget: &'l Budget) -> Self {
        let mut windows = Windows::new(choices, tokens);
        let window = windows.next();
        let (raw, reset) = (Vec::new(), choices.policy == Policy::Reset);
        Self { symbols, windows, window, budget, reset, raw, row: symbols.row(), tokens: Vec::new() }
    }

    /// Begins a symbol.
    fn begin(&mut self) -> Begin {
        if self.window.as_mut().is_some_and(WindowDecoder::symbol) {
            return Begin::Further;
        }
        self.window = self.windows.open(true);
        if self.window.is_some() { Begin::Another } else { Begin::Complete }
    }

    /// Decodes bytes and then one token, or what there is of them in this window.
    fn code(&mut self, sums: &[u64]) -> Result<Next> {
        loop {
            while self.row.len > 1 {
                let Some(window) = &mut self.window else { return Ok(Next::Complete) };
                match window.decide(one(sums, self.row), self.row.halves()) {
                    Some(bit) => self.row = self.row.half(bit),
                    None => {
                        self.window = self.windows.open(self.row == self.symbols.row());
                        if self.reset && self.window.is_some() {
                            self.tokens.clear();
                            return Ok(Next::Anew);
                        }
                    }
                }
            }
            let token = self.put(self.row.first)?;
            self.row = self.symbols.row();
            match self.begin() {
                Begin::Complete => return Ok(Next::Complete),
                Begin::Another if self.reset => {
                    self.tokens.clear();
                    return Ok(Next::Anew);
                }
                _ => {}
            }
            if let Some(token) = token {
                self.tokens.push(token);
                return Ok(Next::Enter(token));
            }
        }
    }

    /// Writes the bytes of a symbol; gives its token, if it is one.
    fn put(&mut self, symbol: u32) -> Result<Option<u32>> {
        let token = self.symbols.token(symbol);
        let byte = [(symbol as usize).wrapping_sub(self.symbols.tokens.len()) as u8];
        let bytes = token.map_or(&byte[..], |t| self.symbols.model.tokenizer().bytes_of(t));
        self.budget.take(bytes.len())?;
        self.raw.try_reserve(bytes.len()).map_err(|_| Error::limit("tokens: no memory for a document"))?;
        self.raw.extend_from_slice(bytes);
        Ok(token)
    }
}
