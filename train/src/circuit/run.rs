//! The training run of a circuit: structure, clusters, learning, pruning and growing, checkpoints.

use std::path::PathBuf;
use std::time::Instant;

use nzip::Result;
use nzip::internal::model::circuit::learn::em::{full_pass, measure, stochastic_pass};
use nzip::internal::model::circuit::learn::random::Random;
use nzip::internal::model::circuit::learn::{
    Dataset, Network, Products, Pseudo, Workspace, start, structure,
};

use super::checkpoint::{self, State};
use super::product::fast;
use crate::error::bad_argument;

/// How a circuit is learned.
#[derive(Debug, Clone)]
pub struct CircuitOptions {
    /// The most states of a hidden variable.
    pub latents: usize,
    /// The most classes of an alphabet.
    pub classes: usize,
    /// The total number of passes in random batches.
    pub epochs: usize,
    /// The number of whole passes after them.
    pub full: usize,
    /// The number of records in a batch.
    pub batch: usize,
    /// The step size at the start and at the end.
    pub step: (f32, f32),
    /// Pseudocounts.
    pub pseudo: Pseudo,
    /// Every n-th record is held out for validation; 0 learns from all.
    pub hold_out: usize,
    /// Whether to continue from the checkpoint.
    pub resume: bool,
    /// Before continuing, states with less than this fraction of an equal share are removed.
    pub prune: f32,
    /// Before continuing, edges along which fewer records than this are expected are removed.
    pub prune_edges: f32,
    /// Whether to split states before continuing, up to `latents`.
    pub grow: bool,
    /// The seed of everything that is random.
    pub seed: u64,
    /// The checkpoint.
    pub state: PathBuf,
}

/// A report on the progress of learning a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The tree and the first parameters have been found.
    Start {
        /// The number of records learned from.
        records: usize,
        /// The number of variables in a record.
        variables: usize,
        /// The number of parameters of the circuit.
        parameters: usize,
        /// The seconds that it took.
        seconds: f64,
    },
    /// States have been removed.
    Pruned {
        /// The number of parameters before.
        before: usize,
        /// The number of parameters now.
        parameters: usize,
    },
    /// Edges have been removed.
    PrunedEdges {
        /// The number of parameters that are not zero.
        parameters: usize,
    },
    /// States have been split.
    Grown {
        /// The number of parameters now.
        parameters: usize,
    },
    /// A pass over the records is done.
    Pass {
        /// Whether the pass learned from all records at once, rather than from random batches.
        full: bool,
        /// The number of the pass among those of its kind, from 1.
        number: usize,
        /// The mean cost of a variable, over the records learned from.
        bits_per_dimension: f64,
        /// The same over the records held out, if there are any.
        held_out: Option<f64>,
        /// The seconds that the pass took.
        seconds: f64,
    },
    /// The model file is complete.
    End {
        /// Its length in bytes.
        file_len: u64,
    },
}

/// The number of rows from which the tree is learned.
const TREE_ROWS: usize = 6000;
const NOISE: f32 = 0.3;

/// Learns; calls `export` after every pass.
pub fn learn(
    data: &Dataset,
    o: &CircuitOptions,
    export: impl Fn(&State) -> Result<()>,
    report: &mut dyn FnMut(Event),
) -> Result<State> {
    if o.batch == 0 || !(2..=256).contains(&o.latents) {
        return Err(bad_argument("latents must be 2 to 256, the batch positive"));
    }
    let mut state = if o.resume { checkpoint::load(&o.state)? } else { begin(data, o, report) };
    if state.net.nodes.len() != data.width() {
        return Err(bad_argument("the checkpoint is of records of another width"));
    }
    for (v, n) in state.net.nodes.iter_mut().enumerate() {
        n.ordinal = data.alphabets[data.alphabet[v]].ordinal;
    }
    if o.prune > 0.0 {
        let before = state.net.parameters();
        start::prune(&mut state.net, o.prune);
        report(Event::Pruned { before, parameters: state.net.parameters() });
    }
    if o.prune_edges > 0.0 {
        start::prune_edges(&mut state.net, o.prune_edges);
        report(Event::PrunedEdges { parameters: state.net.positive() });
    }
    if o.grow {
        let states = start::states(data, o.latents);
        start::grow(&mut state.net, &states, NOISE, o.seed ^ state.epoch as u64);
        report(Event::Grown { parameters: state.net.parameters() });
    }
    let held = |r: &u32| o.hold_out > 0 && (*r as usize) % o.hold_out == o.hold_out - 1;
    let all = 0..data.records as u32;
    let (valid, mut rows): (Vec<u32>, Vec<u32>) = all.partition(held);
    let batch = o.batch.min(rows.len());
    let mut work = Workspace::new(data.width());
    let bits = |b: f64| (b + data.inside_bits / data.records as f64) / data.width() as f64;
    let pseudo = o.pseudo;
    let mut done =
        |full: bool, number: usize, found: f64, net: &Network, clock: Instant, work: &mut Workspace| {
            let seconds = clock.elapsed().as_secs_f64();
            let held_out = (!valid.is_empty()).then(|| bits(measure(net, data, &valid, batch, work)));
            report(Event::Pass { full, number, bits_per_dimension: bits(found), held_out, seconds });
        };
    if o.prune > 0.0 || o.prune_edges > 0.0 || o.grow {
        state.epoch = 0;
    }
    while state.epoch < o.epochs {
        let clock = Instant::now();
        let epoch = state.epoch;
        let mut random = Random(o.seed.wrapping_mul(1009).wrapping_add(epoch as u64));
        rows.sort_unstable();
        random.shuffle(&mut rows);
        // From the first step to the last, falling by a constant factor.
        let step = |done: f32| {
            let way = (epoch as f32 + done) / o.epochs as f32;
            o.step.0 * (o.step.1 / o.step.0).powf(way)
        };
        let found = stochastic_pass(&mut state.net, data, &rows, batch, step, pseudo, &mut work);
        state.epoch += 1;
        done(false, state.epoch, found, &state.net, clock, &mut work);
        checkpoint::save(&o.state, &state)?;
        export(&state)?;
    }
    for pass in 0..o.full {
        let clock = Instant::now();
        let found = full_pass(&mut state.net, data, &rows, batch, pseudo, &mut work);
        done(true, pass + 1, found, &state.net, clock, &mut work);
        checkpoint::save(&o.state, &state)?;
        export(&state)?;
    }
    Ok(state)
}

fn begin(data: &Dataset, o: &CircuitOptions, report: &mut dyn FnMut(Event)) -> State {
    let clock = Instant::now();
    let tree = structure::learn(data, TREE_ROWS);
    let states = start::states(data, o.latents);
    let classes: Vec<usize> = (0..data.width()).map(|v| data.classes(v)).collect();
    let mut net = Network::new(&tree, &states, &classes);
    net.products = Products::Fast(fast);
    start::from_clusters(&mut net, data, &tree, o.seed);
    report(Event::Start {
        records: data.records,
        variables: data.width(),
        parameters: net.parameters(),
        seconds: clock.elapsed().as_secs_f64(),
    });
    State { epoch: 0, alphabets: data.alphabets.clone(), alphabet: data.alphabet.clone(), net }
}
