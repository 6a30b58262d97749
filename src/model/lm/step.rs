//! The integer step of the network (`formats/lm.md`, section "Step") for many columns at once.

use super::aligned::Aligned;
#[cfg(target_arch = "x86_64")]
use super::kernel::Avx2;
use super::kernel::elementwise::{self as ops, Columns, TREE_NODES};
use super::kernel::{Activations, GROUP, Kernel, Prepared, Product, Scalar, pair};
use super::weights::{Config, Layer, TableConfig, Weights};
use crate::error::Result;

/// Most columns that one pass over the weights serves.
pub const MAX_COLUMNS: usize = 64;

/// A network ready to run. Holds no state of any window: share it by reference.
#[derive(Debug)]
pub struct Model {
    config: Config,
    name: [u8; 32],
    kernel: Kernel,
    tables: Vec<Vec<i8>>,
    input: Prepared,
    layers: Vec<PreparedLayer>,
    head: Prepared,
}

#[derive(Debug)]
struct PreparedLayer {
    gates: Prepared,
    out: Prepared,
    up: Prepared,
    down: Prepared,
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
    /// Prepares a network for the fastest kernel of this machine.
    ///
    /// # Errors
    /// As [`Weights::check`]; `LimitExceeded` where memory is missing.
    pub fn new(weights: Weights) -> Result<Self> {
        Self::with_kernel(weights, Kernel::best())
    }

    /// Prepares a network for a given kernel; all kernels give the same bits.
    ///
    /// # Errors
    /// As [`Model::new`], and `BadArgument` for a kernel that this machine cannot run.
    pub fn with_kernel(weights: Weights, kernel: Kernel) -> Result<Self> {
        weights.check()?;
        Ok(Self {
            name: weights.name(),
            kernel: kernel.check()?,
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

    /// The BLAKE3 hash of the weight file.
    pub fn name(&self) -> &[u8; 32] {
        &self.name
    }

    /// Puts the table rows selected by the end of `history` into `column` of the activations.
    fn embed(&self, history: &[u8], column: usize, stride: usize, act: &mut [i32]) {
        let width = self.config.table_width;
        let mut recent = [0; 8];
        for (recent, &byte) in recent.iter_mut().zip(history.iter().rev()) {
            *recent = byte;
        }
        let mut slots = act[column..].iter_mut().step_by(stride);
        for (table, entries) in self.config.tables.iter().zip(&self.tables) {
            let row = &entries[table_row(*table, &recent) * width..][..width];
            for (entries, slot) in row.chunks_exact(2).zip(&mut slots) {
                *slot = pair(i32::from(entries[0]), i32::from(entries[1]));
            }
        }
    }
}

/// The row of a table; `recent[0]` is the newest byte.
fn table_row(table: TableConfig, recent: &[u8; 8]) -> usize {
    if table.order == 1 {
        return usize::from(recent[0]);
    }
    let mut key = u32::from(table.order);
    for &byte in &recent[..usize::from(table.order)] {
        key = key.wrapping_add(u32::from(byte)).wrapping_add(1).wrapping_mul(0x9E37_79B1);
        key ^= key >> 15;
    }
    (key.wrapping_mul(0x85EB_CA6B) >> (32 - u32::from(table.log2_rows))) as usize
}

/// Scratch numbers of one pass, `[row][column]`.
#[derive(Debug)]
struct Workspace {
    stride: usize,
    /// Residual stream.
    x: Aligned<i32>,
    /// Result of the last product.
    product: Aligned<i32>,
    /// Activations as pairs.
    act: Aligned<i32>,
    /// Tree of weight sums.
    tree: Aligned<i32>,
}

impl Workspace {
    fn new(config: &Config, columns: usize) -> Result<Self> {
        let stride = columns.next_multiple_of(GROUP);
        let (d, h, m) = (config.width, config.state, config.hidden);
        let inputs = [config.tables.len() * config.table_width, d, h, m];
        let outputs = [3 * h, d, m, 256];
        Ok(Self {
            stride,
            x: Aligned::zeroed(d * stride)?,
            product: Aligned::zeroed(outputs.into_iter().max().unwrap_or(0) * stride)?,
            act: Aligned::zeroed(inputs.into_iter().max().unwrap_or(0) / 2 * stride)?,
            tree: Aligned::zeroed(TREE_NODES * stride)?,
        })
    }

    fn weight_sums(&self, column: usize) -> WeightSums<'_> {
        WeightSums { tree: &self.tree, stride: self.stride, column }
    }
}

/// The weights of the 256 symbols as sums over common prefixes: node 1 is the whole set, the
/// children of node n are 2n (next bit 0) and 2n + 1 (next bit 1), node 256 + s is symbol s.
#[derive(Debug, Clone, Copy)]
pub struct WeightSums<'a> {
    tree: &'a [i32],
    stride: usize,
    column: usize,
}

impl WeightSums<'_> {
    /// Sum of the weights below a node, 1..=2^30 + 2^8.
    #[inline]
    pub fn sum(&self, node: usize) -> u32 {
        self.tree[node * self.stride + self.column] as u32
    }

    /// Weight of a symbol, 1..=2^22 + 1.
    pub fn weight(&self, symbol: u8) -> u32 {
        self.sum(256 + usize::from(symbol))
    }
}

/// What the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    /// Windows side by side, one time step each.
    Lanes,
    /// Successive time steps of one window.
    Time,
}

/// Runs the network on the embedded inputs in `work.act`; `states` holds one vector per layer.
#[inline(always)]
fn forward_with<K: Product>(
    model: &Model,
    work: &mut Workspace,
    states: &mut [Aligned<i32>],
    count: usize,
    along: Along,
) {
    let Workspace { stride, x, product, act, tree } = work;
    let columns = Columns { stride: *stride, count };
    let (d, h, m) = (model.config.width, model.config.state, model.config.hidden);
    let multiply = |matrix: &Prepared, act: &[i32], out: &mut [i32]| {
        K::product(matrix, &Activations { pairs: act, stride: columns.stride, columns: count }, out);
    };
    multiply(&model.input, act, product);
    x.fill(0);
    ops::add(x, product, d, columns);
    for (layer, state) in model.layers.iter().zip(states) {
        ops::norm(x, d, columns, act);
        multiply(&layer.gates, act, product);
        match along {
            Along::Lanes => ops::recur_lanes(product, state, h, columns, act),
            Along::Time => ops::recur_time(product, state, h, columns, act),
        }
        multiply(&layer.out, act, product);
        ops::add(x, product, d, columns);
        ops::norm(x, d, columns, act);
        multiply(&layer.up, act, product);
        ops::squared_relu(product, m, columns, act);
        multiply(&layer.down, act, product);
        ops::add(x, product, d, columns);
    }
    ops::norm(x, d, columns, act);
    multiply(&model.head, act, product);
    ops::weight_tree(product, columns, tree);
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
    match model.kernel {
        Kernel::Scalar => forward_with::<Scalar>(model, work, states, count, along),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Model::with_kernel` accepts this kernel only where the processor has AVX2.
        Kernel::Avx2 => unsafe { forward_avx2(model, work, states, count, along) },
        #[cfg(not(target_arch = "x86_64"))]
        Kernel::Avx2 => forward_with::<Scalar>(model, work, states, count, along),
    }
}

fn zero_states(config: &Config, columns: usize) -> Result<Vec<Aligned<i32>>> {
    (0..config.layers).map(|_| Aligned::zeroed(config.state * columns)).collect()
}

/// Windows that step together, one byte each per step.
#[derive(Debug)]
pub struct Lanes<'a> {
    model: &'a Model,
    work: Workspace,
    states: Vec<Aligned<i32>>,
    count: usize,
}

impl<'a> Lanes<'a> {
    /// `count` lanes (1..=[`MAX_COLUMNS`]) at the start of their windows.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'a Model, count: usize) -> Result<Self> {
        assert!((1..=MAX_COLUMNS).contains(&count), "{count} lanes");
        let work = Workspace::new(&model.config, count)?;
        let states = zero_states(&model.config, work.stride)?;
        Ok(Self { model, work, states, count })
    }

    /// Sets what `lane` has seen so far: the raw bytes of its window before the one to be predicted.
    pub fn set_history(&mut self, lane: usize, history: &[u8]) {
        debug_assert!(lane < self.count);
        self.model.embed(history, lane, self.work.stride, &mut self.work.act);
    }

    /// Steps all lanes, each of which has had its history set since the last step.
    pub fn step(&mut self) {
        forward(self.model, &mut self.work, &mut self.states, self.count, Along::Lanes);
    }

    /// The weights that the last step gave to `lane`.
    pub fn weight_sums(&self, lane: usize) -> WeightSums<'_> {
        self.work.weight_sums(lane)
    }

    /// The recurrent state of a layer of a lane.
    pub fn state(&self, lane: usize, layer: usize) -> impl Iterator<Item = i32> {
        self.states[layer][lane..].iter().step_by(self.work.stride).copied()
    }

    /// Removes a lane; the last one takes its number.
    pub fn swap_remove(&mut self, lane: usize) {
        self.count -= 1;
        for state in &mut self.states {
            for row in state.chunks_exact_mut(self.work.stride) {
                row[lane] = row[self.count];
            }
        }
    }
}

/// One window whose bytes are known: many time steps in one pass.
#[derive(Debug)]
pub struct Timeline<'a> {
    model: &'a Model,
    work: Workspace,
    states: Vec<Aligned<i32>>,
}

impl<'a> Timeline<'a> {
    /// At the start of a window; passes of up to `columns` (1..=[`MAX_COLUMNS`]) time steps.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'a Model, columns: usize) -> Result<Self> {
        assert!((1..=MAX_COLUMNS).contains(&columns), "{columns} time steps");
        let work = Workspace::new(&model.config, columns)?;
        let states = zero_states(&model.config, 1)?;
        Ok(Self { model, work, states })
    }

    /// Most time steps of one pass.
    pub fn max_steps(&self) -> usize {
        self.work.stride
    }

    /// Goes to the start of a new window.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(|state| state.fill(0));
    }

    /// Runs `steps` time steps that predict the bytes `start..start + steps` of `window`, the raw
    /// bytes from the window's start on. All steps before `start` have been run since the reset.
    pub fn run(&mut self, window: &[u8], start: usize, steps: usize) {
        for column in 0..steps {
            self.model.embed(&window[..start + column], column, self.work.stride, &mut self.work.act);
        }
        forward(self.model, &mut self.work, &mut self.states, steps, Along::Time);
    }

    /// The weights that the last pass gave at its step number `column`.
    pub fn weight_sums(&self, column: usize) -> WeightSums<'_> {
        self.work.weight_sums(column)
    }

    /// The recurrent state of a layer after the last pass.
    pub fn state(&self, layer: usize) -> &[i32] {
        &self.states[layer]
    }
}
