//! One walk over the tree for eight records side by side.

#[cfg(target_arch = "x86_64")]
use super::kernel::Avx2;
use super::kernel::{LANES, Lane, Ops, Scalar};
use super::tables::{Model, Node};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, dispatch};

/// The messages of eight records.
pub struct Walk<'m> {
    model: &'m Model,
    kernel: Kernel,
    /// φ and λ by depth, where the node's `slot` says.
    phi: Vec<Lane>,
    lambda: Vec<Lane>,
    /// `mass(φ)` by depth.
    masses: Vec<Lane>,
    message: Vec<Lane>,
    wide: Vec<Lane>,
    weights: Vec<Lane>,
}

/// The nodes that a walk visits, in order, and whether each one's variable is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visits(Vec<(usize, bool)>);

impl Visits {
    /// Those of records of which the variables are known that `is_known` names: nodes with nothing known below them are
    /// not visited.
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

    /// How many variables are coded.
    pub fn known(&self) -> usize {
        self.0.iter().filter(|v| v.1).count()
    }
}

/// Two entries of λ where nothing is known: `peak` of ones.
const NOTHING: u32 = 1 << 14 | 1 << 30;

fn lanes(len: usize) -> Result<Vec<Lane>> {
    let mut v = Vec::new();
    v.try_reserve_exact(len).map_err(|_| Error::limit("no memory for the messages of a circuit"))?;
    v.resize(len, Lane::default());
    Ok(v)
}

/// Who codes: told the node, and the weight of each class for each lane, it says each lane's class.
pub trait Coder {
    /// `weights[class].0[lane]`.
    ///
    /// # Errors
    /// Those of reading a payload.
    fn code(&mut self, node: usize, weights: &[Lane]) -> Result<[u32; LANES]>;
}

impl<'m> Walk<'m> {
    /// Room for the messages of a model.
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

    /// Walks once: eight records of which the same variables are known. The visits are this model's.
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

    /// Down the edge.
    #[inline(always)]
    fn enter<O: Ops>(&mut self, node: &Node) {
        let (k, at) = (node.states, node.slot / 2);
        let phi = &mut self.phi[at..at + k / 2];
        match node.parent {
            None => {
                for (pair, wide) in node.up.iter().zip(self.wide.chunks_exact_mut(2)) {
                    wide[0] = Lane([pair & 0xffff; LANES]);
                    wide[1] = Lane([pair >> 16; LANES]);
                }
            }
            Some(_) => {
                let above = node.above_slot / 2;
                O::product(&node.down, &self.masses[above..above + node.above / 2], &mut self.wide[..k]);
            }
        }
        O::peak(&self.wide[..k], phi);
    }

    /// The weights of the classes.
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

    /// Takes in the classes.
    #[inline(always)]
    fn observe<O: Ops>(&mut self, node: &Node, classes: &[u32; LANES]) {
        let (k, at) = (node.states, node.slot / 2);
        let lambda = &mut self.lambda[at..at + k / 2];
        O::gather(&node.leaf, classes, lambda);
        self.begin::<O>(node);
    }

    /// Goes on without a symbol.
    #[inline(always)]
    fn pass<O: Ops>(&mut self, node: &Node) {
        let at = node.slot / 2;
        self.lambda[at..at + node.states / 2].fill(Lane([NOTHING; LANES]));
        self.begin::<O>(node);
    }

    /// What the children get, from λ.
    #[inline(always)]
    fn begin<O: Ops>(&mut self, node: &Node) {
        let (k, at) = (node.states, node.slot / 2);
        let lambda = &self.lambda[at..at + k / 2];
        let phi = &mut self.phi[at..at + k / 2];
        O::times(phi, lambda, &mut self.wide[..k]);
        O::peak(&self.wide[..k], phi);
        O::mass(phi, &mut self.masses[at..at + k / 2]);
    }

    /// Up the edge, to a parent that goes on or sends on.
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
