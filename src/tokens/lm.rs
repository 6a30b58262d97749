//! Documents coded with a byte-level model. They step through the network side by side, one byte of each.

use super::choices::{Choices, Policy};
use super::document::{Budget, Windows, ended};
use super::writer::{Decision, Place, Replay};
use crate::coder::Wide;
use crate::coder::points::{Halves, WindowDecoder};
use crate::error::{Error, Result};
use crate::model::fixed::probability_of_one;
use crate::model::lm::{Adaptive, Lanes, MAX_COLUMNS, Model, Single, Timeline};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// The bits of a byte.
pub const DEPTH: u32 = 8;

/// The bytes on both sides of the decision number `depth` of a byte.
pub fn halves(depth: u32) -> Halves {
    [1 << (DEPTH - 1 - depth); 2]
}

/// The probability of a 1 at a node of the tree of sums.
pub fn one(sums: &impl Fn(usize) -> u32, node: usize) -> u32 {
    probability_of_one(sums(2 * node), sums(2 * node + 1)) as u32
}

/// Codes the decisions of a byte by the network and, where there is one, the adaptive stage.
fn code_byte(
    adaptive: Option<&mut Adaptive>,
    sums: impl Fn(usize) -> u32,
    history: &[u8],
    mut decide: impl FnMut(u32, u32) -> Result<bool>,
) -> Result<u8> {
    if let Some(adaptive) = adaptive {
        return adaptive.code_byte(sums, history, decide);
    }
    let mut node = 1;
    for depth in 0..DEPTH {
        node = 2 * node + usize::from(decide(depth, one(&sums, node))?);
    }
    Ok(node as u8)
}

/// The memory in bytes (approximate) that a document takes while it is coded, its text not counted.
pub fn lane_memory(model: &Model, choices: &Choices) -> u64 {
    model.lane_memory() + if choices.adaptive { size_of::<Adaptive>() as u64 } else { 0 }
}

/// The values of the windows of each document, through which the network runs once.
pub fn encode(model: &Model, choices: &Choices, documents: &[&[u8]]) -> Result<Vec<Vec<Wide>>> {
    documents.par_iter().map(|d| encode_through(model, choices, d)).collect()
}

/// The bytes of each document.
pub fn decode(
    model: &Model,
    choices: &Choices,
    documents: &[&[u32]],
    lanes: usize,
    budget: &Budget,
) -> Result<Vec<Vec<u8>>> {
    let jobs = documents.iter().map(|d| DecodeLane::new(choices, d, budget)).collect();
    run_all(model, jobs, lanes, |job: DecodeLane<'_>| job.raw)
}

/// Encodes a document through which the network runs once, many bytes in a pass.
fn encode_through(model: &Model, choices: &Choices, document: &[u8]) -> Result<Vec<Wide>> {
    let mut timeline = Timeline::new(model, MAX_COLUMNS.min(document.len() + 1))?;
    let mut adaptive = choices.adaptive.then(Box::<Adaptive>::default);
    let mut replay = Replay::new(choices);
    let mut start = 0;
    while start < document.len() {
        let steps = timeline.max_steps().min(document.len() - start);
        timeline.run(document, start, steps);
        for step in 0..steps {
            let symbol = start + step;
            let sums = timeline.weight_sums(step);
            code_byte(
                adaptive.as_deref_mut(),
                |node| sums.sum(node),
                &document[..symbol],
                |depth, one| {
                    let bit = document[symbol] >> (DEPTH - 1 - depth) & 1 == 1;
                    replay.push(Decision { at: Place { symbol, depth }, bit, one, halves: halves(depth) });
                    Ok(bit)
                },
            )?;
        }
        replay.run();
        replay.forget();
        start += steps;
    }
    if replay.finish(Place { symbol: document.len(), depth: 0 }) {
        timeline.run(document, document.len(), 1);
        let sums = timeline.weight_sums(0);
        let pad = |depth, one| replay.pad(one, halves(depth)).ok_or_else(ended);
        // It ends with an error, before the byte is complete.
        let _ = code_byte(adaptive.as_deref_mut(), |node| sums.sum(node), document, pad);
    }
    Ok(replay.into_values())
}

/// A document that steps by one byte at a time.
pub trait Lane: Send {
    /// The number of bytes or tokens, by which the work is judged.
    fn size(&self) -> usize;

    /// Gets ready for the next step; false where the document is complete.
    fn prepare(&mut self) -> bool;

    /// Whether the network starts anew before the next step. Asked once for each step.
    fn starts_anew(&mut self) -> bool;

    /// The bytes that the network has seen since its start.
    fn history(&self) -> &[u8];

    /// Codes a byte, or less where a window ends inside, with the sums of the step.
    fn code(&mut self, sums: impl Fn(usize) -> u32) -> Result<()>;
}

/// Runs all documents, up to `lanes` of them together in a thread; gives the results in order.
pub fn run_all<L: Lane, T: Send>(
    model: &Model,
    jobs: Vec<L>,
    lanes: usize,
    result: impl Fn(L) -> T + Sync,
) -> Result<Vec<T>> {
    let mut jobs: Vec<(usize, L)> = jobs.into_iter().enumerate().collect();
    let count = jobs.len();
    // Jobs are popped off the end, so the longest start first and no thread is left alone with one of them.
    jobs.sort_by_key(|(_, job)| job.size());
    let threads = rayon::current_num_threads().min(count).max(1);
    let lanes = count.div_ceil(threads).clamp(1, lanes.clamp(1, MAX_COLUMNS));
    let queue = Mutex::new(jobs);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let run = |_| -> Result<Vec<(usize, T)>> {
        let mut done = Vec::new();
        let finish = |(number, job)| done.push((number, result(job)));
        if lanes == 1 {
            run_alone(model, next, finish)?
        } else {
            run_lanes(model, lanes, next, finish)?
        }
        Ok(done)
    };
    let done = (0..threads).into_par_iter().map(run).collect::<Result<Vec<_>>>()?;
    let mut all: Vec<(usize, T)> = done.into_iter().flatten().collect();
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// Runs documents one after the other.
fn run_alone<L: Lane>(
    model: &Model,
    next: impl Fn() -> Option<(usize, L)>,
    mut finish: impl FnMut((usize, L)),
) -> Result<()> {
    let mut network = Single::new(model)?;
    while let Some((number, mut job)) = next() {
        while job.prepare() {
            if job.starts_anew() {
                network.reset();
            }
            let sums = network.step(job.history());
            job.code(|node| sums[node])?;
        }
        finish((number, job));
    }
    Ok(())
}

/// Runs documents side by side; one that ends makes room for the next.
fn run_lanes<L: Lane>(
    model: &Model,
    count: usize,
    next: impl Fn() -> Option<(usize, L)>,
    mut finish: impl FnMut((usize, L)),
) -> Result<()> {
    let mut lanes: Vec<(usize, L)> = std::iter::from_fn(&next).take(count).collect();
    if lanes.is_empty() {
        return Ok(());
    }
    let mut network = Lanes::new(model, lanes.len())?;
    loop {
        for i in (0..lanes.len()).rev() {
            while !lanes[i].1.prepare() {
                if let Some(job) = next() {
                    finish(std::mem::replace(&mut lanes[i], job));
                } else {
                    finish(lanes.swap_remove(i));
                    network.swap_remove(i);
                    break;
                }
            }
        }
        if lanes.is_empty() {
            return Ok(());
        }
        for (i, (_, job)) in lanes.iter_mut().enumerate() {
            if job.starts_anew() {
                network.reset(i);
            }
            network.set_history(i, job.history());
        }
        network.step();
        for (i, (_, job)) in lanes.iter_mut().enumerate() {
            let sums = network.weight_sums(i);
            job.code(|node| sums.sum(node))?;
        }
    }
}

/// A document that is being decoded.
struct DecodeLane<'d> {
    windows: Windows<'d>,
    window: Option<WindowDecoder>,
    budget: &'d Budget,
    reset: bool,
    adaptive: Option<Box<Adaptive>>,
    raw: Vec<u8>,
    /// The bits of the byte that is being decoded, below a leading 1.
    node: usize,
    begun: bool,
    from: usize,
    starts_anew: bool,
}

impl<'d> DecodeLane<'d> {
    fn new(choices: &Choices, tokens: &'d [u32], budget: &'d Budget) -> Self {
        let mut windows = Windows::new(choices, tokens);
        Self {
            window: windows.next(),
            windows,
            budget,
            reset: choices.policy == Policy::Reset,
            adaptive: choices.adaptive.then(Box::default),
            raw: Vec::new(),
            node: 1,
            begun: false,
            from: 0,
            starts_anew: true,
        }
    }

    /// Opens the next window.
    fn open(&mut self) {
        self.window = self.windows.next();
        self.begun = false;
        if self.reset {
            (self.from, self.starts_anew) = (self.raw.len(), true);
        }
    }

    fn push(&mut self, byte: u8) -> Result<()> {
        self.budget.take(1)?;
        self.raw.try_reserve(1).map_err(|_| Error::limit("tokens: no memory for a document"))?;
        self.raw.push(byte);
        (self.node, self.begun) = (1, false);
        Ok(())
    }

    /// Decodes a byte whose decisions may lie in several windows.
    fn code_through(&mut self, sums: impl Fn(usize) -> u32) -> Result<()> {
        let Self { windows, window, adaptive, raw, .. } = self;
        let decide = |depth, one| {
            while let Some(open) = window {
                if let Some(bit) = open.decide(one, halves(depth)) {
                    return Ok(bit);
                }
                *window = windows.open(depth == 0);
            }
            Err(ended())
        };
        let byte = code_byte(adaptive.as_deref_mut(), sums, raw, decide);
        // Where the tokens end inside of a byte, it is discarded.
        if self.window.is_some() { self.push(byte?) } else { Ok(()) }
    }
}

impl Lane for DecodeLane<'_> {
    fn size(&self) -> usize {
        self.windows.len()
    }

    fn prepare(&mut self) -> bool {
        while let Some(window) = &mut self.window {
            if self.node > 1 || self.begun {
                return true;
            }
            self.begun = window.symbol();
            if !self.begun {
                self.open();
            }
        }
        false
    }

    fn starts_anew(&mut self) -> bool {
        std::mem::take(&mut self.starts_anew)
    }

    fn history(&self) -> &[u8] {
        &self.raw[self.from..]
    }

    fn code(&mut self, sums: impl Fn(usize) -> u32) -> Result<()> {
        if !self.reset {
            return self.code_through(sums);
        }
        let Some(window) = &mut self.window else { return Ok(()) };
        while self.node < 1 << DEPTH {
            let decided = window.decide(one(&sums, self.node), halves(self.node.ilog2()));
            let Some(bit) = decided else {
                self.open();
                return Ok(());
            };
            self.node = 2 * self.node + usize::from(bit);
        }
        self.push(self.node as u8)
    }
}
