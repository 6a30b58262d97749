//! Networks as lists of operations that were carried out, so that errors can be followed back from the outputs to the
//! inputs and outputs of each product (reverse accumulation).

use super::attention::{self, Heads};
use super::functions;
use super::product::{Matrix, product};
use std::collections::HashMap;

/// The tensors of a model as floats, by number.
pub struct Parameters {
    pub names: Vec<String>,
    pub matrices: Vec<Matrix>,
    numbers: HashMap<String, usize>,
}

impl Parameters {
    /// Collects named matrices; a vector is a matrix of one row.
    pub fn new(tensors: impl IntoIterator<Item = (String, Matrix)>) -> Self {
        let (names, matrices): (Vec<String>, Vec<Matrix>) = tensors.into_iter().unzip();
        let numbers = names.iter().cloned().zip(0..).collect();
        Self { names, matrices, numbers }
    }

    /// The number of a tensor.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

/// The result of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(usize);

/// An operation, with the numbers of its parameters.
enum Operation {
    /// Rows of a table.
    Rows {
        table: usize,
        ids: Vec<u32>,
    },
    /// x·Wᵀ + b.
    Linear {
        x: Node,
        weight: usize,
        bias: Option<usize>,
    },
    Sum(Node, Node),
    /// (x − mean)/deviation · gain + bias by row; without `centred` the mean stays, and the root mean square takes the
    /// place of the deviation.
    Norm {
        x: Node,
        gain: usize,
        centred: bool,
        epsilon: f32,
    },
    Gelu(Node),
    /// silu(gate) · up.
    Gated {
        gate: Node,
        up: Node,
    },
    Rotated {
        x: Node,
        head: usize,
        base: f32,
    },
    Attention {
        query: Node,
        key: Node,
        value: Node,
        heads: Heads,
    },
    /// The mean of the rows of each sequence.
    Pool(Node),
    /// Rows of length 1.
    Unit(Node),
}

/// Takes what goes into and comes back to a product or a table. Rows are tokens.
pub trait Listener {
    /// `x` are the inputs of a product with a weight, `back` the errors of its outputs.
    fn linear(&mut self, weight: usize, bias: Option<usize>, x: &Matrix, back: &Matrix);
    /// `ids` are the rows that were taken from a table, `back` their errors.
    fn rows(&mut self, table: usize, ids: &[u32], back: &Matrix);
}

/// What a network has computed for a batch of sequences, whose rows lie one after the other.
pub struct Tape<'a> {
    parameters: &'a Parameters,
    /// The tokens of each sequence.
    pub lengths: Vec<usize>,
    nodes: Vec<(Operation, Matrix)>,
}

impl<'a> Tape<'a> {
    /// An empty tape for sequences of these lengths.
    pub fn new(parameters: &'a Parameters, lengths: Vec<usize>) -> Self {
        Self { parameters, lengths, nodes: Vec::new() }
    }

    /// The value of a node.
    pub fn value(&self, node: Node) -> &Matrix {
        &self.nodes[node.0].1
    }

    fn push(&mut self, operation: Operation, value: Matrix) -> Node {
        self.nodes.push((operation, value));
        Node(self.nodes.len() - 1)
    }

    fn parameter(&self, number: usize) -> &'a Matrix {
        &self.parameters.matrices[number]
    }

    pub fn rows(&mut self, table: usize, ids: Vec<u32>) -> Node {
        let from = self.parameter(table);
        let mut out = Matrix::zeros(ids.len(), from.columns);
        ids.iter().enumerate().for_each(|(i, id)| out.row_mut(i).copy_from_slice(from.row(*id as usize)));
        self.push(Operation::Rows { table, ids }, out)
    }

    pub fn linear(&mut self, x: Node, weight: usize, bias: Option<usize>) -> Node {
        let mut out = product(self.value(x).view(), self.parameter(weight).view().turned());
        if let Some(bias) = bias {
            functions::add_to_rows(&mut out, &self.parameter(bias).values);
        }
        self.push(Operation::Linear { x, weight, bias }, out)
    }

    pub fn sum(&mut self, a: Node, b: Node) -> Node {
        let mut out = self.value(a).clone();
        out.add(self.value(b));
        self.push(Operation::Sum(a, b), out)
    }

    pub fn layer_norm(&mut self, x: Node, gain: usize, bias: usize, epsilon: f32) -> Node {
        let mut out = functions::norm(self.value(x), &self.parameter(gain).values, true, epsilon);
        functions::add_to_rows(&mut out, &self.parameter(bias).values);
        self.push(Operation::Norm { x, gain, centred: true, epsilon }, out)
    }

    pub fn rms_norm(&mut self, x: Node, gain: usize, epsilon: f32) -> Node {
        let out = functions::norm(self.value(x), &self.parameter(gain).values, false, epsilon);
        self.push(Operation::Norm { x, gain, centred: false, epsilon }, out)
    }

    pub fn gelu(&mut self, x: Node) -> Node {
        let out = functions::map(self.value(x), functions::gelu);
        self.push(Operation::Gelu(x), out)
    }

    pub fn gated(&mut self, gate: Node, up: Node) -> Node {
        let mut out = functions::map(self.value(gate), functions::silu);
        out.values.iter_mut().zip(&self.value(up).values).for_each(|(a, b)| *a *= b);
        self.push(Operation::Gated { gate, up }, out)
    }

    pub fn rotated(&mut self, x: Node, head: usize, base: f32) -> Node {
        let mut out = self.value(x).clone();
        attention::rotate(&mut out, &self.lengths, head, base, false);
        self.push(Operation::Rotated { x, head, base }, out)
    }

    pub fn attention(&mut self, query: Node, key: Node, value: Node, heads: Heads) -> Node {
        let inputs = [query, key, value].map(|n| self.value(n));
        let out = attention::forward(inputs, &self.lengths, heads);
        self.push(Operation::Attention { query, key, value, heads }, out)
    }

    pub fn pool(&mut self, x: Node) -> Node {
        let out = functions::pool(self.value(x), &self.lengths);
        self.push(Operation::Pool(x), out)
    }

    pub fn unit(&mut self, x: Node) -> Node {
        let out = functions::unit(self.value(x));
        self.push(Operation::Unit(x), out)
    }

    /// Follows errors back from a node to all before it.
    pub fn backward(&self, node: Node, back: Matrix, listener: &mut dyn Listener) {
        let mut backs: Vec<Option<Matrix>> = self.nodes.iter().map(|_| None).collect();
        backs[node.0] = Some(back);
        for i in (0..=node.0).rev() {
            let Some(back) = backs[i].take() else { continue };
            for (to, part) in self.step(i, back, listener) {
                match &mut backs[to.0] {
                    Some(sum) => sum.add(&part),
                    empty => *empty = Some(part),
                }
            }
        }
    }

    /// The errors of the inputs of a node.
    fn step(&self, number: usize, back: Matrix, listener: &mut dyn Listener) -> Vec<(Node, Matrix)> {
        let (operation, out) = &self.nodes[number];
        match operation {
            Operation::Rows { table, ids } => {
                listener.rows(*table, ids, &back);
                Vec::new()
            }
            Operation::Linear { x, weight, bias } => {
                listener.linear(*weight, *bias, self.value(*x), &back);
                vec![(*x, product(back.view(), self.parameter(*weight).view()))]
            }
            Operation::Sum(a, b) => vec![(*a, back.clone()), (*b, back)],
            Operation::Norm { x, gain, centred, epsilon } => {
                let gain = &self.parameter(*gain).values;
                vec![(*x, functions::norm_back(self.value(*x), gain, *centred, *epsilon, &back))]
            }
            Operation::Gelu(x) => {
                vec![(*x, functions::map_back(self.value(*x), functions::gelu_slope, back))]
            }
            Operation::Gated { gate, up } => {
                let (g, u) = (self.value(*gate), self.value(*up));
                let mut to_up = functions::map(g, functions::silu);
                to_up.values.iter_mut().zip(&back.values).for_each(|(a, b)| *a *= b);
                let mut to_gate = functions::map_back(g, functions::silu_slope, back);
                to_gate.values.iter_mut().zip(&u.values).for_each(|(a, b)| *a *= b);
                vec![(*gate, to_gate), (*up, to_up)]
            }
            Operation::Rotated { x, head, base } => {
                let mut back = back;
                attention::rotate(&mut back, &self.lengths, *head, *base, true);
                vec![(*x, back)]
            }
            Operation::Attention { query, key, value, heads } => {
                let inputs = [*query, *key, *value].map(|n| self.value(n));
                let [q, k, v] = attention::backward(inputs, &self.lengths, *heads, &back);
                vec![(*query, q), (*key, k), (*value, v)]
            }
            Operation::Pool(x) => vec![(*x, functions::pool_back(&self.lengths, &back))],
            Operation::Unit(x) => vec![(*x, functions::unit_back(self.value(*x), out, &back))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::random::Random;

    const WIDTH: usize = 8;

    fn parameters() -> Parameters {
        let mut random = Random::new(3);
        let mut matrix = |rows: usize, columns: usize| Matrix {
            rows,
            columns,
            values: (0..rows * columns).map(|_| random.share() * 1.6 - 0.6).collect(),
        };
        let shapes = [
            ("table", 6, WIDTH),
            ("q", WIDTH, WIDTH),
            ("k", 4, WIDTH),
            ("v", 4, WIDTH),
            ("gate", 5, WIDTH),
            ("up", 5, WIDTH),
            ("down", WIDTH, 5),
            ("gain", 1, WIDTH),
            ("bias", 1, WIDTH),
        ];
        Parameters::new(shapes.map(|(name, r, c)| (name.to_string(), matrix(r, c))))
    }

    /// A network with all operations.
    fn run<'a>(p: &'a Parameters, causal: bool) -> (Tape<'a>, Node) {
        let number = |name| p.find(name).unwrap();
        let mut tape = Tape::new(p, vec![3, 2]);
        let x = tape.rows(number("table"), vec![0, 3, 5, 1, 3]);
        let n = tape.rms_norm(x, number("gain"), 1e-5);
        let [q, k, v] = ["q", "k", "v"].map(|w| tape.linear(n, number(w), None));
        let (q, k) = (tape.rotated(q, 4, 10000.0), tape.rotated(k, 4, 10000.0));
        let mixed = tape.attention(q, k, v, Heads { queries: 2, keys: 1, width: 4, causal });
        let sum = tape.sum(mixed, x);
        let n = tape.layer_norm(sum, number("gain"), number("bias"), 1e-5);
        let (gate, up) = (tape.linear(n, number("gate"), None), tape.linear(n, number("up"), None));
        let hidden = tape.gated(gate, up);
        let hidden = tape.gelu(hidden);
        let out = tape.linear(hidden, number("down"), Some(number("bias")));
        let out = tape.sum(out, n);
        let out = tape.pool(out);
        let out = tape.unit(out);
        (tape, out)
    }

    fn errors() -> Matrix {
        let mut random = Random::new(9);
        Matrix { rows: 2, columns: WIDTH, values: (0..2 * WIDTH).map(|_| random.sign()).collect() }
    }

    /// The derivative by each value of the weights: errors times inputs.
    #[derive(Default)]
    struct Slopes(HashMap<usize, Matrix>);

    impl Listener for Slopes {
        fn linear(&mut self, weight: usize, _: Option<usize>, x: &Matrix, back: &Matrix) {
            self.0.insert(weight, product(back.view().turned(), x.view()));
        }

        fn rows(&mut self, table: usize, ids: &[u32], back: &Matrix) {
            let mut sum = Matrix::zeros(6, back.columns);
            for (i, id) in ids.iter().enumerate() {
                sum.row_mut(*id as usize).iter_mut().zip(back.row(i)).for_each(|(a, b)| *a += b);
            }
            self.0.insert(table, sum);
        }
    }

    #[test]
    fn what_comes_back_is_the_derivative() {
        for causal in [false, true] {
            let mut p = parameters();
            let mut slopes = Slopes::default();
            let (tape, out) = run(&p, causal);
            tape.backward(out, errors(), &mut slopes);
            drop(tape);
            let loss = |p: &Parameters| -> f64 {
                let (tape, out) = run(p, causal);
                tape.value(out).values.iter().zip(&errors().values).map(|(a, b)| f64::from(a * b)).sum()
            };
            assert_eq!(slopes.0.len(), 7);
            for (number, slope) in &slopes.0 {
                for i in (0..slope.values.len()).step_by(3) {
                    let old = p.matrices[*number].values[i];
                    p.matrices[*number].values[i] = old + 2e-3;
                    let above = loss(&p);
                    p.matrices[*number].values[i] = old - 2e-3;
                    let found = (above - loss(&p)) / 4e-3;
                    p.matrices[*number].values[i] = old;
                    let told = f64::from(slope.values[i]);
                    let name = &p.names[*number];
                    assert!((found - told).abs() < 0.01 * (1.0 + told.abs()), "{name} {i}: {found} {told}");
                }
            }
        }
    }

    #[test]
    fn tokens_that_are_not_seen_do_not_count() {
        let p = parameters();
        let (tape, _) = run(&p, true);
        // The first token of a sequence attends to itself alone.
        let (mixed, v) = (Node(7), Node(4));
        assert_eq!(tape.value(mixed).row(3)[..4], *tape.value(v).row(3));
    }
}
