//! The float twin of the integer network in `formats/lm.md`, with the n-gram tables outside the graph.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};
use nzip::internal::SplitMix;
use nzip::internal::model::lm::weights::{Config, Layer, Weights};
use rayon::prelude::*;

use super::corpus::Segment;
use super::ops::{CrossEntropy, Recurrence, ReluSquared, RmsNorm, States, StraightThrough};
use super::quantize::{self, RowScheme, TABLE_LIMIT, TABLE_SCALE};

/// One layer's parameters.
pub struct LayerVars {
    pub gates: Var,
    pub bias: Var,
    pub out: Var,
    pub up: Var,
    pub down: Var,
}

/// All parameters in floats.
pub struct Network {
    pub config: Config,
    /// Row-major, in real values (integer entry / 8).
    pub tables: Vec<Vec<f32>>,
    pub input: Var,
    pub layers: Vec<LayerVars>,
    pub head: Var,
    pub head_bias: Var,
}

/// Rows looked up for a batch: for every position, the row of each table.
pub struct Lookup {
    /// `positions × tables`.
    pub rows: Vec<u32>,
    /// `positions × (tables · table_width)`, the quantised entries.
    pub entries: Var,
}

/// The recurrent states of all layers, `lanes × state` each.
pub type Carry = Vec<Tensor>;

impl Network {
    /// Fresh parameters: normal, with variance 1/inputs. Tables of order 3 and more start at zero, so that
    /// rows which never occur cost nothing to store.
    pub fn new(config: Config, seed: u64) -> Result<Self> {
        let mut rng = SplitMix(seed);
        let mut matrix = |rows: usize, cols: usize, gain: f32| -> Result<Var> {
            let std = gain / (cols as f32).sqrt();
            let data: Vec<f32> = (0..rows * cols).map(|_| normal(&mut rng) * std).collect();
            Var::from_vec(data, (rows, cols), &Device::Cpu)
        };
        let (d, h, m) = (config.width, config.state, config.hidden);
        let input = matrix(d, config.tables.len() * config.table_width, 2.0)?;
        let head = matrix(256, d, 0.5)?;
        let mut layers = Vec::new();
        for _ in 0..config.layers {
            layers.push(LayerVars {
                gates: matrix(3 * h, d, 1.0)?,
                bias: Var::from_vec(gate_bias(h), 3 * h, &Device::Cpu)?,
                out: matrix(d, h, 0.5)?,
                up: matrix(m, d, 1.0)?,
                down: matrix(d, m, 0.3)?,
            });
        }
        let tables = config
            .tables
            .iter()
            .map(|t| {
                let entries = config.table_width << t.log2_rows;
                (0..entries).map(|_| if t.order <= 2 { normal(&mut rng) * 0.25 } else { 0.0 }).collect()
            })
            .collect();
        let head_bias = Var::from_vec(vec![0f32; 256], 256, &Device::Cpu)?;
        Ok(Self { config, tables, input, layers, head, head_bias })
    }

    /// Starts from an exported weight file, to continue training after the checkpoint is lost.
    pub fn from_weights(w: &Weights) -> Result<Self> {
        let var = |v: (Vec<f32>, Vec<f32>), rows: usize, cols: usize| -> Result<Var> {
            Var::from_vec(v.0, (rows, cols), &Device::Cpu)
        };
        let c = w.config.clone();
        let mut layers = Vec::new();
        for l in &w.layers {
            let gates = quantize::from_matrix(&l.gates, |r| gate_scheme(c.state, r));
            layers.push(LayerVars {
                bias: Var::from_vec(gates.1.clone(), 3 * c.state, &Device::Cpu)?,
                gates: var(gates, 3 * c.state, c.width)?,
                out: var(quantize::from_matrix(&l.out, |_| quantize::OUT), c.width, c.state)?,
                up: var(quantize::from_matrix(&l.up, |_| quantize::UP), c.hidden, c.width)?,
                down: var(quantize::from_matrix(&l.down, |_| quantize::DOWN), c.width, c.hidden)?,
            });
        }
        let head = quantize::from_matrix(&w.head, |_| quantize::HEAD);
        Ok(Self {
            tables: w
                .tables
                .iter()
                .map(|t| t.iter().map(|&v| f32::from(v) / TABLE_SCALE).collect())
                .collect(),
            input: var(quantize::from_matrix(&w.input, |_| quantize::INPUT), c.width, w.input.cols)?,
            layers,
            head_bias: Var::from_vec(head.1.clone(), 256, &Device::Cpu)?,
            head: var(head, 256, c.width)?,
            config: c,
        })
    }

    /// The integer weight file.
    pub fn to_weights(&self) -> Result<Weights> {
        let c = &self.config;
        let rows = |v: &Var| -> Result<Vec<f32>> { v.flatten_all()?.to_vec1::<f32>() };
        let mut layers = Vec::new();
        for l in &self.layers {
            layers.push(Layer {
                gates: quantize::to_matrix(&rows(&l.gates)?, c.width, &rows(&l.bias)?, |r| {
                    gate_scheme(c.state, r)
                }),
                out: quantize::to_matrix(&rows(&l.out)?, c.state, &[], |_| quantize::OUT),
                up: quantize::to_matrix(&rows(&l.up)?, c.width, &[], |_| quantize::UP),
                down: quantize::to_matrix(&rows(&l.down)?, c.hidden, &[], |_| quantize::DOWN),
            });
        }
        Ok(Weights {
            config: c.clone(),
            tables: self.tables.iter().map(|t| t.iter().map(|&v| table_entry(v) as i8).collect()).collect(),
            input: quantize::to_matrix(&rows(&self.input)?, c.tables.len() * c.table_width, &[], |_| {
                quantize::INPUT
            }),
            layers,
            head: quantize::to_matrix(&rows(&self.head)?, c.width, &rows(&self.head_bias)?, |_| {
                quantize::HEAD
            }),
        })
    }

    /// The states of windows at their start.
    pub fn zero_carry(&self, lanes: usize) -> Result<Carry> {
        let zero = Tensor::zeros((lanes, self.config.state), candle_core::DType::F32, &Device::Cpu)?;
        Ok(vec![zero; self.config.layers])
    }

    /// Looks up the table rows of every position of the segments (all of one length).
    pub fn look_up(&self, segments: &[Segment<'_>]) -> Result<Lookup> {
        let (n, e) = (self.config.tables.len(), self.config.table_width);
        let parts: Vec<(Vec<u32>, Vec<f32>)> = segments
            .par_iter()
            .map(|s| {
                let text: Vec<u8> = [&[0u8; 8][s.history.len()..], s.history, s.bytes].concat();
                let (mut rows, mut entries) = (Vec::new(), Vec::new());
                for t in 0..s.bytes.len() {
                    for (table, values) in self.config.tables.iter().zip(&self.tables) {
                        let row = table.row(text[..t + 8].iter().rev().copied());
                        let values = &values[row * e..(row + 1) * e];
                        entries.extend(values.iter().map(|&v| table_entry(v) / TABLE_SCALE));
                        rows.push(row as u32);
                    }
                }
                (rows, entries)
            })
            .collect();
        let rows: Vec<u32> = parts.iter().flat_map(|p| p.0.iter().copied()).collect();
        let entries: Vec<f32> = parts.into_iter().flat_map(|p| p.1).collect();
        let entries = Var::from_vec(entries, (rows.len() / n, n * e), &Device::Cpu)?;
        Ok(Lookup { rows, entries })
    }

    /// Mean cross-entropy in nats over all segments; `carry` is replaced by the states after the last byte.
    pub fn loss(
        &self,
        segments: &[Segment<'_>],
        look: &Lookup,
        carry: &mut Carry,
        quantised: bool,
    ) -> Result<Tensor> {
        let lanes = segments.len();
        let matrix = |w: &Var, scheme: &dyn Fn(usize) -> RowScheme| -> Result<Tensor> {
            let w = if quantised { straight_through(w, scheme)? } else { w.as_tensor().clone() };
            w.t()
        };
        let mut x = look.entries.matmul(&matrix(&self.input, &|_| quantize::INPUT)?)?;
        for (l, state) in self.layers.iter().zip(carry.iter_mut()) {
            let gates =
                x.apply_op1(RmsNorm)?.matmul(&matrix(&l.gates, &|r| gate_scheme(self.config.state, r))?)?;
            let states = States::default();
            let recurrence = Recurrence { lanes, state: self.config.state, states: Arc::clone(&states) };
            let y = gates.apply_op3(l.bias.as_tensor(), state, recurrence)?;
            *state = last_states(&states, lanes, self.config.state)?;
            x = (x + y.matmul(&matrix(&l.out, &|_| quantize::OUT)?)?)?;
            let up = x.apply_op1(RmsNorm)?.matmul(&matrix(&l.up, &|_| quantize::UP)?)?;
            x = (x + up.apply_op1(ReluSquared)?.matmul(&matrix(&l.down, &|_| quantize::DOWN)?)?)?;
        }
        let logits = x.apply_op1(RmsNorm)?.matmul(&matrix(&self.head, &|_| quantize::HEAD)?)?;
        let targets: Vec<u8> = segments.iter().flat_map(|s| s.bytes.iter().copied()).collect();
        logits.apply_op2(self.head_bias.as_tensor(), CrossEntropy::new(Arc::new(targets)))
    }
}

/// Standard normal by the sum of twelve uniforms.
fn normal(rng: &mut SplitMix) -> f32 {
    (0..12).map(|_| (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 6.0
}

/// The initial biases of update gates, for time scales from about 2 to 500 bytes.
fn gate_bias(h: usize) -> Vec<f32> {
    let spread = (0..h).map(|i| -(5.5 * i as f32 / h as f32 + 0.5));
    spread.chain(std::iter::repeat_n(0.0, h)).chain(std::iter::repeat_n(1.0, h)).collect()
}

fn gate_scheme(state: usize, row: usize) -> RowScheme {
    if row / state == 1 { quantize::CANDIDATE } else { quantize::GATE }
}

/// The integer for which a table's float stands.
fn table_entry(v: f32) -> f32 {
    (v * TABLE_SCALE).round().clamp(-TABLE_LIMIT, TABLE_LIMIT)
}

fn straight_through(w: &Var, scheme: &dyn Fn(usize) -> RowScheme) -> Result<Tensor> {
    let (_, cols) = w.dims2()?;
    let data = w.flatten_all()?.to_vec1::<f32>()?;
    let mut fake = vec![0f32; data.len()];
    for (r, (row, out)) in data.chunks_exact(cols).zip(fake.chunks_exact_mut(cols)).enumerate() {
        scheme(r).fake(row, out);
    }
    w.apply_op1(StraightThrough(fake))
}

fn last_states(states: &States, lanes: usize, state: usize) -> Result<Tensor> {
    let all = states.lock().expect("no panic while held");
    let per_lane = all.len() / lanes;
    let last: Vec<f32> =
        (1..=lanes).flat_map(|l| all[l * per_lane - state..l * per_lane].iter().copied()).collect();
    Tensor::from_vec(last, (lanes, state), &Device::Cpu)
}
