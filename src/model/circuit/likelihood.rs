//! Probabilities of records and of their missing fields, in floats: for other tools, never for coding.

use super::tables::weight;
use super::{Model, Weights};
use crate::error::{Error, Result};

/// A circuit that answers questions about probabilities. Fields of a record may be missing; the result then
/// sums over all their values.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/vectors/circuit/micro.nzpc");
/// let circuit = nzip::Likelihood::from_bytes(&std::fs::read(path)?)?;
/// let mut record: Vec<Option<u8>> = vec![None; circuit.width()];
/// record[0] = Some(3);
/// let bits = -circuit.log2_likelihood(&record)?;
/// // The probabilities of the second field, given the first.
/// let chances = circuit.conditional(&record, 1)?;
/// assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-9);
/// // One more field costs the logarithm of its probability.
/// record[1] = Some(2);
/// let more = -circuit.log2_likelihood(&record)?;
/// assert!((more - bits + chances[2].log2()).abs() < 1e-9);
/// # Ok::<(), nzip::Error>(())
/// ```
#[derive(Debug)]
pub struct Likelihood {
    nodes: Vec<FloatNode>,
    children: Vec<Vec<usize>>,
    /// The index of each variable's node.
    place: Vec<usize>,
    /// For each alphabet, the class of each symbol and its share within the class.
    symbols: Vec<Vec<(usize, f64)>>,
}

/// A variable with its parameters as probabilities.
#[derive(Debug)]
struct FloatNode {
    variable: usize,
    parent: Option<usize>,
    states: usize,
    alphabet: usize,
    /// The parent's states × states: the probability of the state, given the parent's.
    edge: Vec<f64>,
    /// Classes × states: the probability of the class, given the state.
    leaf: Vec<f64>,
}

impl Likelihood {
    /// Reads the model file of a circuit.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` or `NewerVersion`; `LimitExceeded` where memory is missing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let weights = Weights::from_bytes(bytes)?;
        Model::new(&weights)?; // refuses rows without any probability
        Ok(Self::new(&weights))
    }

    fn new(w: &Weights) -> Self {
        let mut children = vec![Vec::new(); w.nodes.len()];
        let mut place = vec![0; w.nodes.len()];
        let mut nodes = Vec::new();
        for (i, shape) in w.nodes.iter().enumerate() {
            let parent = shape.parent.map(usize::from);
            parent.into_iter().for_each(|p| children[p].push(i));
            place[usize::from(shape.variable)] = i;
            let linear = |codes: &[u8]| codes.iter().map(|&c| f64::from(weight(c, w.log2_steps))).collect();
            let (mut edge, mut leaf): (Vec<f64>, Vec<f64>) = (linear(&w.edges[i]), linear(&w.leaves[i]));
            let k = usize::from(shape.states);
            for row in edge.chunks_exact_mut(k) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|p| *p /= sum);
            }
            for j in 0..k {
                let sum: f64 = leaf.iter().skip(j).step_by(k).sum();
                leaf.iter_mut().skip(j).step_by(k).for_each(|p| *p /= sum);
            }
            let alphabet = shape.alphabet.into();
            nodes.push(FloatNode {
                variable: shape.variable.into(),
                parent,
                states: k,
                alphabet,
                edge,
                leaf,
            });
        }
        let symbols = w.alphabets.iter().map(shares).collect();
        Self { nodes, children, place, symbols }
    }

    /// The number of variables.
    pub fn width(&self) -> usize {
        self.nodes.len()
    }

    /// The binary logarithm of the probability of the known fields of a record, whatever the others may be;
    /// minus infinity for symbols that the circuit does not have.
    ///
    /// # Errors
    /// `BadArgument` for a record of another width.
    pub fn log2_likelihood(&self, record: &[Option<u8>]) -> Result<f64> {
        let (beliefs, log2) = self.beliefs(record)?;
        Ok(self.at_root(&beliefs).log2() + log2)
    }

    /// The probability of each symbol of one variable, given the known fields of the others.
    ///
    /// # Errors
    /// `BadArgument` for a record of another width, a variable that is not there, or known fields of
    /// probability 0.
    pub fn conditional(&self, record: &[Option<u8>], variable: usize) -> Result<Vec<f64>> {
        let Some(&place) = self.place.get(variable) else {
            return Err(Error::bad_argument(format!("no variable {variable}")));
        };
        let mut known = record.to_vec();
        if let Some(k) = known.get_mut(variable) {
            *k = None;
        }
        let (beliefs, _) = self.beliefs(&known)?;
        let down = self.down_to(place, &beliefs);
        let node = &self.nodes[place];
        let joint: Vec<f64> = down.iter().zip(&beliefs[place]).map(|(a, b)| a * b).collect();
        let class: Vec<f64> = node.leaf.chunks_exact(node.states).map(|row| dot(row, &joint)).collect();
        let total: f64 = class.iter().sum();
        if total <= 0.0 {
            return Err(Error::bad_argument("the known variables together have probability 0"));
        }
        Ok(self.symbols[node.alphabet].iter().map(|&(c, share)| class[c] / total * share).collect())
    }

    /// The beliefs: for each node, the probability of all known fields at and below it, given its state and
    /// up to a factor; and the binary logarithm of all factors.
    fn beliefs(&self, record: &[Option<u8>]) -> Result<(Vec<Vec<f64>>, f64)> {
        if record.len() != self.nodes.len() {
            let (found, wanted) = (record.len(), self.nodes.len());
            return Err(Error::bad_argument(format!("a record of {found} variables, {wanted} expected")));
        }
        let mut log2 = 0.0;
        let mut beliefs: Vec<Vec<f64>> = self.nodes.iter().map(|n| vec![1.0; n.states]).collect();
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let mut own = std::mem::take(&mut beliefs[i]);
            if let Some(s) = record[node.variable] {
                let Some(&(class, share)) = self.symbols[node.alphabet].get(usize::from(s)) else {
                    own.fill(0.0);
                    beliefs[i] = own;
                    continue;
                };
                own.iter_mut().zip(&node.leaf[class * node.states..]).for_each(|(b, &p)| *b *= p);
                log2 += share.log2();
            }
            for &child in &self.children[i] {
                let message = self.nodes[child].upwards(&beliefs[child]);
                own.iter_mut().zip(message).for_each(|(b, m)| *b *= m);
                log2 += rescale(&mut own);
            }
            log2 += rescale(&mut own);
            beliefs[i] = own;
        }
        Ok((beliefs, log2))
    }

    /// The probability at the root.
    fn at_root(&self, beliefs: &[Vec<f64>]) -> f64 {
        dot(&self.nodes[0].edge, &beliefs[0])
    }

    /// The probability of a node's state together with all known fields outside its subtree, up to a factor.
    fn down_to(&self, place: usize, beliefs: &[Vec<f64>]) -> Vec<f64> {
        let node = &self.nodes[place];
        let Some(parent) = node.parent else { return node.edge.clone() };
        let mut above = self.down_to(parent, beliefs);
        // The parent's belief without the message of this node.
        let message = node.upwards(&beliefs[place]);
        for (u, a) in above.iter_mut().enumerate() {
            *a *= if message[u] > 0.0 { beliefs[parent][u] / message[u] } else { 0.0 };
        }
        rescale(&mut above);
        let mut out = vec![0.0; node.states];
        for (row, a) in node.edge.chunks_exact(node.states).zip(above) {
            out.iter_mut().zip(row).for_each(|(o, &e)| *o += a * e);
        }
        out
    }
}

impl FloatNode {
    /// The message to the parent.
    fn upwards(&self, belief: &[f64]) -> Vec<f64> {
        self.edge.chunks_exact(self.states).map(|row| dot(row, belief)).collect()
    }
}

/// The class of each symbol and its share inside the class.
fn shares(a: &super::Alphabet) -> Vec<(usize, f64)> {
    let mut sums = vec![0.0; a.classes()];
    a.class.iter().zip(&a.weight).for_each(|(&c, &w)| sums[usize::from(c)] += f64::from(w));
    a.class.iter().zip(&a.weight).map(|(&c, &w)| (c.into(), f64::from(w) / sums[usize::from(c)])).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Divides by a factor so that the largest entry becomes 1; returns the factor's binary logarithm.
fn rescale(v: &mut [f64]) -> f64 {
    let most = v.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return 0.0;
    }
    v.iter_mut().for_each(|x| *x /= most);
    most.log2()
}
