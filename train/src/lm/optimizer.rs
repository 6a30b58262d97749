//! Muon for the hidden matrices, Adam for everything else in the graph, a row-wise variant for the n-gram
//! tables.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{Context, Device, Result, Tensor, Var};

use super::network::{Lookup, Network};

/// Learning rates relative to the schedule's factor of 1.
const MUON_RATE: f64 = 0.02;
const ADAM_RATE: f64 = 0.003;
const TABLE_RATE: f32 = 0.02;
const WEIGHT_DECAY: f64 = 0.02;
const MUON_MOMENTUM: f64 = 0.95;
const ADAM_BETAS: (f64, f64) = (0.9, 0.98);
const TABLE_BETA: f32 = 0.98;

/// Running moments, by parameter name.
pub struct Optimizer {
    pub moments: HashMap<String, Tensor>,
    /// Mean square gradient and number of updates of every table row, interleaved.
    pub rows: Vec<Vec<f32>>,
}

impl Optimizer {
    pub fn new(network: &Network) -> Self {
        let rows = network.config.tables.iter().map(|t| vec![0f32; 2 << t.log2_rows]).collect();
        Self { moments: HashMap::new(), rows }
    }

    /// One update; `rate` is the schedule's factor, `step` counts from 1.
    pub fn step(
        &mut self,
        net: &mut Network,
        grads: &GradStore,
        look: &Lookup,
        rate: f64,
        step: usize,
    ) -> Result<()> {
        let entry_grads = grads.get(&look.entries).context("no gradient for the tables")?;
        self.step_tables(net, look, &entry_grads.flatten_all()?.to_vec1::<f32>()?, rate as f32);
        let heads = [("input", &net.input), ("head", &net.head), ("head_bias", &net.head_bias)];
        for (name, var) in heads {
            self.adam(name, var, grads, rate, step)?;
        }
        for (i, layer) in net.layers.iter().enumerate() {
            self.adam(&format!("{i}.bias"), &layer.bias, grads, rate, step)?;
            self.muon(&format!("{i}.gates"), &layer.gates, 3, grads, rate)?;
            self.muon(&format!("{i}.out"), &layer.out, 1, grads, rate)?;
            self.muon(&format!("{i}.up"), &layer.up, 1, grads, rate)?;
            self.muon(&format!("{i}.down"), &layer.down, 1, grads, rate)?;
        }
        Ok(())
    }

    fn moment(&self, name: String, like: &Tensor) -> Result<Tensor> {
        Ok(match self.moments.get(&name) {
            Some(m) => m.clone(),
            None => like.zeros_like()?,
        })
    }

    /// Adam (Kingma and Ba 2015).
    fn adam(&mut self, name: &str, var: &Var, grads: &GradStore, rate: f64, step: usize) -> Result<()> {
        let grad = grads.get(var).with_context(|| format!("no gradient for {name}"))?;
        let (b1, b2) = ADAM_BETAS;
        let (first, second) = (format!("{name}.m"), format!("{name}.v"));
        let m = ((self.moment(first.clone(), grad)? * b1)? + (grad * (1.0 - b1))?)?;
        let v = ((self.moment(second.clone(), grad)? * b2)? + (grad.sqr()? * (1.0 - b2))?)?;
        let m_hat = (&m / (1.0 - b1.powi(step.min(10_000) as i32)))?;
        let v_hat = (&v / (1.0 - b2.powi(step.min(10_000) as i32)))?;
        let update = (m_hat / (v_hat.sqrt()? + 1e-10)?)?;
        var.set(&(var.as_tensor() - (update * (ADAM_RATE * rate))?)?)?;
        self.moments.insert(first, m.detach());
        self.moments.insert(second, v.detach());
        Ok(())
    }

    /// Muon (Jordan et al. 2024): momentum whose matrix is orthogonalised. `parts` is the number of stacked
    /// blocks that are orthogonalised separately.
    fn muon(&mut self, name: &str, var: &Var, parts: usize, grads: &GradStore, rate: f64) -> Result<()> {
        let grad = grads.get(var).with_context(|| format!("no gradient for {name}"))?;
        let m = ((self.moment(name.to_string(), grad)? * MUON_MOMENTUM)? + grad)?;
        let nesterov = (grad + (&m * MUON_MOMENTUM)?)?;
        let (rows, cols) = var.dims2()?;
        let rows = rows / parts;
        let blocks: Vec<Tensor> = (0..parts)
            .map(|p| orthogonal(&nesterov.narrow(0, p * rows, rows)?.contiguous()?))
            .collect::<Result<_>>()?;
        let lr = MUON_RATE * rate;
        let scale = lr * (rows as f64 / cols as f64).max(1.0).sqrt();
        let update = (Tensor::cat(&blocks, 0)? * scale)?;
        var.set(&((var.as_tensor() * (1.0 - lr * WEIGHT_DECAY))? - update)?)?;
        self.moments.insert(name.to_string(), m.detach());
        Ok(())
    }

    /// Gradient descent on the rows used, each scaled by its own root mean square gradient.
    fn step_tables(&mut self, net: &mut Network, look: &Lookup, grads: &[f32], rate: f32) {
        let (n, e) = (net.config.tables.len(), net.config.table_width);
        for (j, (table, seen)) in net.tables.iter_mut().zip(&mut self.rows).enumerate() {
            let mut sums: HashMap<u32, Vec<f32>> = HashMap::new();
            for (position, row_of) in look.rows.chunks_exact(n).enumerate() {
                let grad = &grads[(position * n + j) * e..][..e];
                let sum = sums.entry(row_of[j]).or_insert_with(|| vec![0f32; e]);
                sum.iter_mut().zip(grad).for_each(|(s, g)| *s += g);
            }
            for (row, grad) in sums {
                let row = row as usize;
                let [square, updates] = &mut seen[2 * row..2 * row + 2] else { unreachable!("slice of two") };
                *updates += 1.0;
                let mean = grad.iter().map(|g| g * g).sum::<f32>() / e as f32;
                *square = TABLE_BETA * *square + (1.0 - TABLE_BETA) * mean;
                let unbiased = *square / (1.0 - TABLE_BETA.powi((*updates).min(10_000.0) as i32));
                let scale = TABLE_RATE * rate / (unbiased.sqrt() + 1e-12);
                for (v, g) in table[row * e..(row + 1) * e].iter_mut().zip(&grad) {
                    *v = (*v - scale * g).clamp(-1.0, 1.0);
                }
            }
        }
    }
}

/// Approximately the nearest semi-orthogonal matrix, by five Newton–Schulz steps (coefficients of Jordan et
/// al. 2024).
fn orthogonal(g: &Tensor) -> Result<Tensor> {
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let (rows, cols) = g.dims2()?;
    let mut x = if rows > cols { g.t()?.contiguous()? } else { g.clone() };
    let norm = x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt() + 1e-12;
    x = (x / f64::from(norm))?;
    for _ in 0..5 {
        let gram = x.matmul(&x.t()?)?;
        let poly = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + poly.matmul(&x)?)?;
    }
    Ok(if rows > cols { x.t()?.contiguous()? } else { x })
}

/// A tensor from plain floats, for checkpoints.
pub fn plain(data: &[f32]) -> Result<Tensor> {
    Tensor::from_slice(data, data.len(), &Device::Cpu)
}
