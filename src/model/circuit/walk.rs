//! A walk over the tree for eight records side by side (`formats/circuit.md`, "Messages").
//!
//! The nodes are visited depth first. At each of them, φ (what is known outside of the node's children) gives
//! the probabilities of the node's symbol; once the symbol is known, φ and λ (what the node and its visited
//! children know) are updated. This is belief propagation in which every variable is coded as soon as its
//! belief is complete. A walk only needs the messages of one path, so they lie in a stack by depth. Messages
//! are block floating point: they are scaled to 15 bits (`peak`, `mass`), and the exponents cancel out.

#[cfg(target_arch = "x86_64")]
use super::kernel::Avx2;
use super::kernel::{LANES, Ops, PerLane, Scalar};
use super::tables::{Model, Node};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, dispatch};

/// A walk: the messages of eight records, the lanes. All numbers are pairs of entries for each lane.
pub struct Walk<'m> {
    model: &'m Model,
    kernel: Kernel,
    /// φ and λ of the nodes on the path, at the offsets given by [`Node::slot`].
    phi: Vec<PerLane>,
    lambda: Vec<PerLane>,
    /// `mass(φ)` of the same nodes.
    masses: Vec<PerLane>,
    /// The current message, a message before it is scaled, and the weights of classes.
    message: Vec<PerLane>,
    wide: Vec<PerLane>,
    weights: Vec<PerLane>,
}

/// The nodes that a walk visits, in order, and for each whether its variable is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visits(Vec<(usize, bool)>);

impl Visits {
    /// The visits for records in which exactly those variables exist for which `is_known` returns true. Nodes
    /// are left out where no variable at or below them exists.
    pub fn new(model: &Model, is_known: impl Fn(usize) -> bool) -> Self {
        let nodes = &model.nodes;
        let known: Vec<bool> = nodes.iter().map(|n| is_known(n.variable)).collect();
        let mut reached = known.clone();
        for (i, n) in nodes.iter().enumerate().rev() {
            if let Some(parent) = n.parent.filter(|_| reached[i]) {
                reached[parent] = true;
            }
        }
        Self((0..nodes.len()).filter(|&i| reached[i]).map(|i| (i, known[i])).collect())
    }

    /// The number of variables that are coded.
    pub fn known(&self) -> usize {
        self.0.iter().filter(|v| v.1).count()
    }
}

/// Two entries of λ where nothing is known: 16384, which is `peak` of ones.
const NOTHING: u32 = 1 << 14 | 1 << 30;

/// Zeros for `len` pairs of entries.
fn lanes(len: usize) -> Result<Vec<PerLane>> {
    let mut v = Vec::new();
    v.try_reserve_exact(len).map_err(|_| Error::limit("no memory for the messages of a circuit"))?;
    v.resize(len, PerLane::default());
    Ok(v)
}

/// One side of coding classes: an encoder that knows them, or a decoder.
pub trait Coder {
    /// Codes the class of a node's symbol in each lane and returns it; `weights[class].0[lane]` is the weight
    /// of a class.
    ///
    /// # Errors
    /// Those of reading a payload.
    fn code(&mut self, node: usize, weights: &[PerLane]) -> Result<[u32; LANES]>;
}

impl<'m> Walk<'m> {
    /// Makes room for the messages of a model.
    ///
    /// # Errors
    /// `LimitExceeded` where memory is missing.
    pub fn new(model: &'m Model, kernel: Kernel) -> Result<Self> {
        let most = model.most_states / 2;
        let stack = model.stack / 2;
        Ok(Self {
            model,
            kernel,
            phi: lanes(stack)?,
            lambda: lanes(stack)?,
            masses: lanes(stack)?,
            message: lanes(most)?,
            wide: lanes(2 * most)?,
            weights: lanes(model.most_classes)?,
        })
    }

    /// Memory that [`Walk::new`] takes for a model, in bytes.
    pub fn memory(model: &Model) -> u64 {
        let states = 3 * (model.stack / 2) + 3 * (model.most_states / 2) + model.most_classes;
        (states * size_of::<PerLane>()) as u64
    }

    /// Walks over the tree once and codes eight records in which the same variables exist. The visits must be
    /// those of this model.
    ///
    /// # Errors
    /// Those of the coder.
    pub fn run(&mut self, visits: &Visits, coder: &mut impl Coder) -> Result<()> {
        dispatch!(
            self.kernel,
            scalar: self.walk::<Scalar>(visits, coder),
            avx2: self.walk_avx2(visits, coder),
        )
    }

    /// [`Walk::walk`], compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn walk_avx2(&mut self, visits: &Visits, coder: &mut impl Coder) -> Result<()> {
        self.walk::<Avx2>(visits, coder)
    }

    /// The walk with the operations of one kernel.
    #[inline(always)]
    fn walk<O: Ops>(&mut self, Visits(visits): &Visits, coder: &mut impl Coder) -> Result<()> {
        let nodes = &self.model.nodes;
        for (at, &(i, known)) in visits.iter().enumerate() {
            let node = &nodes[i];
            self.enter::<O>(node);
            if known {
                self.weigh::<O>(node);
                let classes = coder.code(i, &self.weights[..node.classes])?;
                self.observe::<O>(node, &classes);
            } else {
                self.pass::<O>(node);
            }
            // Nodes whose subtrees end here, deepest first.
            let next = visits.get(at + 1).map_or(0, |v| nodes[v.0].depth);
            let mut ended = Some(i);
            while let Some(node) = ended.map(|e| &nodes[e]).filter(|n| n.depth >= next) {
                self.leave::<O>(node);
                ended = node.parent;
            }
        }
        Ok(())
    }

    /// Enters a node: computes its φ from that of its parent.
    #[inline(always)]
    fn enter<O: Ops>(&mut self, node: &Node) {
        let (k, at) = (node.states, node.slot / 2);
        let phi = &mut self.phi[at..at + k / 2];
        match node.parent {
            None => {
                for (pair, wide) in node.up.iter().zip(self.wide.chunks_exact_mut(2)) {
                    wide[0] = PerLane([pair & 0xffff; LANES]);
                    wide[1] = PerLane([pair >> 16; LANES]);
                }
            }
            Some(_) => {
                let above = node.above_slot / 2;
                O::product(&node.down, &self.masses[above..above + node.above / 2], &mut self.wide[..k]);
            }
        }
        O::peak(&self.wide[..k], phi);
    }

    /// Computes the weights of a node's classes.
    #[inline(always)]
    fn weigh<O: Ops>(&mut self, node: &Node) {
        let (k, at) = (node.states, node.slot / 2);
        let mass = &mut self.message[..k / 2];
        O::mass(&self.phi[at..at + k / 2], mass);
        let weights = &mut self.weights[..node.classes];
        O::product(&node.leaf, mass, weights);
        for (w, &shift) in weights.iter_mut().zip(&node.shift) {
            w.0.iter_mut().for_each(|w| *w = w.checked_shr(shift.into()).unwrap_or(0) + 1);
        }
    }

    /// Processes the classes of a node's symbols.
    #[inline(always)]
    fn observe<O: Ops>(&mut self, node: &Node, classes: &[u32; LANES]) {
        let (k, at) = (node.states, node.slot / 2);
        let lambda = &mut self.lambda[at..at + k / 2];
        O::gather(&node.leaf, classes, lambda);
        self.begin::<O>(node);
    }

    /// Moves on from a node whose variable does not exist.
    #[inline(always)]
    fn pass<O: Ops>(&mut self, node: &Node) {
        let at = node.slot / 2;
        self.lambda[at..at + node.states / 2].fill(PerLane([NOTHING; LANES]));
        self.begin::<O>(node);
    }

    /// Computes from λ the message to the children of a node.
    #[inline(always)]
    fn begin<O: Ops>(&mut self, node: &Node) {
        let (k, at) = (node.states, node.slot / 2);
        let lambda = &self.lambda[at..at + k / 2];
        let phi = &mut self.phi[at..at + k / 2];
        O::times(phi, lambda, &mut self.wide[..k]);
        O::peak(&self.wide[..k], phi);
        O::mass(phi, &mut self.masses[at..at + k / 2]);
    }

    /// Leaves a node: includes its message in φ and λ of its parent, where something that is coded later
    /// depends on it.
    #[inline(always)]
    fn leave<O: Ops>(&mut self, node: &Node) {
        if !node.sends {
            return;
        }
        let (k, above, at) = (node.states, node.above, node.slot / 2);
        O::product(&node.up, &self.lambda[at..at + k / 2], &mut self.wide[..above]);
        let message = &mut self.message[..above / 2];
        O::peak(&self.wide[..above], message);
        let parent = node.above_slot / 2;
        let lambda = &mut self.lambda[parent..parent + above / 2];
        O::times(lambda, message, &mut self.wide[..above]);
        O::peak(&self.wide[..above], lambda);
        if !node.last {
            let phi = &mut self.phi[parent..parent + above / 2];
            O::times(phi, message, &mut self.wide[..above]);
            O::peak(&self.wide[..above], phi);
            O::mass(phi, &mut self.masses[parent..parent + above / 2]);
        }
    }
}
