//! The tree: the spanning tree with the greatest mutual information between its neighbours (Chow and Liu,
//! "Approximating discrete probability distributions with dependence trees", 1968), rooted at its centre so
//! that it is shallow.

use rayon::prelude::*;

use super::data::Dataset;
use super::logarithm::log2;

/// The number of bins to which classes are reduced for mutual information.
const BINS: usize = 16;

/// A rooted tree over the variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The parent of each variable; `None` for the root.
    pub parent: Vec<Option<usize>>,
    /// For each variable, the other variables that share most information with it, strongest first:
    /// (millibits, variable).
    pub neighbours: Vec<Vec<(u32, usize)>>,
}

/// The mutual information, in bits, of all pairs of variables, row-major, measured on about `rows` of the
/// records.
fn mutual_information(data: &Dataset, rows: usize) -> Vec<f32> {
    let d = data.width();
    let step = (data.records / rows.max(1)).max(1);
    let columns: Vec<Vec<u8>> = (0..d)
        .map(|v| {
            let map = coarse(data, v);
            data.columns[v].iter().step_by(step).map(|&c| map[usize::from(c)]).collect()
        })
        .collect();
    let n = columns[0].len() as f64;
    let plogp: Vec<f64> =
        (0..=columns[0].len()).map(|c| if c == 0 { 0.0 } else { c as f64 * log2(c as f64) }).collect();
    let entropy: Vec<f64> = columns
        .iter()
        .map(|c| {
            let mut h = [0u32; BINS];
            c.iter().for_each(|&x| h[usize::from(x)] += 1);
            log2(n) - h.iter().map(|&x| plogp[x as usize]).sum::<f64>() / n
        })
        .collect();
    let mut all = vec![0f32; d * d];
    all.par_chunks_mut(d).enumerate().for_each(|(a, row)| {
        for b in 0..d {
            if a == b || entropy[a] < 1e-9 || entropy[b] < 1e-9 {
                continue;
            }
            let mut h = [0u32; BINS * BINS];
            columns[a]
                .iter()
                .zip(&columns[b])
                .for_each(|(&x, &y)| h[usize::from(x) * BINS + usize::from(y)] += 1);
            let joint = log2(n) - h.iter().map(|&x| plogp[x as usize]).sum::<f64>() / n;
            row[b] = (entropy[a] + entropy[b] - joint).max(0.0) as f32;
        }
    });
    all
}

/// The bin of each class, below [`BINS`]: in ordinal alphabets, neighbouring classes share a bin; in others,
/// the most common ones have bins of their own, and the rest share one.
fn coarse(data: &Dataset, v: usize) -> Vec<u8> {
    let classes = data.classes(v);
    if classes <= BINS {
        return (0..classes as u8).collect();
    }
    let mut counts = vec![0usize; classes];
    data.columns[v].iter().for_each(|&c| counts[usize::from(c)] += 1);
    if data.alphabets[data.alphabet[v]].ordinal {
        let total: usize = counts.iter().sum();
        let mut before = 0;
        let bin = |c: usize| {
            let b = (before + counts[c] / 2) * BINS / total.max(1);
            before += counts[c];
            b.min(BINS - 1) as u8
        };
        return (0..classes).map(bin).collect();
    }
    let mut order: Vec<usize> = (0..classes).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(counts[c]));
    let mut map = vec![(BINS - 1) as u8; classes];
    order.iter().take(BINS - 1).enumerate().for_each(|(i, &c)| map[c] = i as u8);
    map
}

/// Learns the tree from about `rows` records.
pub fn learn(data: &Dataset, rows: usize) -> Tree {
    let d = data.width();
    let mi = mutual_information(data, rows);
    let neighbours = (0..d)
        .map(|v| {
            let mut others: Vec<(u32, usize)> =
                (0..d).filter(|&o| o != v).map(|o| ((mi[v * d + o] * 1000.0) as u32, o)).collect();
            others.sort_by_key(|&(m, o)| (std::cmp::Reverse(m), o.abs_diff(v), o));
            others.truncate(12);
            others
        })
        .collect();
    let links = spanning_tree(&mi, d);
    let root = centre(&links);
    Tree { parent: orient(&links, root), neighbours }
}

/// The maximum spanning tree, as the neighbours of each variable (Prim's algorithm). Ties go to the variable
/// with the nearest number.
fn spanning_tree(mi: &[f32], d: usize) -> Vec<Vec<usize>> {
    let mut links = vec![Vec::new(); d];
    let mut inside = vec![false; d];
    let mut best = vec![(f32::NEG_INFINITY, usize::MAX); d];
    let mut now = 0;
    for _ in 1..d {
        inside[now] = true;
        for v in (0..d).filter(|&v| !inside[v]) {
            let m = mi[now * d + v];
            let nearer = best[v].1 == usize::MAX || now.abs_diff(v) < best[v].1.abs_diff(v);
            if m > best[v].0 || (m == best[v].0 && nearer) {
                best[v] = (m, now);
            }
        }
        let next =
            (0..d).filter(|&v| !inside[v]).max_by(|&a, &b| best[a].0.total_cmp(&best[b].0).then(b.cmp(&a)));
        let Some(next) = next else { break };
        links[next].push(best[next].1);
        links[best[next].1].push(next);
        now = next;
    }
    links
}

/// The centre of a tree: the variable whose greatest distance from any other is least.
fn centre(links: &[Vec<usize>]) -> usize {
    let farthest = |from: usize| {
        let mut depth = vec![usize::MAX; links.len()];
        let (mut queue, mut i) = (vec![from], 0);
        depth[from] = 0;
        while i < queue.len() {
            let v = queue[i];
            i += 1;
            for &o in &links[v] {
                if depth[o] == usize::MAX {
                    depth[o] = depth[v] + 1;
                    queue.push(o);
                }
            }
        }
        depth[*queue.last().unwrap_or(&from)]
    };
    (0..links.len()).min_by_key(|&v| farthest(v)).unwrap_or(0)
}

/// The parent of each variable when the tree is rooted at `root`.
fn orient(links: &[Vec<usize>], root: usize) -> Vec<Option<usize>> {
    let mut parent = vec![None; links.len()];
    let mut stack = vec![root];
    while let Some(v) = stack.pop() {
        for &o in &links[v] {
            if o != root && parent[v] != Some(o) {
                parent[o] = Some(v);
                stack.push(o);
            }
        }
    }
    parent
}
