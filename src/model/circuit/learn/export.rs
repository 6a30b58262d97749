//! Exports a learned network to the codes of the model file.

use super::data::Partition;
use super::logarithm::log2;
use super::network::Network;
use crate::model::circuit::{Alphabet, Shape, Weights};

/// The least expected number of records along an edge that is kept.
const LEAST_FLOW: f32 = 0.05;
/// Probabilities this many octaves below 1 are left out.
const OCTAVES: f32 = 30.0;

/// Makes the content of the model file, with 2^`log2_steps` steps per octave.
pub fn export(net: &Network, alphabets: &[Partition], alphabet: &[usize], log2_steps: u8) -> Weights {
    let order = order(net);
    let mut place = vec![0u16; order.len()];
    order.iter().enumerate().for_each(|(i, &v)| place[v] = i as u16);
    let code = |p: f32| {
        let a = -log2(f64::from(p.max(1e-30))) as f32;
        let a = (a.max(0.0) * f32::from(1u16 << log2_steps)).round();
        if a > 126.0 || a > OCTAVES * f32::from(1u16 << log2_steps) { 0 } else { a as u8 + 1 }
    };
    let mut weights = Weights {
        log2_steps,
        patch: None,
        alphabets: alphabets.iter().map(stored).collect(),
        nodes: Vec::new(),
        edges: Vec::new(),
        leaves: Vec::new(),
    };
    for &v in &order {
        let n = &net.nodes[v];
        weights.nodes.push(Shape {
            variable: v as u16,
            parent: n.parent.map(|p| place[p]),
            alphabet: alphabet[v] as u16,
            states: n.states as u16,
        });
        let mut edge = Vec::with_capacity(n.edge.len());
        for (row, mass) in n.edge.chunks_exact(n.states).zip(&n.edge_mass) {
            let most = row.iter().copied().fold(0.0, f32::max);
            edge.extend(row.iter().map(|&p| if p < most && p * mass < LEAST_FLOW { 0 } else { code(p) }));
        }
        weights.edges.push(edge);
        weights.leaves.push(n.leaf.iter().map(|&p| code(p)).collect());
    }
    weights
}

/// The stored form of an alphabet.
fn stored(a: &Partition) -> Alphabet {
    let most = a.weight.iter().copied().fold(0.0, f32::max);
    let scale = |w: &f32| (w / most * 65535.0).round().clamp(1.0, 65535.0) as u16;
    Alphabet { class: a.class.clone(), weight: a.weight.iter().map(scale).collect() }
}

/// The order of the nodes: depth first, and among siblings the one with the most nodes below it last. A last
/// child need not send a message upwards, so it saves most to place the largest subtree there.
fn order(net: &Network) -> Vec<usize> {
    let mut below = vec![1usize; net.nodes.len()];
    for level in net.levels.iter().rev() {
        for &v in level {
            if let Some(p) = net.nodes[v].parent {
                below[p] += below[v];
            }
        }
    }
    let (mut order, mut stack) = (Vec::new(), net.levels[0].clone());
    while let Some(v) = stack.pop() {
        order.push(v);
        let mut children = net.children[v].clone();
        children.sort_by_key(|&c| (std::cmp::Reverse(below[c]), c));
        stack.extend(children);
    }
    order
}
