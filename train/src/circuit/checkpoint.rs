//! The state of learning on disk, exact to the bit.

use std::fs;
use std::path::Path;

use nzip::Result;
use nzip::internal::model::circuit::Weights;
use nzip::internal::model::circuit::learn::export::export;
use nzip::internal::model::circuit::learn::network::{LearnedNode, Network};
use nzip::internal::model::circuit::learn::structure::Tree;
use nzip::internal::model::circuit::learn::{Partition, Products};

use super::product::fast;
use crate::error::{Place, corrupt};

const MAGIC: &[u8; 8] = b"NZPCCKP1";

/// Everything from which learning continues.
pub struct State {
    /// The number of passes in random batches so far.
    pub epoch: usize,
    /// How the symbols of each alphabet are grouped into classes.
    pub alphabets: Vec<Partition>,
    /// The number of each variable's alphabet.
    pub alphabet: Vec<usize>,
    pub net: Network,
}

impl State {
    /// The content of the model file.
    pub fn export(&self, log2_steps: u8) -> Weights {
        export(&self.net, &self.alphabets, &self.alphabet, log2_steps)
    }
}

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u64).to_le_bytes());
    }
    fn floats(&mut self, v: &[f32]) {
        self.number(v.len());
        v.iter().for_each(|x| self.0.extend_from_slice(&x.to_le_bytes()));
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) =
            self.0.split_at_checked(n).ok_or_else(|| corrupt("the checkpoint is cut short"))?;
        self.0 = tail;
        Ok(head)
    }
    fn number(&mut self) -> Result<usize> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.bytes(8)?);
        Ok(u64::from_le_bytes(bytes) as usize)
    }
    fn floats(&mut self) -> Result<Vec<f32>> {
        let n = self.number()?;
        if n > self.0.len() / 4 {
            return Err(corrupt("the checkpoint is cut short"));
        }
        Ok(self.bytes(4 * n)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// Writes to a file beside the target first, so that an interrupted run never leaves half a checkpoint.
pub fn save(path: &Path, state: &State) -> Result<()> {
    let mut out = Out(MAGIC.to_vec());
    out.number(state.epoch);
    out.number(state.alphabets.len());
    for a in &state.alphabets {
        out.number(a.class.len());
        out.0.extend_from_slice(&a.class);
        out.floats(&a.weight);
        out.number(a.classes);
        out.number(usize::from(a.ordinal));
    }
    out.number(state.net.nodes.len());
    for (v, n) in state.net.nodes.iter().enumerate() {
        out.number(state.alphabet[v]);
        out.number(n.parent.map_or(0, |p| p + 1));
        [n.states, n.above, n.classes].iter().for_each(|&x| out.number(x));
        [&n.edge, &n.leaf, &n.edge_mass, &n.leaf_mass, &n.prior].iter().for_each(|v| out.floats(v));
    }
    let beside = path.with_extension("part");
    fs::write(&beside, out.0).at(beside.display())?;
    fs::rename(&beside, path).at(path.display())
}

/// Reads what `save` wrote.
pub fn load(path: &Path) -> Result<State> {
    let bytes = fs::read(path).at(path.display())?;
    parse(&bytes).at(path.display())
}

fn parse(bytes: &[u8]) -> Result<State> {
    let mut input = In(bytes);
    if input.bytes(8)? != MAGIC {
        return Err(corrupt("not a checkpoint of a circuit"));
    }
    let epoch = input.number()?;
    let mut alphabets = Vec::new();
    for _ in 0..input.number()? {
        let symbols = input.number()?;
        let class = input.bytes(symbols)?.to_vec();
        let weight = input.floats()?;
        alphabets.push(Partition { class, weight, classes: input.number()?, ordinal: input.number()? != 0 });
    }
    let (mut nodes, mut alphabet, mut parent) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..input.number()? {
        alphabet.push(input.number()?);
        let above = input.number()?.checked_sub(1);
        parent.push(above);
        let (states, up, classes) = (input.number()?, input.number()?, input.number()?);
        let mut node = LearnedNode { parent: above, states, above: up, classes, ..LearnedNode::default() };
        for part in
            [&mut node.edge, &mut node.leaf, &mut node.edge_mass, &mut node.leaf_mass, &mut node.prior]
        {
            *part = input.floats()?;
        }
        let sizes = [node.edge.len() == up * states, node.leaf.len() == classes * states];
        if sizes != [true; 2] {
            return Err(corrupt("a matrix of the checkpoint has another size"));
        }
        nodes.push(node);
    }
    let tree = Tree { parent, neighbours: vec![Vec::new(); nodes.len()] };
    let states: Vec<usize> = nodes.iter().map(|n| n.states).collect();
    let classes: Vec<usize> = nodes.iter().map(|n| n.classes).collect();
    let mut net = Network::new(&tree, &states, &classes);
    net.nodes = nodes;
    net.products = Products::Fast(fast);
    Ok(State { epoch, alphabets, alphabet, net })
}
