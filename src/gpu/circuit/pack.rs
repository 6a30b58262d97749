//! Packs a circuit for its kernel: one buffer of words with instructions, nodes and tables.

use crate::gpu::lanes::LANES;
use crate::model::circuit::tables::{Model, Node, Symbols};
use std::ops::Range;

/// The threads of a workgroup.
const THREADS: usize = 256;
const QUADS: usize = LANES / 4;
/// The words of a node: the constants from `VARIABLE` on in `walk.wgsl`.
const NODE_WORDS: usize = 12;
/// The number of classes that share a sum, and of such sums.
const BLOCK: usize = 16;

/// The instructions and tables of a circuit.
pub struct PackedCircuit {
    words: Vec<u32>,
    /// For each instruction, an upper bound on the loop iterations of a thread.
    iterations: Vec<usize>,
    /// The bytes of a record.
    width: usize,
    /// The sizes of a workgroup's state; see [`Self::state_parts`].
    stack: usize,
    most_states: usize,
    most_classes: usize,
    /// The bytes of matrices that a workgroup reads per record.
    weight_bytes: u64,
}

impl PackedCircuit {
    /// Lays out a model.
    pub fn new(model: &Model) -> Self {
        let program = program(&model.nodes);
        let mut packed = Self {
            words: vec![0; program.len() + NODE_WORDS * model.nodes.len()],
            iterations: program.iter().map(|i| i.iterations(&model.nodes)).collect(),
            width: model.width(),
            stack: model.stack,
            most_states: model.most_states,
            most_classes: model.most_classes,
            weight_bytes: 0,
        };
        let at = |node: usize| program.len() + NODE_WORDS * node;
        for (word, instruction) in packed.words.iter_mut().zip(&program) {
            *word = (at(instruction.node()) as u32) << 2 | instruction.code(&model.nodes);
        }
        let alphabets: Vec<usize> = model.alphabets.iter().map(|a| packed.alphabet(a)).collect();
        for (i, node) in model.nodes.iter().enumerate() {
            let words = packed.node(node, alphabets[node.alphabet]);
            packed.words[at(i)..at(i) + NODE_WORDS].copy_from_slice(&words.map(|w| w as u32));
        }
        packed.weight_bytes = program.iter().map(|i| i.weight_bytes(&model.nodes)).sum();
        packed
    }

    /// The content of the buffer `model`.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The bytes of a record.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The bytes of matrices that a workgroup reads per record.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    fn node(&mut self, node: &Node, alphabet: usize) -> [usize; NODE_WORDS] {
        let (pairs, above) = (node.states / 2, node.above / 2);
        [
            node.variable,
            node.slot / 2,
            node.above_slot / 2,
            pairs,
            above,
            node.classes,
            alphabet,
            self.matrix(&node.up, pairs),
            self.matrix(&node.down, above),
            self.matrix(&node.leaf, pairs),
            self.append(node.shift.iter().map(|&s| s.into())),
            node.last.into(),
        ]
    }

    fn append(&mut self, words: impl Iterator<Item = u32>) -> usize {
        let at = self.words.len();
        self.words.extend(words);
        at
    }

    /// Appends a matrix of rows of pairs as [pair][row], so that neighbouring threads read neighbouring
    /// words.
    fn matrix(&mut self, rows: &[u32], pairs: usize) -> usize {
        self.append((0..pairs).flat_map(|p| rows.iter().skip(p).step_by(pairs).copied()))
    }

    /// Appends an alphabet: the start of each class's members, and one more for the end; then, for each
    /// class, a word of 0 and for each member a word with its symbol and, above it, the sum of the weights up
    /// to and including it.
    fn alphabet(&mut self, symbols: &Symbols) -> usize {
        let classes = symbols.members.len();
        let (mut starts, mut members) = (vec![classes as u32 + 1], Vec::new());
        for (class, weights) in symbols.members.iter().zip(&symbols.weights) {
            let mut sum = 0;
            members.push(0);
            members.extend(class.iter().zip(weights).map(|(&symbol, weight)| {
                sum += weight;
                sum << 8 | u32::from(symbol)
            }));
            starts.push((classes + 1 + members.len()) as u32);
        }
        self.append(starts.into_iter().chain(members))
    }

    /// The number of vectors in a workgroup's state, and then where λ, masses, message, wide entries (two
    /// parts) and weights start in it.
    pub fn state_parts(&self) -> [usize; 7] {
        let stack = self.stack / 2 * QUADS;
        let (message, wide) = (self.most_states / 2 * QUADS, self.most_states * QUADS);
        let parts = [stack, stack, stack, message, wide, wide, self.most_classes * QUADS];
        let mut ends = [0; 7];
        let mut at = 0;
        for (end, part) in ends.iter_mut().zip(parts) {
            at += part;
            *end = at;
        }
        ends.rotate_right(1);
        ends
    }

    /// Plans dispatches of at most `most` loop iterations per thread: several records in one dispatch, or one
    /// record in several dispatches. `None` where a single instruction takes more.
    pub fn schedule(&self, most: usize) -> Option<Schedule> {
        let whole: usize = self.iterations.iter().map(|i| i + 1).sum();
        if whole < most {
            return Some(Schedule::Records((most - 1) / (whole + 1)));
        }
        let (mut runs, mut start, mut sum) = (Vec::new(), 0, 0);
        for (i, iterations) in self.iterations.iter().enumerate() {
            if iterations + 2 > most {
                return None;
            }
            if sum + iterations + 2 > most {
                runs.push(start..i);
                (start, sum) = (i, 0);
            }
            sum += iterations + 1;
        }
        runs.push(start..self.iterations.len());
        Some(Schedule::Parts(runs))
    }

    /// The number of instructions.
    pub fn instructions(&self) -> usize {
        self.iterations.len()
    }
}

/// The work of a dispatch.
pub enum Schedule {
    /// This many records.
    Records(usize),
    /// Parts of one record's instructions, one part per dispatch.
    Parts(Vec<Range<usize>>),
}

/// A step of the walk over a record, at the node with this index.
enum Instruction {
    /// Moves down the edge to the node and codes its symbol.
    Visit(usize),
    /// Sends the node's message to its parent.
    Leave(usize),
}

/// Lists the visits of all nodes, depth first, and after each visit the messages to parents that follow it.
fn program(nodes: &[Node]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for i in 0..nodes.len() {
        program.push(Instruction::Visit(i));
        let next = nodes.get(i + 1).map_or(0, |n| n.depth);
        let mut ended = Some(i);
        while let Some(e) = ended.filter(|&e| nodes[e].depth >= next) {
            if nodes[e].sends {
                program.push(Instruction::Leave(e));
            }
            ended = nodes[e].parent;
        }
    }
    program
}

impl Instruction {
    fn node(&self) -> usize {
        match self {
            Self::Visit(node) | Self::Leave(node) => *node,
        }
    }

    fn code(&self, nodes: &[Node]) -> u32 {
        match self {
            Self::Visit(node) if nodes[*node].parent.is_none() => 0,
            Self::Visit(_) => 1,
            Self::Leave(_) => 2,
        }
    }

    /// The number of bytes of matrices that the instruction reads.
    fn weight_bytes(&self, nodes: &[Node]) -> u64 {
        let n = &nodes[self.node()];
        let words = match self {
            Self::Visit(_) => n.down.len() + n.leaf.len(),
            Self::Leave(_) => n.up.len(),
        };
        4 * words as u64
    }

    /// An upper bound on the loop iterations of a thread.
    fn iterations(&self, nodes: &[Node]) -> usize {
        let n = &nodes[self.node()];
        let passes = |entries: usize| (entries * QUADS).div_ceil(THREADS);
        let product = |rows: usize, pairs: usize| passes(rows) * (1 + pairs);
        match self {
            Self::Visit(_) => {
                let down = product(n.states, n.above / 2) + product(n.classes, n.states / 2);
                let block_sums = (BLOCK * LANES).div_ceil(THREADS) * (1 + BLOCK);
                // The sums of blocks, blocks, classes; members by bisection; and for both choices three
                // divisions.
                let choices = 3 * BLOCK + 9 + 2 * 3 * 20;
                down + block_sums + choices + 6 * passes(n.states / 2)
            }
            Self::Leave(_) => product(n.above, n.states / 2) + 4 * passes(n.above / 2),
        }
    }
}
