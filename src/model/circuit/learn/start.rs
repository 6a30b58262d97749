//! The starting points of learning: hidden states from clusters of records, and more states from fewer.
//!
//! Expectation maximisation only finds what is near its start, so good starts matter: a variable's first
//! states are clusters by the variables that tell most about it.

use rayon::prelude::*;

use super::data::Dataset;
use super::logarithm::log2;
use super::network::{LearnedNode, Network};
use super::random::Random;
use super::structure::Tree;

/// The number of other variables by which a variable's records are clustered.
const NEIGHBOURS: usize = 8;
/// The number of records from which centres are learned, and the number of rounds.
const CLUSTER_ROWS: usize = 4096;
const CLUSTER_ROUNDS: usize = 6;
/// The number of random coordinates for a class of an unordered alphabet.
const SPREAD: usize = 3;

/// The entropy in bits of the classes of each variable.
pub fn entropies(data: &Dataset) -> Vec<f64> {
    let of = |v: usize| {
        let mut counts = vec![0usize; data.classes(v)];
        data.columns[v].iter().for_each(|&c| counts[usize::from(c)] += 1);
        let n = data.records as f64;
        counts.iter().filter(|&&c| c > 0).map(|&c| -(c as f64 / n) * log2(c as f64 / n)).sum()
    };
    (0..data.width()).into_par_iter().map(of).collect()
}

/// The number of states for each variable: more for higher entropy, in steps of 8, at most `most`.
pub fn states(data: &Dataset, most: usize) -> Vec<usize> {
    let h = entropies(data);
    let mut sorted = h.clone();
    sorted.sort_by(f64::total_cmp);
    let high = sorted[sorted.len() * 3 / 4].max(1e-6);
    let scaled = |h: f64| ((h / high).sqrt().min(1.0) * most as f64 / 8.0).ceil() as usize * 8;
    h.iter().map(|&h| if h < 1e-9 { 2.min(most) } else { scaled(h).clamp(8.min(most), most) }).collect()
}

/// The coordinates of each class of a variable, by which records are clustered.
fn places(data: &Dataset, v: usize) -> Vec<Vec<f32>> {
    let a = &data.alphabets[data.alphabet[v]];
    if a.ordinal {
        return a.positions().into_iter().map(|p| vec![p]).collect();
    }
    let mut random = Random(v as u64 ^ 0xC1A5);
    (0..a.classes).map(|_| (0..SPREAD).map(|_| 0.4 * random.normal()).collect()).collect()
}

/// Clusters the records by a variable and its neighbours (k-means); returns the cluster of each record, below
/// `k`.
fn cluster(data: &Dataset, tree: &Tree, v: usize, k: usize, seed: u64) -> Vec<u8> {
    if k < 2 {
        return vec![0; data.records];
    }
    let own = entropies_of(data, v).max(1e-3) as f32;
    let mut looks = vec![(v, 1f32)];
    looks.extend(
        tree.neighbours[v]
            .iter()
            .take(NEIGHBOURS)
            .map(|&(m, o)| (o, (m as f32 / 1000.0 / own).min(1.0).sqrt())),
    );
    let tables: Vec<(usize, Vec<Vec<f32>>)> = looks
        .iter()
        .map(|&(o, w)| {
            (o, places(data, o).into_iter().map(|p| p.into_iter().map(|x| x * w).collect()).collect())
        })
        .collect();
    let dims: usize = tables.iter().map(|(_, t)| t[0].len()).sum();
    let point = |n: usize, into: &mut Vec<f32>| {
        into.clear();
        for (o, t) in &tables {
            into.extend_from_slice(&t[usize::from(data.columns[*o][n])]);
        }
    };
    let mut random = Random(seed ^ (v as u64) << 20);
    let sample: Vec<usize> =
        (0..CLUSTER_ROWS.min(data.records)).map(|_| random.below(data.records)).collect();
    // Centres are stored dimension by dimension, so that distances to all of them are computed side by side.
    let mut centres = vec![0f32; dims * k];
    let mut p = Vec::new();
    for j in 0..k {
        point(sample[random.below(sample.len())], &mut p);
        (0..dims).for_each(|d| centres[d * k + j] = p[d] + 0.02 * random.normal());
    }
    let mut distance = vec![0f32; k];
    let nearest = |p: &[f32], centres: &[f32], distance: &mut [f32]| {
        distance.fill(0.0);
        for (d, &x) in p.iter().enumerate() {
            distance.iter_mut().zip(&centres[d * k..]).for_each(|(s, &c)| *s += (x - c) * (x - c));
        }
        let mut best = 0;
        (1..k).for_each(|j| {
            if distance[j] < distance[best] {
                best = j
            }
        });
        best
    };
    for _ in 0..CLUSTER_ROUNDS {
        let (mut sums, mut mass) = (vec![0f32; dims * k], vec![0f32; k]);
        for &n in &sample {
            point(n, &mut p);
            let j = nearest(&p, &centres, &mut distance);
            mass[j] += 1.0;
            (0..dims).for_each(|d| sums[d * k + j] += p[d]);
        }
        for j in 0..k {
            if mass[j] > 0.0 {
                (0..dims).for_each(|d| centres[d * k + j] = sums[d * k + j] / mass[j]);
            } else {
                point(sample[random.below(sample.len())], &mut p);
                (0..dims).for_each(|d| centres[d * k + j] = p[d] + 0.02 * random.normal());
            }
        }
    }
    (0..data.records)
        .map(|n| {
            point(n, &mut p);
            nearest(&p, &centres, &mut distance) as u8
        })
        .collect()
}

/// The entropy in bits of the classes of one variable.
fn entropies_of(data: &Dataset, v: usize) -> f64 {
    let mut counts = vec![0usize; data.classes(v)];
    data.columns[v].iter().for_each(|&c| counts[usize::from(c)] += 1);
    let n = data.records as f64;
    counts.iter().filter(|&&c| c > 0).map(|&c| -(c as f64 / n) * log2(c as f64 / n)).sum()
}

/// Sets all parameters as if the clusters of the records were their states.
pub fn from_clusters(net: &mut Network, data: &Dataset, tree: &Tree, seed: u64) {
    let states: Vec<usize> = net.nodes.iter().map(|n| n.states).collect();
    let assigned: Vec<Vec<u8>> =
        (0..data.width()).into_par_iter().map(|v| cluster(data, tree, v, states[v], seed)).collect();
    let zero = vec![0u8; data.records];
    net.nodes.par_iter_mut().enumerate().for_each(|(v, node)| {
        let above = node.parent.map_or(&zero, |p| &assigned[p]);
        let k = node.states;
        let mut random = Random(seed ^ (v as u64) << 32);
        node.prior = prior(data, v);
        node.ordinal = data.alphabets[data.alphabet[v]].ordinal;
        // Small random counts everywhere, so that no parameter starts at 0 and stays there.
        for u in 0..node.above {
            (0..k).for_each(|j| node.edge[u * k + j] = (1.0 + random.unit()) * 0.5);
        }
        for c in 0..node.classes {
            (0..k).for_each(|j| node.leaf[c * k + j] = node.prior[c] * (1.0 + random.unit()) * 2.0);
        }
        for n in 0..data.records {
            let (u, j, c) = (above[n] as usize, assigned[v][n] as usize, data.columns[v][n] as usize);
            node.edge[u * k + j] += 1.0;
            node.leaf[c * k + j] += 1.0;
        }
        normalise(node);
    });
}

/// Turns counts into probabilities and masses.
pub fn normalise(node: &mut LearnedNode) {
    let k = node.states;
    node.edge_mass = node.edge.chunks_exact(k).map(|row| row.iter().sum()).collect();
    for (row, m) in node.edge.chunks_exact_mut(k).zip(&node.edge_mass) {
        row.iter_mut().for_each(|p| *p /= m);
    }
    node.leaf_mass = (0..k).map(|j| node.leaf.iter().skip(j).step_by(k).sum()).collect();
    for row in node.leaf.chunks_exact_mut(k) {
        row.iter_mut().zip(&node.leaf_mass).for_each(|(p, m)| *p /= m);
    }
}

/// The frequencies of the classes of a variable, with a small count for each.
fn prior(data: &Dataset, v: usize) -> Vec<f32> {
    let a = &data.alphabets[data.alphabet[v]];
    let mut counts = vec![0.0f32; a.classes];
    data.columns[v].iter().for_each(|&c| counts[usize::from(c)] += 1.0);
    let even = (data.records as f32 * 0.01).max(1.0) / a.classes as f32;
    counts.iter_mut().for_each(|c| *c += even);
    let total: f32 = counts.iter().sum();
    counts.iter().map(|c| c / total).collect()
}

/// Splits states in two, with noise that lets learning tell the halves apart: variable v gets `states[v]`
/// states, at most twice as many as it had. The states that hold the most records are split.
pub fn grow(net: &mut Network, states: &[usize], noise: f32, seed: u64) {
    let origin: Vec<Vec<usize>> = net
        .nodes
        .iter()
        .zip(states)
        .map(|(n, &wanted)| {
            let mut order: Vec<usize> = (0..n.states).collect();
            order.sort_by(|&a, &b| n.leaf_mass[b].total_cmp(&n.leaf_mass[a]).then(a.cmp(&b)));
            let more = wanted.saturating_sub(n.states).min(n.states);
            (0..n.states).chain(order.into_iter().take(more)).collect()
        })
        .collect();
    rebuild_all(net, &origin, noise, seed);
}

/// Removes states that hold less than `share` of an equal share of the records. The number of states stays
/// even.
pub fn prune(net: &mut Network, share: f32) {
    let kept: Vec<Vec<usize>> = net
        .nodes
        .iter()
        .map(|n| {
            let even = n.leaf_mass.iter().sum::<f32>() / n.states as f32;
            let mut order: Vec<usize> = (0..n.states).collect();
            order.sort_by(|&a, &b| n.leaf_mass[b].total_cmp(&n.leaf_mass[a]).then(a.cmp(&b)));
            let stay = order.iter().filter(|&&j| n.leaf_mass[j] >= share * even).count();
            order.truncate(stay.next_multiple_of(2).clamp(2.min(n.states), n.states));
            order.sort_unstable();
            order
        })
        .collect();
    rebuild_all(net, &kept, 0.0, 0);
}

/// Removes edges along which fewer than `flow` records are expected to go, except for the strongest of each
/// row and column.
pub fn prune_edges(net: &mut Network, flow: f32) {
    net.nodes.par_iter_mut().for_each(|n| {
        let k = n.states;
        let mut column = vec![0f32; k];
        for (row, m) in n.edge.chunks_exact(k).zip(&n.edge_mass) {
            column.iter_mut().zip(row).for_each(|(c, p)| *c = c.max(p * m));
        }
        for (row, m) in n.edge.chunks_exact_mut(k).zip(&n.edge_mass) {
            let most = row.iter().copied().fold(0.0, f32::max);
            for (p, c) in row.iter_mut().zip(&column) {
                if *p * m < flow && *p < most && *p * m < *c {
                    *p = 0.0;
                }
            }
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
    });
}

/// Replaces the states of every variable v by copies of its old states `own[v]`.
fn rebuild_all(net: &mut Network, own: &[Vec<usize>], noise: f32, seed: u64) {
    let one = vec![0];
    let old = std::mem::take(&mut net.nodes);
    net.nodes = old
        .into_par_iter()
        .enumerate()
        .map(|(v, n)| {
            let above = n.parent.map_or(&one, |p| &own[p]);
            rebuild(&n, &own[v], above, noise, &mut Random(seed ^ (v as u64) << 24))
        })
        .collect();
}

/// A node whose states are copies of the old states `own`, and whose parent's states are copies of the old
/// states `above`. The mass of an old state is shared among its copies, each with noise.
pub fn rebuild(
    n: &LearnedNode,
    own: &[usize],
    above: &[usize],
    noise: f32,
    random: &mut Random,
) -> LearnedNode {
    let copies = |of: &[usize], len: usize| {
        let mut c = vec![0f32; len];
        of.iter().for_each(|&o| c[o] += 1.0);
        c
    };
    let (own_copies, above_copies) = (copies(own, n.states), copies(above, n.above));
    let k = own.len();
    let mut factor = || (1.0 + noise * random.normal()).max(0.1);
    let mut edge = vec![0f32; above.len() * k];
    for (u, &from) in above.iter().enumerate() {
        for (j, &to) in own.iter().enumerate() {
            let mass = n.edge_mass[from] * n.edge[from * n.states + to];
            if mass > 0.0 {
                edge[u * k + j] = mass / above_copies[from] / own_copies[to] * factor() + 1e-6;
            }
        }
    }
    let mut leaf = vec![0f32; n.classes * k];
    for c in 0..n.classes {
        for (j, &to) in own.iter().enumerate() {
            leaf[c * k + j] = n.leaf_mass[to] * n.leaf[c * n.states + to] / own_copies[to] * factor() + 1e-6;
        }
    }
    let mut node = LearnedNode {
        parent: n.parent,
        states: k,
        above: above.len(),
        classes: n.classes,
        edge,
        leaf,
        prior: n.prior.clone(),
        ordinal: n.ordinal,
        ..LearnedNode::default()
    };
    normalise(&mut node);
    node
}
