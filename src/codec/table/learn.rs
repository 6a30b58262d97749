//! Learns the circuit of a table from its own records. The result is the same on every machine
//! (`model/circuit/learn`).

use crate::error::Result;
use crate::model::circuit::Weights;
use crate::model::circuit::learn::em::stochastic_pass;
use crate::model::circuit::learn::export::export;
use crate::model::circuit::learn::random::Random;
use crate::model::circuit::learn::{Dataset, Network, Partition, Pseudo, Workspace, start, structure};

/// One variable of the records.
pub struct Variable {
    /// The size of its alphabet, 1..=256: all symbols are smaller.
    pub symbols: usize,
    /// Whether symbols with neighbouring numbers behave alike.
    pub ordinal: bool,
}

/// How much work goes into learning.
#[derive(Debug, Clone, Copy)]
pub struct Learning {
    /// The largest number of states of a hidden variable.
    pub latents: usize,
    /// The number of passes over the records.
    pub passes: usize,
    /// The size in bytes to which the records would have to be coded.
    pub most: usize,
}

/// The largest number of classes of an alphabet.
const CLASSES: usize = 64;
/// The most records that the tree is learned from.
const TREE_ROWS: usize = 8000;
const BATCH: usize = 128;
/// Passes after the second one make the records smaller by less than one part in so many.
const HOPE: usize = 4;
/// log2 of the number of steps per octave with which parameters are stored.
const LOG2_STEPS: u8 = 1;
const PSEUDO: Pseudo = Pseudo { edge: 0.5, borrow: 0.0, leaf: 0.5, smooth: 0.5 };

/// Learns a circuit from records, which lie one after the other with one byte per variable.
///
/// The alphabets, the tree and the numbers of states come from counts; clusters of the records start the
/// parameters, and passes of stochastic expectation maximisation refine them. `None` where the first passes tell that
/// the circuit will not code the records to `most` bytes.
pub fn learn(records: &[u8], variables: &[Variable], effort: Learning) -> Result<Option<Weights>> {
    let width = variables.len();
    let alphabets = (0..width)
        .map(|v| {
            let mut counts = vec![0u64; variables[v].symbols];
            records.iter().skip(v).step_by(width).for_each(|&s| counts[usize::from(s)] += 1);
            Partition::from_counts(&counts, CLASSES, variables[v].ordinal)
        })
        .collect();
    let data = Dataset::with_alphabets(records, width, alphabets, (0..width).collect())?;
    let tree = structure::learn(&data, TREE_ROWS);
    let states = start::states(&data, effort.latents);
    let classes: Vec<usize> = (0..width).map(|v| data.classes(v)).collect();
    let mut net = Network::new(&tree, &states, &classes);
    start::from_clusters(&mut net, &data, &tree, 1);
    let mut rows: Vec<u32> = (0..data.records as u32).collect();
    let batch = BATCH.min(rows.len());
    let mut work = Workspace::new(width);
    for pass in 0..effort.passes {
        Random(pass as u64 + 7).shuffle(&mut rows);
        // The step size falls from 1/4 at the start to 1/64 at the end.
        let step = |done: f32| {
            let way = (pass as f32 + done) / effort.passes as f32;
            0.25 / (1.0 + 15.0 * way * way)
        };
        let bits = stochastic_pass(&mut net, &data, &rows, batch, step, PSEUDO, &mut work);
        let bytes = (bits * data.records as f64 / 8.0) as usize;
        if pass == 1 && bytes - bytes / HOPE > effort.most {
            return Ok(None);
        }
    }
    Ok(Some(export(&net, &data.alphabets, &data.alphabet, LOG2_STEPS)))
}
