//! Second moments of what goes into each product of a network and of what comes back to it.
//!
//! With x the inputs of a product with weights W, and g the errors that follow back from the network's outputs to those of
//! the product, the squared error of the network's outputs is about tr(G dW H dWᵀ) with H = E\[x xᵀ\] and G = Σ g gᵀ
//! (Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", 2015).

use super::product::{Matrix, product_into};
use super::tape::{Listener, Node, Parameters, Tape};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Products with more outputs than this only have the squares of their errors.
const MOST_OUTPUTS: usize = 4096;
/// Rows of a matrix of moments that a thread adds to.
const ROWS: usize = 96;

/// Moments of errors: all products of two of them, or the squares alone.
#[derive(Debug, Clone)]
pub enum Outputs {
    Full(Matrix),
    Squares(Vec<f64>),
}

/// What a calibration has seen of a product.
#[derive(Debug, Clone)]
pub struct Product {
    /// The number of the bias that is added to the outputs.
    pub bias: Option<usize>,
    /// The number of tokens.
    pub tokens: f64,
    /// The sum of the inputs.
    pub sum: Vec<f64>,
    /// The sum of x xᵀ.
    pub inputs: Matrix,
    /// The sum of g gᵀ.
    pub outputs: Outputs,
}

/// What a calibration has seen of a table.
#[derive(Debug, Clone)]
pub struct Table {
    /// How often each row was taken.
    pub counts: Vec<f64>,
    /// The sum of the squared errors of each row.
    pub squares: Vec<f64>,
    /// The sum of g gᵀ.
    pub errors: Matrix,
}

/// The moments of all products and tables of a network, by the number of the tensor.
#[derive(Default)]
pub struct Moments {
    pub products: BTreeMap<usize, Product>,
    pub tables: BTreeMap<usize, Table>,
    /// Outputs whose errors were followed back.
    pub probes: f64,
    shapes: Vec<(usize, usize)>,
}

impl Moments {
    /// No moments yet, for tensors of a model.
    pub fn new(parameters: &Parameters) -> Self {
        let shapes = parameters.matrices.iter().map(|m| (m.rows, m.columns)).collect();
        Self { shapes, ..Self::default() }
    }

    /// Adds the moments of a batch, with an error for each output row.
    pub fn gather(&mut self, tape: &Tape<'_>, output: Node, errors: Matrix) {
        self.probes += errors.rows as f64;
        tape.backward(output, errors, self);
    }
}

impl Listener for Moments {
    fn linear(&mut self, weight: usize, bias: Option<usize>, x: &Matrix, back: &Matrix) {
        let (rows, columns) = self.shapes[weight];
        let product = self.products.entry(weight).or_insert_with(|| Product {
            bias,
            tokens: 0.0,
            sum: vec![0.0; columns],
            inputs: Matrix::zeros(columns, columns),
            outputs: if rows <= MOST_OUTPUTS {
                Outputs::Full(Matrix::zeros(rows, rows))
            } else {
                Outputs::Squares(vec![0.0; rows])
            },
        });
        product.tokens += x.rows as f64;
        for row in x.values.chunks_exact(columns.max(1)) {
            product.sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v));
        }
        add_squares(&mut product.inputs, x);
        match &mut product.outputs {
            Outputs::Full(sum) => add_squares(sum, back),
            Outputs::Squares(sums) => {
                for row in back.values.chunks_exact(rows.max(1)) {
                    sums.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
                }
            }
        }
    }

    fn rows(&mut self, table: usize, ids: &[u32], back: &Matrix) {
        let (rows, columns) = self.shapes[table];
        let table = self.tables.entry(table).or_insert_with(|| Table {
            counts: vec![0.0; rows],
            squares: vec![0.0; rows],
            errors: Matrix::zeros(columns, columns),
        });
        for (r, &id) in ids.iter().enumerate() {
            table.counts[id as usize] += 1.0;
            table.squares[id as usize] += back.row(r).iter().map(|v| f64::from(v * v)).sum::<f64>();
        }
        add_squares(&mut table.errors, back);
    }
}

/// Adds xᵀx to a matrix.
fn add_squares(sum: &mut Matrix, x: &Matrix) {
    let columns = x.columns.max(1);
    sum.values.par_chunks_mut(ROWS * columns).enumerate().for_each(|(i, part)| {
        let some = (i * ROWS, part.len() / columns);
        product_into(part, columns, x.part((0, x.rows), some).turned(), x.view(), 1.0, true);
    });
}
