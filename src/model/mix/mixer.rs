//! Logistic mixing in two layers: a small network that learns while it codes.
//!
//! A row of weights turns the inputs, which are logits, into the logit of a probability (Mahoney's PAQ;
//! Mattern, "Linear and geometric mixtures: analysis", 2013, derives the rule). Contexts choose the rows: the
//! first layer has five families of rows, and a context selects one row from each, so that every row becomes
//! a specialist; the second layer mixes the outputs of the five. Each row moves along the gradient of the
//! coding cost of its own output, which is input times error; nothing is propagated through the layers.

use super::ablation::{Part, on};
pub use super::kernel::{FAMILIES, LANES, Row, Short, VECTORS, WIDTH, spread};
use super::kernel::{mix, mix_short, train, train_short};
use super::logistic::Tables;
use crate::kernel::prefetch_at;

/// The mixer: the rows of both layers, and the selection and results for the current bit.
pub struct Mixer {
    inputs: Row,
    /// The first layer's rows, family after family; the start of each family; and the selected rows.
    rows: Vec<Row>,
    starts: [usize; FAMILIES],
    selected: [usize; FAMILIES],
    /// The logits of the selected rows, which are the second layer's inputs.
    outputs: Short,
    /// The second layer's rows, family after family; the selected ones; and their logits.
    finals: Vec<Short>,
    finals_selected: [usize; 2],
    finals_logits: [i32; 2],
    /// The learning rate of the first layer.
    rate: i32,
}

/// The number of rows in the second layer; each of its two families has half of them.
pub const FINALS: usize = 512;

/// The first layer's families, as parts that can be switched off.
const SETS: [Part; FAMILIES] = [Part::Set0, Part::Set1, Part::Set2, Part::Set3, Part::Set4];

/// The learning rate of the second layer.
const FINAL_RATE: i32 = 12;

impl Mixer {
    /// Starts from the rows of the first layer, which has as many rows of each family as `sizes` says, and
    /// the rows of the second layer.
    pub fn new(sizes: [usize; FAMILIES], rows: &[Row], finals: &[Short]) -> Self {
        let mut next = 0;
        let starts = sizes.map(|n| {
            next += n;
            next - n
        });
        Self {
            inputs: Row::splat(0),
            rows: rows.to_vec(),
            starts,
            selected: [0; FAMILIES],
            outputs: Short([0; WIDTH]),
            finals: finals.to_vec(),
            finals_selected: [0; 2],
            finals_logits: [0; 2],
            rate: 20,
        }
    }

    /// The first layer's rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The second layer's rows.
    pub fn finals(&self) -> &[Short] {
        &self.finals
    }

    /// The inputs, for the caller to fill before the next bit.
    #[inline(always)]
    pub fn inputs(&mut self) -> &mut Row {
        &mut self.inputs
    }

    /// Sets the learning rate of the first layer, 1..=127.
    pub fn set_rate(&mut self, rate: i32) {
        self.rate = rate;
    }

    /// Selects the rows for the next bit by their numbers within their families.
    #[inline(always)]
    pub fn select(&mut self, select: [usize; FAMILIES], finals: [usize; 2]) {
        for (i, at) in select.into_iter().enumerate() {
            self.selected[i] = self.starts[i] + at;
            prefetch_at(&self.rows, self.selected[i]);
        }
        let choose = |part, row| if on(part) { row } else { 0 };
        self.finals_selected =
            [choose(Part::Final0, finals[0]), FINALS / 2 + choose(Part::Final1, finals[1])];
        for at in self.finals_selected {
            prefetch_at(&self.finals, at);
        }
    }

    /// Mixes the first `V` vectors of inputs; returns the logit of the next bit in Q8 octaves.
    #[inline(always)]
    pub fn mix<const A: bool, const V: usize>(&mut self) -> i32 {
        let rows = self.selected.map(|at| &self.rows[at]);
        self.outputs = mix::<A, V>(rows, &self.inputs);
        for (output, part) in self.outputs.0.iter_mut().zip(SETS) {
            if !on(part) {
                *output = 0;
            }
        }
        self.finals_logits =
            self.finals_selected.map(|at| i32::from(mix_short::<A>(&self.finals[at], &self.outputs)));
        (self.finals_logits[0] + self.finals_logits[1]) >> 1
    }

    /// Learns the bit that was coded.
    #[inline(always)]
    pub fn update<const A: bool, const V: usize>(&mut self, bit: u32, tables: &Tables) {
        let target = (bit << 16) as i32;
        for ((&at, &logit), part) in self.selected.iter().zip(&self.outputs.0).zip(SETS) {
            if !on(part) {
                continue;
            }
            let p = tables.squash_mixed(logit.into()) as i32;
            let error = (((target - p) * self.rate) >> 8) as i16;
            train::<A, V>(&mut self.rows[at], &self.inputs, error);
        }
        for (&at, &logit) in self.finals_selected.iter().zip(&self.finals_logits) {
            let error = (((target - tables.squash_mixed(logit) as i32) * FINAL_RATE) >> 8) as i16;
            train_short::<A>(&mut self.finals[at], &self.outputs, error);
        }
    }
}
