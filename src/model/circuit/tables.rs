//! A circuit that is ready to run: turns codes into the integers by which messages are multiplied
//! (`formats/circuit.md`, "Probabilities").

use super::file::{Patch, Weights};
use crate::error::{Error, Result};

/// The weights of an octave: 2^(31 − i/8), rounded.
const OCTAVE: [u32; 8] =
    [2147483648, 1969251188, 1805811301, 1655936265, 1518500250, 1392470869, 1276901417, 1170923762];

/// The entries of a matrix in pairs of neighbours of a row, the lower one in the low half: one pair is what a
/// single vector multiplication takes.
pub type Pairs = Vec<u32>;

/// A variable with its expanded parameters.
#[derive(Debug)]
pub struct Node {
    /// The byte of a record that it codes.
    pub variable: usize,
    /// The index of the parent in the list of nodes; the root has none.
    pub parent: Option<usize>,
    /// The distance from the root.
    pub depth: usize,
    /// The offsets, in states, of this node's messages and of its parent's in the stack.
    pub slot: usize,
    pub above_slot: usize,
    /// The number of states, even.
    pub states: usize,
    /// The number of states of the parent; 1 at the root.
    pub above: usize,
    /// The number of classes.
    pub classes: usize,
    /// The number of its alphabet.
    pub alphabet: usize,
    /// The edge matrix, `above × states`, for messages upwards. At the root it is one row, the prior.
    pub up: Pairs,
    /// The same transposed, `states × above`, for messages downwards; empty at the root.
    pub down: Pairs,
    /// The leaf matrix, `classes × states`.
    pub leaf: Pairs,
    /// For each class, the right shift of its sum.
    pub shift: Vec<u8>,
    /// Whether anything that is coded after its subtree depends on its message to the parent.
    pub sends: bool,
    /// Whether it is its parent's last child.
    pub last: bool,
}

/// The coding tables of an alphabet.
#[derive(Debug)]
pub struct Symbols {
    /// The class of each symbol.
    pub class: Vec<u8>,
    /// The index of each symbol within its class.
    pub place: Vec<u8>,
    /// The symbols of each class, in order.
    pub members: Vec<Vec<u8>>,
    /// The weights of the symbols of each class.
    pub weights: Vec<Vec<u32>>,
}

/// A circuit, ready to run.
#[derive(Debug)]
pub struct Model {
    /// The nodes, depth first.
    pub nodes: Vec<Node>,
    /// The alphabets.
    pub alphabets: Vec<Symbols>,
    /// The patch that forms a record, where records come from pictures.
    pub patch: Option<Patch>,
    /// The most states of all messages that are held at a time: a walk holds one message per depth.
    pub stack: usize,
    /// The most states, and the most classes, of any node.
    pub most_states: usize,
    pub most_classes: usize,
}

impl Model {
    /// Expands a circuit's parameters.
    ///
    /// # Errors
    /// `Corrupt` where all entries of a row of an edge matrix or of a state of a leaf matrix are zero;
    /// `LimitExceeded` where memory is missing.
    pub fn new(weights: &Weights) -> Result<Self> {
        let mut nodes: Vec<Node> = Vec::new();
        let count = weights.nodes.len();
        nodes.try_reserve_exact(count).map_err(|_| Error::limit("no memory for a circuit"))?;
        for i in 0..count {
            let node = expand(weights, i, &nodes).map_err(|e| e.within(format!("circuit, node {i}")))?;
            nodes.push(node);
        }
        mark_last(&mut nodes);
        let alphabets = weights.alphabets.iter().map(symbols).collect();
        let stack = place(&mut nodes)?;
        let most_states = nodes.iter().map(|n| n.states).max().unwrap_or(2);
        let most_classes = nodes.iter().map(|n| n.classes).max().unwrap_or(1);
        Ok(Self { nodes, alphabets, patch: weights.patch, stack, most_states, most_classes })
    }

    /// The number of variables of a record.
    pub fn width(&self) -> usize {
        self.nodes.len()
    }
}

/// The weight for which a code stands.
pub fn weight(code: u8, log2_steps: u8) -> u32 {
    if code == 0 {
        return 0;
    }
    let a = code - 1;
    let octave = OCTAVE[usize::from(a & ((1 << log2_steps) - 1)) << (3 - log2_steps)];
    octave.checked_shr(u32::from(a >> log2_steps)).unwrap_or(0).max(1)
}

/// Expands node i, which comes after the nodes `before`.
fn expand(weights: &Weights, i: usize, before: &[Node]) -> Result<Node> {
    let shape = &weights.nodes[i];
    let (above, states, classes) = weights.sizes(i);
    let linear = |codes: &[u8]| codes.iter().map(|&c| weight(c, weights.log2_steps)).collect::<Vec<u32>>();
    let edge = edge(&linear(&weights.edges[i]), states)?;
    let (leaf, shift) = leaf(&linear(&weights.leaves[i]), states, classes)?;
    let parent = shape.parent.map(usize::from);
    let down = parent.map_or(Vec::new(), |_| pairs(&transpose(&edge, states)));
    Ok(Node {
        variable: shape.variable.into(),
        parent,
        depth: parent.map_or(0, |p| before[p].depth + 1),
        slot: 0,
        above_slot: 0,
        states,
        above,
        classes,
        alphabet: shape.alphabet.into(),
        up: pairs(&edge),
        down,
        leaf: pairs(&leaf),
        shift,
        sends: false,
        last: false,
    })
}

/// The rows of an edge matrix as 15-bit probabilities.
fn edge(weights: &[u32], states: usize) -> Result<Vec<u16>> {
    let mut out = Vec::with_capacity(weights.len());
    for row in weights.chunks_exact(states) {
        let sum: u64 = row.iter().map(|&w| u64::from(w)).sum();
        if sum == 0 {
            return Err(Error::corrupt("a state whose transitions all have weight 0"));
        }
        out.extend(row.iter().map(|&w| ((u64::from(w) << 15) / sum).min(32767) as u16));
    }
    Ok(out)
}

/// The rows of a leaf matrix as 15-bit numbers, and for each row the right shift of its products. Each row
/// has its own exponent, since rare classes have small entries.
fn leaf(weights: &[u32], states: usize, classes: usize) -> Result<(Vec<u16>, Vec<u8>)> {
    let mut sums = vec![0u64; states];
    for row in weights.chunks_exact(states) {
        sums.iter_mut().zip(row).for_each(|(s, &w)| *s += u64::from(w));
    }
    if sums.contains(&0) {
        return Err(Error::corrupt("a state whose symbols all have weight 0"));
    }
    let (mut out, mut shift) = (Vec::with_capacity(weights.len()), Vec::with_capacity(classes));
    for row in weights.chunks_exact(states) {
        let p: Vec<u32> = row.iter().zip(&sums).map(|(&w, &s)| ((u64::from(w) << 31) / s) as u32).collect();
        let bits = 32 - p.iter().max().map_or(32, |m| m.leading_zeros());
        let round = if bits > 15 { 1u64 << (bits - 16) } else { 0 };
        out.extend(p.iter().map(|&p| match bits {
            16.. => ((u64::from(p) + round) >> (bits - 15)).min(32767) as u16,
            _ => (p << (15 - bits)) as u16,
        }));
        shift.push((32 - bits) as u8);
    }
    Ok((out, shift))
}

/// Packs entries into pairs.
fn pairs(entries: &[u16]) -> Pairs {
    entries.chunks_exact(2).map(|p| u32::from(p[0]) | u32::from(p[1]) << 16).collect()
}

/// Transposes a matrix.
fn transpose(rows: &[u16], columns: usize) -> Vec<u16> {
    (0..columns).flat_map(|j| rows.iter().skip(j).step_by(columns).copied()).collect()
}

/// The most states of all messages that may be held at a time.
const MAX_STACK: usize = 1 << 18;

/// Gives each depth room for its widest message; returns the total room.
fn place(nodes: &mut [Node]) -> Result<usize> {
    let mut widest: Vec<usize> = Vec::new();
    for n in nodes.iter() {
        if n.depth == widest.len() {
            widest.push(0);
        }
        widest[n.depth] = widest[n.depth].max(n.states);
    }
    let mut whole = 0;
    for w in &mut widest {
        (*w, whole) = (whole, whole + *w);
    }
    if whole > MAX_STACK {
        return Err(Error::corrupt(format!(
            "circuit: {whole} states on a way down, at most {MAX_STACK} expected"
        )));
    }
    for n in nodes {
        (n.slot, n.above_slot) = (widest[n.depth], widest[n.depth.saturating_sub(1)]);
    }
    Ok(whole)
}

/// Determines which nodes are last children, and whose messages upwards are used.
fn mark_last(nodes: &mut [Node]) {
    let mut last = vec![0; nodes.len()];
    nodes.iter().enumerate().for_each(|(i, n)| {
        if let Some(p) = n.parent {
            last[p] = i;
        }
    });
    for i in 1..nodes.len() {
        let parent = nodes[i].parent.unwrap_or(0);
        nodes[i].last = last[parent] == i;
        nodes[i].sends = !nodes[i].last || nodes[parent].sends;
    }
}

/// The coding tables of an alphabet.
fn symbols(alphabet: &super::file::Alphabet) -> Symbols {
    let classes = alphabet.classes();
    let (mut members, mut weights) = (vec![Vec::new(); classes], vec![Vec::new(); classes]);
    let mut place = Vec::with_capacity(alphabet.class.len());
    for (s, (&c, &w)) in alphabet.class.iter().zip(&alphabet.weight).enumerate() {
        let c = usize::from(c);
        place.push(members[c].len() as u8);
        members[c].push(s as u8);
        weights[c].push(u32::from(w));
    }
    Symbols { class: alphabet.class.clone(), place, members, weights }
}
