//! Expectation maximisation: passes over batches with a falling step size (Cappé and Moulines, "On-line
//! expectation-maximization algorithm for latent data models", 2009), then passes over all records.
//!
//! A step moves sufficient statistics, not parameters: the counts for which a node's parameters stand
//! (parameters times mass) keep the weight 1 − γ, and those of the batch, scaled to the whole data set, enter
//! with the weight γ. So states that are rarely used keep what they know where a batch says little about
//! them.

use rayon::prelude::*;

use super::data::Dataset;
use super::network::{Counts, LearnedNode, Messages, Network};
use super::product::Products;

/// The pseudocounts of each state, which keep parameters away from 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pseudo {
    /// Spread over a row of edges in proportion to the mass of the states.
    pub edge: f32,
    /// Spread over a row of edges in the same way as over rows that lead to the same states.
    pub borrow: f32,
    /// Spread over the classes in proportion to their frequencies in all states.
    pub leaf: f32,
    /// Spread over the classes of an ordinal alphabet in proportion to the probabilities of their neighbours.
    pub smooth: f32,
}

/// The number of steps between two computations of how rows resemble each other.
const LOOK_EVERY: usize = 8;

/// Computes for each row of edges the mean of the rows that lead to the same states, by going back along the
/// edges and down again.
fn look_around(products: Products, node: &mut LearnedNode) {
    let (k, a) = (node.states, node.above);
    if a < 2 {
        node.base.clear();
        return;
    }
    let mut flow = node.edge.clone();
    flow.chunks_exact_mut(k).zip(&node.edge_mass).for_each(|(row, m)| row.iter_mut().for_each(|p| *p *= m));
    let mut sums = vec![1e-20f32; k];
    flow.chunks_exact(k).for_each(|row| sums.iter_mut().zip(row).for_each(|(s, p)| *s += p));
    flow.chunks_exact_mut(k).for_each(|row| row.iter_mut().zip(&sums).for_each(|(p, s)| *p /= s));
    let mut around = vec![0f32; k * k];
    products.product((k, k, a), &mut around, false, &flow, (1, k), &node.edge, (k, 1));
    node.base.resize(a * k, 0.0);
    products.product((a, k, k), &mut node.base, false, &node.edge, (k, 1), &around, (k, 1));
}

/// The mean probability of the neighbours of class c in state j; `leaf` is `classes × k`.
fn neighbours(leaf: &[f32], k: usize, c: usize, j: usize) -> f32 {
    let at = |c: usize| leaf[c * k + j];
    let last = leaf.len() / k - 1;
    0.5 * (at(c.saturating_sub(1)) + at((c + 1).min(last)))
}

/// Messages and counts of a batch, in memory that serves all batches.
pub struct Workspace {
    messages: Vec<Messages>,
    counts: Vec<Counts>,
    batch: Vec<Vec<u8>>,
}

impl Workspace {
    /// Memory for `width` variables.
    pub fn new(width: usize) -> Self {
        let new = || Messages::default();
        Self {
            messages: (0..width).map(|_| new()).collect(),
            counts: vec![Counts::default(); width],
            batch: vec![Vec::new(); width],
        }
    }

    /// Gathers the classes of a batch of records.
    fn gather(&mut self, data: &Dataset, rows: &[u32]) {
        self.batch.par_iter_mut().zip(&data.columns).for_each(|(b, column)| {
            b.clear();
            b.extend(rows.iter().map(|&r| column[r as usize]));
        });
    }
}

/// Replaces the statistics of a node by a mixture of its own and `counts` times `scale`.
fn maximise(node: &mut LearnedNode, counts: &mut Counts, step: f32, scale: f32, pseudo: Pseudo) {
    let k = node.states;
    // Pseudocounts of edges mostly go to states that hold many records.
    let all: f32 = node.leaf_mass.iter().sum();
    let share: Vec<f32> =
        node.leaf_mass.iter().map(|m| pseudo.edge * (0.9 * m / all + 0.1 / k as f32)).collect();
    for (u, row) in node.edge.chunks_exact_mut(k).enumerate() {
        let keep = (1.0 - step) * node.edge_mass[u];
        let counts = &mut counts.edge[u * k..][..k];
        let base = node.base.get(u * k..(u + 1) * k).unwrap_or(&share);
        let borrow = if node.base.is_empty() { 0.0 } else { pseudo.borrow };
        let mut sum = 0f32;
        for (((p, c), share), base) in row.iter_mut().zip(counts).zip(&share).zip(base) {
            // Edges that have been pruned stay pruned.
            if *p > 0.0 {
                *p = keep * *p + step * (scale * *c * *p + share + borrow * base);
            }
            *c = 0.0;
            sum += *p;
        }
        let over = 1.0 / sum;
        row.iter_mut().for_each(|p| *p *= over);
        node.edge_mass[u] = sum;
    }
    let mut sums = vec![0f32; k];
    let keep: Vec<f32> = node.leaf_mass.iter().map(|m| (1.0 - step) * m).collect();
    if node.ordinal && pseudo.smooth > 0.0 {
        // Counts are scaled in the pass below.
        let more = pseudo.smooth / scale;
        for c in 0..node.classes {
            (0..k).for_each(|j| counts.leaf[c * k + j] += more * neighbours(&node.leaf, k, c, j));
        }
    }
    for (c, row) in node.leaf.chunks_exact_mut(k).enumerate() {
        let share = step * pseudo.leaf * node.prior[c];
        let counts = &mut counts.leaf[c * k..][..k];
        for j in 0..k {
            row[j] = keep[j] * row[j] + step * scale * counts[j] + share;
            counts[j] = 0.0;
            sums[j] += row[j];
        }
    }
    let over: Vec<f32> = sums.iter().map(|s| 1.0 / s).collect();
    for row in node.leaf.chunks_exact_mut(k) {
        row.iter_mut().zip(&over).for_each(|(p, o)| *p *= o);
    }
    node.leaf_mass = sums;
}

/// Makes one pass over the rows in batches of `size`, in the order given. `step` maps the share of the pass
/// done so far, 0..1, to the step size. Returns the mean bits of a record (without those within classes);
/// each batch is measured before it is learned from.
pub fn stochastic_pass(
    net: &mut Network,
    data: &Dataset,
    rows: &[u32],
    size: usize,
    step: impl Fn(f32) -> f32,
    pseudo: Pseudo,
    work: &mut Workspace,
) -> f64 {
    let (mut bits, total) = (0f64, rows.len());
    for (i, rows) in rows.chunks_exact(size).enumerate() {
        work.gather(data, rows);
        let found = net.forward(&work.batch, &mut work.messages);
        bits -= found.iter().map(|&b| f64::from(b)).sum::<f64>();
        let scale = total as f32 / size as f32;
        let gamma = step((i * size) as f32 / total as f32);
        let products = net.products;
        let look = pseudo.borrow > 0.0 && i % LOOK_EVERY == 0;
        let learn = |node: &mut LearnedNode, counts: &mut Counts| {
            if look {
                look_around(products, node);
            }
            maximise(node, counts, gamma, scale, pseudo);
        };
        net.backward(&work.batch, &mut work.messages, &mut work.counts, learn);
    }
    bits / (total / size * size) as f64
}

/// Makes one pass over all rows, and then one step of size 1. Returns the mean bits of a record before the
/// step.
pub fn full_pass(
    net: &mut Network,
    data: &Dataset,
    rows: &[u32],
    size: usize,
    pseudo: Pseudo,
    work: &mut Workspace,
) -> f64 {
    let mut bits = 0f64;
    for rows in rows.chunks(size) {
        work.gather(data, rows);
        let found = net.forward(&work.batch, &mut work.messages);
        bits -= found.iter().map(|&b| f64::from(b)).sum::<f64>();
        net.backward(&work.batch, &mut work.messages, &mut work.counts, |_, _| {});
    }
    let (counts, products) = (&mut work.counts, net.products);
    net.nodes.par_iter_mut().zip(counts).for_each(|(n, c)| {
        if pseudo.borrow > 0.0 {
            look_around(products, n);
        }
        maximise(n, c, 1.0, 1.0, pseudo);
    });
    bits / rows.len() as f64
}

/// Measures the mean bits of a record, without those within classes.
pub fn measure(net: &Network, data: &Dataset, rows: &[u32], size: usize, work: &mut Workspace) -> f64 {
    let mut bits = 0f64;
    for rows in rows.chunks(size) {
        work.gather(data, rows);
        bits -= net.forward(&work.batch, &mut work.messages).iter().map(|&b| f64::from(b)).sum::<f64>();
    }
    bits / rows.len() as f64
}
