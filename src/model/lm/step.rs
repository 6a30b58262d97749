//! The integer step of the network (`formats/lm.md`, section "Step") for many columns at once.
//!
//! A column is the input of a window at one time step; every row of a matrix is multiplied by it. The step is
//! written once, for any vector type, and compiled for each kernel.

use std::borrow::Borrow;

#[cfg(target_arch = "x86_64")]
use super::kernel::Avx2;
#[cfg(any(target_arch = "aarch64", target_feature = "simd128"))]
use super::kernel::Ops128;
use super::kernel::elementwise::{self as ops, Row, TREE_NODES};
use super::kernel::{GROUP, Ops, Prepared, Scalar, pair};
use super::weights::{Config, Layer, Weights};
use crate::error::Result;
use crate::kernel::{Kernel, dispatch};
use crate::model::fixed::Aligned;

/// The most columns that one pass over the weights serves.
pub const MAX_COLUMNS: usize = 64;

/// A network ready to run. It holds no state of any window and can be shared by reference.
#[derive(Debug)]
pub struct Model {
    config: Config,
    name: [u8; 32],
    kernel: Kernel,
    tables: Vec<Vec<i8>>,
    pub(super) input: Prepared,
    pub(super) layers: Vec<PreparedLayer>,
    pub(super) head: Prepared,
}

/// The matrices of a layer, laid out for the kernels.
#[derive(Debug)]
pub(super) struct PreparedLayer {
    pub gates: Prepared,
    pub out: Prepared,
    pub up: Prepared,
    pub down: Prepared,
}

impl PreparedLayer {
    fn new(layer: &Layer) -> Result<Self> {
        Ok(Self {
            gates: Prepared::new(&layer.gates)?,
            out: Prepared::new(&layer.out)?,
            up: Prepared::new(&layer.up)?,
            down: Prepared::new(&layer.down)?,
        })
    }
}

impl Model {
    /// The memory that a window takes while it is decoded together with others, in bytes (approximate): its
    /// state, the outputs of all matrices of a layer, and its weights of symbols.
    pub fn lane_memory(&self) -> u64 {
        let c = &self.config;
        let wide = c.width + 4 * c.state + c.hidden + c.tables.len() * c.table_width + 1024;
        4 * (c.layers * c.state + 4 * wide) as u64
    }

    /// Prepares a network for the fastest kernel of this machine.
    ///
    /// # Errors
    /// As [`Weights::check`]; `LimitExceeded` where memory is missing.
    pub fn new(weights: Weights) -> Result<Self> {
        Self::with_kernel(weights, Kernel::best())
    }

    /// Prepares a network for the given kernel.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn with_kernel(weights: Weights, kernel: Kernel) -> Result<Self> {
        weights.check()?;
        Ok(Self {
            name: weights.name(),
            kernel,
            input: Prepared::new(&weights.input)?,
            layers: weights.layers.iter().map(PreparedLayer::new).collect::<Result<_>>()?,
            head: Prepared::new(&weights.head)?,
            config: weights.config,
            tables: weights.tables,
        })
    }

    /// The shape of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The kernel that the network runs with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The BLAKE3 hash of the weight file.
    pub fn name(&self) -> &[u8; 32] {
        &self.name
    }

    /// The table rows that the last bytes of `history` select, one after the other, as pairs of entries.
    #[inline(always)]
    pub(super) fn embedding(&self, history: &[u8]) -> impl Iterator<Item = i32> {
        let width = self.config.table_width;
        let mut recent = [0; 8];
        for (recent, &byte) in recent.iter_mut().zip(history.iter().rev()) {
            *recent = byte;
        }
        self.config.tables.iter().zip(&self.tables).flat_map(move |(table, entries)| {
            let entries = &entries[table.row(recent.into_iter()) * width..][..width];
            entries.as_chunks::<2>().0.iter().map(|e| pair(i32::from(e[0]), i32::from(e[1])))
        })
    }

    /// Writes the embedding of `history` into a column of the activations.
    fn embed(&self, history: &[u8], column: usize, act: &mut [Row]) {
        let pairs = self.input.pairs();
        let rows = &mut act[column / GROUP * pairs..][..pairs];
        for (row, pair) in rows.iter_mut().zip(self.embedding(history)) {
            row[column % GROUP] = pair;
        }
    }
}

/// Scratch numbers of a pass, each as `[group of columns][row][column of the group]`.
#[derive(Debug)]
struct Workspace {
    groups: usize,
    /// The residual stream.
    x: Aligned<i32>,
    /// The result of the last product.
    product: Aligned<i32>,
    /// Activations as pairs.
    act: Aligned<i32>,
    /// The trees of weight sums.
    tree: Aligned<i32>,
}

impl Workspace {
    fn new(config: &Config, columns: usize) -> Result<Self> {
        let groups = columns.div_ceil(GROUP);
        let (d, h, m) = (config.width, config.state, config.hidden);
        let inputs = [config.tables.len() * config.table_width, d, h, m];
        let outputs = [3 * h, d, m, 256];
        let zeros = |rows: usize| Aligned::zeroed(rows * groups * GROUP);
        Ok(Self {
            groups,
            x: zeros(d)?,
            product: zeros(outputs.into_iter().max().unwrap_or(0))?,
            act: zeros(inputs.into_iter().max().unwrap_or(0) / 2)?,
            tree: zeros(TREE_NODES)?,
        })
    }

    fn weight_sums(&self, column: usize) -> WeightSums<'_> {
        let tree = &rows(&self.tree)[column / GROUP * TREE_NODES..][..TREE_NODES];
        WeightSums { tree: tree.try_into().expect("a whole tree"), column: column % GROUP }
    }
}

pub(super) fn rows(data: &[i32]) -> &[Row] {
    data.as_chunks().0
}

pub(super) fn rows_mut(data: &mut [i32]) -> &mut [Row] {
    data.as_chunks_mut().0
}

/// The weights of the 256 symbols after one column, as sums over common prefixes: node 1 is the set of all,
/// the children of node n are 2n (next bit 0) and 2n + 1 (next bit 1), and node 256 + s is symbol s. A bit's
/// probability is the ratio of a child's sum to its parent's.
#[derive(Debug, Clone, Copy)]
pub struct WeightSums<'a> {
    tree: &'a [Row; TREE_NODES],
    column: usize,
}

impl WeightSums<'_> {
    /// The sum of the weights below a node (1..=511), in 1..=2^30 + 2^8.
    #[inline]
    pub fn sum(&self, node: usize) -> u32 {
        self.tree[node][self.column % GROUP] as u32
    }

    /// The weight of a symbol, in 1..=2^22 + 1.
    pub fn weight(&self, symbol: u8) -> u32 {
        self.sum(256 + usize::from(symbol))
    }
}

/// The meaning of a pass's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    /// Windows side by side, one time step each.
    Lanes,
    /// Successive time steps of one window.
    Time,
}

/// Runs the network on the embedded inputs in `work.act`, of which the first `count` columns are used;
/// `states` holds one vector for each layer. The results are the trees in `work.tree`.
#[inline(always)]
fn forward_with<K: Ops>(
    model: &Model,
    work: &mut Workspace,
    states: &mut [Aligned<i32>],
    count: usize,
    along: Along,
) {
    let Workspace { x, product, act, tree, .. } = work;
    let groups = count.div_ceil(GROUP);
    let (d, h, m) = (model.config.width, model.config.state, model.config.hidden);
    K::product(&model.input, count, act, product);
    x.fill(0);
    add_product::<K>(x, product, d, groups);
    for (layer, state) in model.layers.iter().zip(states) {
        norm::<K>(x, d, groups, act);
        K::product(&layer.gates, count, act, product);
        let gates = rows(product).chunks_exact(3 * h);
        let outputs = rows_mut(act).chunks_exact_mut(h / 2);
        match along {
            Along::Lanes => {
                let states = rows_mut(state).chunks_exact_mut(h);
                for ((gates, state), out) in gates.zip(states).zip(outputs).take(groups) {
                    ops::recur_lanes::<K::V>(gates, state, out);
                }
            }
            Along::Time => {
                for (group, (gates, out)) in gates.zip(outputs).take(groups).enumerate() {
                    ops::recur_time::<K::V>(gates, state, (count - group * GROUP).min(GROUP), out);
                }
            }
        }
        K::product(&layer.out, count, act, product);
        add_product::<K>(x, product, d, groups);
        norm::<K>(x, d, groups, act);
        K::product(&layer.up, count, act, product);
        for (p, out) in rows(product).chunks_exact(m).zip(rows_mut(act).chunks_exact_mut(m / 2)).take(groups)
        {
            ops::squared_relu::<K::V>(p, out);
        }
        K::product(&layer.down, count, act, product);
        add_product::<K>(x, product, d, groups);
    }
    norm::<K>(x, d, groups, act);
    K::product(&model.head, count, act, product);
    for (logits, tree) in
        rows(product).chunks_exact(256).zip(rows_mut(tree).chunks_exact_mut(TREE_NODES)).take(groups)
    {
        ops::weight_tree::<K::V>(logits, tree);
    }
}

/// Adds the last product to the residual stream.
#[inline(always)]
fn add_product<K: Ops>(x: &mut [i32], product: &[i32], width: usize, groups: usize) {
    let len = width * groups;
    ops::add::<K::V>(&mut rows_mut(x)[..len], &rows(product)[..len]);
}

/// Writes the norm of the residual stream as activations.
#[inline(always)]
fn norm<K: Ops>(x: &[i32], width: usize, groups: usize, act: &mut [i32]) {
    for (x, out) in rows(x).chunks_exact(width).zip(rows_mut(act).chunks_exact_mut(width / 2)).take(groups) {
        ops::norm::<K::V>(x, out);
    }
}

/// [`forward_with`], compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn forward_avx2(
    model: &Model,
    work: &mut Workspace,
    states: &mut [Aligned<i32>],
    count: usize,
    along: Along,
) {
    forward_with::<Avx2>(model, work, states, count, along);
}

fn forward(model: &Model, work: &mut Workspace, states: &mut [Aligned<i32>], count: usize, along: Along) {
    dispatch!(
        model.kernel,
        scalar: forward_with::<Scalar>(model, work, states, count, along),
        avx2: forward_avx2(model, work, states, count, along),
        v128: forward_with::<Ops128>(model, work, states, count, along),
    )
}

fn zero_states(config: &Config, columns: usize) -> Result<Vec<Aligned<i32>>> {
    (0..config.layers).map(|_| Aligned::zeroed(config.state * columns)).collect()
}

/// Windows that step together, each by one byte in a step.
#[derive(Debug)]
pub struct Lanes<M> {
    model: M,
    work: Workspace,
    states: Vec<Aligned<i32>>,
    count: usize,
}

impl<M: Borrow<Model>> Lanes<M> {
    /// Makes `count` lanes (1..=[`MAX_COLUMNS`]) at the start of their windows.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: M, count: usize) -> Result<Self> {
        assert!((1..=MAX_COLUMNS).contains(&count), "{count} lanes");
        let config = &model.borrow().config;
        let work = Workspace::new(config, count)?;
        let states = zero_states(config, work.groups * GROUP)?;
        Ok(Self { model, work, states, count })
    }

    /// Sets the input of `lane`: the raw bytes of its window before the one to be predicted.
    pub fn set_history(&mut self, lane: usize, history: &[u8]) {
        debug_assert!(lane < self.count);
        self.model.borrow().embed(history, lane, rows_mut(&mut self.work.act));
    }

    /// Steps all lanes. The history of each must have been set since the last step.
    pub fn step(&mut self) {
        forward(self.model.borrow(), &mut self.work, &mut self.states, self.count, Along::Lanes);
    }

    /// The weights that the last step gave to `lane`.
    pub fn weight_sums(&self, lane: usize) -> WeightSums<'_> {
        self.work.weight_sums(lane)
    }

    /// The recurrent state (Q20) of a layer of a lane.
    pub fn state(&self, lane: usize, layer: usize) -> impl Iterator<Item = i32> {
        let h = self.model.borrow().config.state;
        rows(&self.states[layer])[lane / GROUP * h..][..h].iter().map(move |row| row[lane % GROUP])
    }

    /// Starts a new window in `lane`.
    pub fn reset(&mut self, lane: usize) {
        let h = self.model.borrow().config.state;
        for state in &mut self.states {
            let rows = rows_mut(state);
            rows[lane / GROUP * h..][..h].iter_mut().for_each(|row| row[lane % GROUP] = 0);
        }
    }

    /// Removes a lane; the last one takes its number.
    pub fn swap_remove(&mut self, lane: usize) {
        self.count -= 1;
        let (h, last) = (self.model.borrow().config.state, self.count);
        for state in &mut self.states {
            for r in 0..h {
                let value = state[(last / GROUP * h + r) * GROUP + last % GROUP];
                state[(lane / GROUP * h + r) * GROUP + lane % GROUP] = value;
            }
        }
    }
}

/// One window whose bytes are known, as in encoding: many time steps in one pass.
#[derive(Debug)]
pub struct Timeline<'a> {
    model: &'a Model,
    work: Workspace,
    states: Vec<Aligned<i32>>,
}

impl<'a> Timeline<'a> {
    /// A window at its start; a pass has up to `columns` (1..=[`MAX_COLUMNS`]) time steps.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'a Model, columns: usize) -> Result<Self> {
        assert!((1..=MAX_COLUMNS).contains(&columns), "{columns} time steps");
        let work = Workspace::new(&model.config, columns)?;
        let states = zero_states(&model.config, 1)?;
        Ok(Self { model, work, states })
    }

    /// The most time steps of one pass.
    pub fn max_steps(&self) -> usize {
        self.work.groups * GROUP
    }

    /// Returns to the start of a new window.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(|state| state.fill(0));
    }

    /// Runs `steps` time steps, which predict the bytes `start..start + steps` of `window`, the raw bytes
    /// from the window's start on. All steps before `start` must have been run since the reset.
    pub fn run(&mut self, window: &[u8], start: usize, steps: usize) {
        for column in 0..steps {
            self.model.embed(&window[..start + column], column, rows_mut(&mut self.work.act));
        }
        forward(self.model, &mut self.work, &mut self.states, steps, Along::Time);
    }

    /// The weights that the last pass gave at its time step `column`.
    pub fn weight_sums(&self, column: usize) -> WeightSums<'_> {
        self.work.weight_sums(column)
    }

    /// The recurrent state (Q20) of a layer after the last pass.
    pub fn state(&self, layer: usize) -> &[i32] {
        &self.states[layer]
    }
}
