//! A hidden Chow-Liu tree in floats, and the expectation step of learning over a batch of records.
//!
//! Each variable has a hidden variable of K states, whose distribution is chosen by the parent's state, and
//! which itself chooses the distribution of the variable's class. Messages are matrices of batch × K, and all
//! heavy work is products of matrices. The variables of one depth are processed in parallel, each by one
//! thread, so results do not depend on the number of threads.

use rayon::prelude::*;

use super::logarithm::log2;
use super::product::Products;
use super::structure::Tree;

/// The smallest entry of a message relative to the largest of its record. It keeps products away from
/// denormals.
const FLOOR: f32 = 1e-17;

/// A variable with its hidden variable, and the parameters that are being learned.
#[derive(Debug, Clone, Default)]
pub struct LearnedNode {
    /// The parent variable; `None` for the root.
    pub parent: Option<usize>,
    /// The number of states of the hidden variable.
    pub states: usize,
    /// The number of states of the parent's hidden variable; 1 at the root.
    pub above: usize,
    /// The number of classes.
    pub classes: usize,
    /// `above × states`: the probability of the state, given the parent's.
    pub edge: Vec<f32>,
    /// `classes × states`: the probability of the class, given the state.
    pub leaf: Vec<f32>,
    /// The expected number of records in each of the parent's states, over a data set.
    pub edge_mass: Vec<f32>,
    /// The expected number of records in each of its own states.
    pub leaf_mass: Vec<f32>,
    /// The probabilities of the classes to which pseudocounts are proportional.
    pub prior: Vec<f32>,
    /// Whether neighbouring classes resemble each other.
    pub ordinal: bool,
    /// The probabilities of the edges to which pseudocounts are proportional, `above × states`; empty where
    /// there are none.
    pub base: Vec<f32>,
}

/// The expected counts of one node divided by its parameters: multiplied by these, they are the counts.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub edge: Vec<f32>,
    pub leaf: Vec<f32>,
}

/// Messages of one node for a batch: `batch × states`, and `batch × above`.
#[derive(Debug, Default)]
pub struct Messages {
    /// The belief from below; after the backward pass, the expected states.
    own: Vec<f32>,
    /// The message to the parent; after the backward pass, the flow through the edge divided by this message.
    up: Vec<f32>,
    /// For each record, the power of two that has been taken out of `own`, at this node and below.
    exponent: Vec<i32>,
}

/// The whole tree.
#[derive(Debug, Clone)]
pub struct Network {
    /// The variables.
    pub nodes: Vec<LearnedNode>,
    /// The children of each variable.
    pub children: Vec<Vec<usize>>,
    /// The variables by depth; the root is alone in the first level.
    pub levels: Vec<Vec<usize>>,
    /// How products of matrices are computed.
    pub products: Products,
}

impl Network {
    /// A tree whose nodes have no parameters yet.
    pub fn new(tree: &Tree, states: &[usize], classes: &[usize]) -> Self {
        let d = states.len();
        let mut children = vec![Vec::new(); d];
        let mut levels = vec![Vec::new()];
        for v in 0..d {
            match tree.parent[v] {
                Some(p) => children[p].push(v),
                None => levels[0].push(v),
            }
        }
        while let Some(last) = levels.last() {
            let next: Vec<usize> = last.iter().flat_map(|&v| children[v].iter().copied()).collect();
            if next.is_empty() {
                break;
            }
            levels.push(next);
        }
        let node = |v: usize| {
            let parent = tree.parent[v];
            let (k, above, c) = (states[v], parent.map_or(1, |p| states[p]), classes[v]);
            LearnedNode {
                parent,
                states: k,
                above,
                classes: c,
                edge: vec![0.0; above * k],
                leaf: vec![0.0; c * k],
                edge_mass: vec![0.0; above],
                leaf_mass: vec![0.0; k],
                prior: vec![1.0 / c as f32; c],
                ordinal: false,
                base: Vec::new(),
            }
        };
        Self { nodes: (0..d).map(node).collect(), children, levels, products: Products::default() }
    }

    /// The upward pass: returns the binary logarithm of the likelihood of each record of a batch, whose
    /// classes for variable v are `batch[v]`.
    pub fn forward(&self, batch: &[Vec<u8>], messages: &mut [Messages]) -> Vec<f32> {
        for level in self.levels.iter().rev() {
            let mut taken: Vec<(usize, Messages)> =
                level.iter().map(|&v| (v, std::mem::take(&mut messages[v]))).collect();
            let below = &*messages;
            taken.par_iter_mut().for_each(|(v, m)| self.up(*v, &batch[*v], m, below));
            taken.into_iter().for_each(|(v, m)| messages[v] = m);
        }
        let root = &messages[self.levels[0][0]];
        root.up
            .iter()
            .zip(&root.exponent)
            .map(|(&p, &e)| log2(f64::from(p).max(1e-300)) as f32 + e as f32)
            .collect()
    }

    /// Computes the messages of one variable.
    fn up(&self, v: usize, classes: &[u8], m: &mut Messages, below: &[Messages]) {
        let node = &self.nodes[v];
        let (n, k) = (classes.len(), node.states);
        m.own.resize(n * k, 0.0);
        m.up.resize(n * node.above, 0.0);
        m.exponent.clear();
        m.exponent.resize(n, 0);
        for (row, &c) in m.own.chunks_exact_mut(k).zip(classes) {
            row.copy_from_slice(&node.leaf[usize::from(c) * k..][..k]);
        }
        for &child in &self.children[v] {
            multiply(&mut m.own, &below[child].up);
            m.exponent.iter_mut().zip(&below[child].exponent).for_each(|(a, &b)| *a += b);
            if self.children[v].len() > 1 {
                rescale(&mut m.own, k, &mut m.exponent);
            }
        }
        if self.children[v].len() <= 1 {
            rescale(&mut m.own, k, &mut m.exponent);
        }
        self.products.product((n, node.above, k), &mut m.up, false, &m.own, (k, 1), &node.edge, (1, k));
    }

    /// The downward pass after `forward`: calls `learn` with the expected counts of each node once its
    /// parameters are no longer needed, so that it may replace them.
    pub fn backward(
        &mut self,
        batch: &[Vec<u8>],
        messages: &mut [Messages],
        counts: &mut [Counts],
        learn: impl Fn(&mut LearnedNode, &mut Counts) + Sync,
    ) {
        for level in &self.levels {
            let mut taken: Vec<(usize, Messages, LearnedNode, Counts)> = level
                .iter()
                .map(|&v| {
                    let (m, node) = (std::mem::take(&mut messages[v]), std::mem::take(&mut self.nodes[v]));
                    (v, m, node, std::mem::take(&mut counts[v]))
                })
                .collect();
            let (above, products) = (&*messages, self.products);
            taken.par_iter_mut().for_each(|(v, m, node, counts)| {
                down(products, node, &batch[*v], m, node.parent.map(|p| &above[p].own[..]), counts);
                learn(node, counts);
            });
            for (v, m, node, c) in taken {
                messages[v] = m;
                self.nodes[v] = node;
                counts[v] = c;
            }
        }
    }

    /// The number of parameters that are not 0.
    pub fn positive(&self) -> usize {
        let of = |v: &[f32]| v.iter().filter(|&&p| p > 0.0).count();
        self.nodes.iter().map(|n| of(&n.edge) + of(&n.leaf)).sum()
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.nodes.iter().map(|n| n.edge.len() + n.leaf.len()).sum()
    }
}

/// Computes the expected states and counts of one variable from the expected states `above` of its parent.
fn down(
    products: Products,
    node: &LearnedNode,
    classes: &[u8],
    m: &mut Messages,
    above: Option<&[f32]>,
    counts: &mut Counts,
) {
    let (n, k, a) = (classes.len(), node.states, node.above);
    match above {
        Some(flow) => divide(&mut m.up, flow),
        None => m.up.iter_mut().for_each(|p| *p = 1.0 / *p),
    }
    counts.edge.resize(a * k, 0.0);
    counts.leaf.resize(node.classes * k, 0.0);
    products.product((a, k, n), &mut counts.edge, true, &m.up, (1, a), &m.own, (k, 1));
    let mut back = vec![0f32; n * k];
    products.product((n, k, a), &mut back, false, &m.up, (a, 1), &node.edge, (k, 1));
    flow(&mut m.own, &back);
    for (row, &c) in m.own.chunks_exact(k).zip(classes) {
        add(&mut counts.leaf[usize::from(c) * k..][..k], row);
    }
}

/// Multiplies `a` by `b`, entry by entry.
fn multiply(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, &b)| *a *= b);
}

/// Adds `b` to `a`.
fn add(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, &b)| *a += b);
}

/// Turns beliefs from below into expected states; very small ones become 0.
fn flow(own: &mut [f32], back: &[f32]) {
    own.iter_mut().zip(back).for_each(|(o, &b)| {
        let f = *o * b;
        *o = if f > 1e-12 { f } else { 0.0 };
    });
}

/// Divides the expected states of the parent by the messages, entry by entry.
fn divide(up: &mut [f32], flow: &[f32]) {
    up.iter_mut().zip(flow).for_each(|(u, &f)| *u = f / *u);
}

/// Takes a power of two out of the message of each record, so that its largest entry is in 1..2.
fn rescale(own: &mut [f32], k: usize, exponent: &mut [i32]) {
    for (row, e) in own.chunks_exact_mut(k).zip(exponent) {
        let mut top = [0f32; 8];
        let (head, tail) = row.as_chunks::<8>();
        for chunk in head {
            for i in 0..8 {
                top[i] = if chunk[i] > top[i] { chunk[i] } else { top[i] };
            }
        }
        let most = top.iter().chain(tail).fold(0f32, |a, &b| if b > a { b } else { a });
        let power = ((most.to_bits() >> 23) as i32 - 127).clamp(-120, 120);
        *e += power;
        let scale = f32::from_bits(((127 - power) as u32) << 23);
        row.iter_mut().for_each(|x| {
            let y = *x * scale;
            *x = if y > FLOOR { y } else { FLOOR };
        });
    }
}
