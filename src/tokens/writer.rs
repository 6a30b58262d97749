//! From the decisions of a document to the values of its windows.

use super::choices::Choices;
use crate::coder::Wide;
use crate::coder::points::{Coded, Halves, Last, WindowEncoder};

/// A place between the decisions of a document: before decision `depth` of symbol `symbol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    pub symbol: usize,
    pub depth: u32,
}

/// A decision of a document whose probability does not depend on windows.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    pub at: Place,
    pub bit: bool,
    pub one: u32,
    pub halves: Halves,
}

/// Where the next decision is to be coded after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// After the decision.
    Here,
    /// At the start of a new window, which may be an earlier place.
    Anew(Place),
}

/// Writes decisions into windows, one after the other.
#[derive(Debug)]
pub struct Writer {
    choices: Choices,
    window: WindowEncoder<Place>,
    /// Whether the window has coded something.
    used: bool,
    /// The values of the windows that have ended.
    values: Vec<Wide>,
}

impl Writer {
    /// Starts a document.
    pub fn new(choices: &Choices) -> Self {
        let window = WindowEncoder::new(choices.window_bits, choices.coder_ends());
        Self { choices: *choices, window, used: false, values: Vec::new() }
    }

    fn next_window(&mut self, value: Wide) {
        self.values.push(value);
        self.window = WindowEncoder::new(self.choices.window_bits, self.choices.coder_ends());
        self.used = false;
    }

    fn settle(&mut self, coded: Coded<Place>, at: Place) -> Onward {
        match coded {
            Coded::Further => Onward::Here,
            Coded::Ended(value) => {
                self.next_window(value);
                Onward::Anew(at)
            }
            Coded::Stopped(value, place) => {
                self.next_window(value);
                Onward::Anew(place)
            }
        }
    }

    /// Starts a symbol at `at`.
    pub fn symbol(&mut self, at: Place) -> Onward {
        let coded = self.window.symbol(at);
        self.settle(coded, at)
    }

    /// Codes a decision; see [`WindowEncoder::decide`].
    pub fn decide(&mut self, d: &Decision) -> Onward {
        let coded = self.window.decide(d.bit, d.one, d.halves, d.at);
        let onward = self.settle(coded, d.at);
        self.used |= onward == Onward::Here;
        onward
    }

    /// Ends the document at `at`. `None`: it has ended; otherwise there is more to code from that place on, or,
    /// where this is `at`, [`Writer::pad`] must be called.
    pub fn finish(&mut self, at: Place) -> Option<Place> {
        if !self.used {
            return None;
        }
        match self.window.finish(at) {
            Last::Pad => Some(at),
            Last::Done(coded) => match self.settle(coded, at) {
                Onward::Anew(place) if place != at => Some(place),
                _ => None,
            },
        }
    }

    /// Codes a decision after the document's end; `None` where the document has ended now.
    pub fn pad(&mut self, one: u32, halves: Halves) -> Option<bool> {
        self.window.pad(one, halves).map_err(|value| self.next_window(value)).ok()
    }

    /// The place to which the window may have to return.
    fn stop_place(&self) -> Option<Place> {
        self.window.stop_place()
    }

    /// The values of all windows.
    pub fn into_values(self) -> Vec<Wide> {
        self.values
    }
}

/// Writes decisions that are the same however windows are cut: those since the last stop are kept.
#[derive(Debug)]
pub struct Replay {
    writer: Writer,
    decisions: Vec<Decision>,
    /// The number of the decisions that have been coded.
    done: usize,
    /// Whether the symbol that is being coded has been started in this window.
    begun: bool,
}

impl Replay {
    /// Starts a document.
    pub fn new(choices: &Choices) -> Self {
        Self { writer: Writer::new(choices), decisions: Vec::new(), done: 0, begun: false }
    }

    /// Adds a decision, which [`Replay::run`] will code.
    pub fn push(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    fn go(&mut self, onward: Onward) {
        let Onward::Anew(place) = onward else { return };
        self.begun = false;
        while self.done > 0 && (self.done == self.decisions.len() || self.decisions[self.done].at != place) {
            self.done -= 1;
        }
    }

    /// Codes all decisions.
    pub fn run(&mut self) {
        while let Some(&decision) = self.decisions.get(self.done) {
            if decision.at.depth == 0 && !self.begun {
                self.begun = true;
                let onward = self.writer.symbol(decision.at);
                if onward != Onward::Here {
                    self.go(onward);
                    continue;
                }
            }
            match self.writer.decide(&decision) {
                Onward::Here => {
                    self.done += 1;
                    self.begun = false;
                }
                onward => self.go(onward),
            }
        }
    }

    /// Forgets the decisions to which no window will return.
    pub fn forget(&mut self) {
        let stop = self.writer.stop_place();
        let kept = stop.and_then(|place| self.decisions[..self.done].iter().rposition(|d| d.at == place));
        let first = kept.unwrap_or(self.done);
        self.decisions.drain(..first);
        self.done -= first;
    }

    /// Ends the document at `at`; true where [`Replay::pad`] must be called.
    pub fn finish(&mut self, at: Place) -> bool {
        loop {
            self.run();
            match self.writer.finish(at) {
                None => return false,
                Some(place) if place == at => return true,
                Some(place) => self.go(Onward::Anew(place)),
            }
        }
    }

    /// See [`Writer::pad`].
    pub fn pad(&mut self, one: u32, halves: Halves) -> Option<bool> {
        self.writer.pad(one, halves)
    }

    /// The values of all windows.
    pub fn into_values(self) -> Vec<Wide> {
        self.writer.into_values()
    }
}
