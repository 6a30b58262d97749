//! Training state on disk: parameters, moments and the step, as one safetensors file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};

use super::network::Network;
use super::optimizer::{Optimizer, plain};

fn vars(net: &Network) -> Vec<(String, &Var)> {
    let mut all: Vec<(String, &Var)> =
        vec![("input".into(), &net.input), ("head".into(), &net.head), ("head_bias".into(), &net.head_bias)];
    for (i, l) in net.layers.iter().enumerate() {
        let parts =
            [("gates", &l.gates), ("bias", &l.bias), ("out", &l.out), ("up", &l.up), ("down", &l.down)];
        all.extend(parts.map(|(name, var)| (format!("{i}.{name}"), var)));
    }
    all
}

/// Writes beside the target first, so that a kill never leaves half a checkpoint.
pub fn save(path: &Path, net: &Network, optimizer: &Optimizer, step: usize) -> Result<()> {
    let mut all: HashMap<String, Tensor> = HashMap::new();
    all.extend(vars(net).into_iter().map(|(n, v)| (format!("var.{n}"), v.as_tensor().clone())));
    all.extend(optimizer.moments.iter().map(|(n, t)| (format!("moment.{n}"), t.clone())));
    for (j, (table, rows)) in net.tables.iter().zip(&optimizer.rows).enumerate() {
        all.insert(format!("table.{j}"), plain(table)?);
        all.insert(format!("rows.{j}"), plain(rows)?);
    }
    all.insert("step".into(), Tensor::new(&[step as u32], &Device::Cpu)?);
    let beside = path.with_extension("part");
    candle_core::safetensors::save(&all, &beside)?;
    std::fs::rename(&beside, path)?;
    Ok(())
}

/// Restores what `save` wrote into a network of the same shape; returns the step.
pub fn load(path: &Path, net: &mut Network, optimizer: &mut Optimizer) -> Result<usize> {
    let all = candle_core::safetensors::load(path, &Device::Cpu)?;
    let get = |name: &str| all.get(name).with_context(|| format!("{} has no '{name}'", path.display()));
    for (name, var) in vars(net) {
        var.set(get(&format!("var.{name}"))?)?;
    }
    for (name, tensor) in &all {
        if let Some(name) = name.strip_prefix("moment.") {
            optimizer.moments.insert(name.to_string(), tensor.clone());
        }
    }
    for (j, (table, rows)) in net.tables.iter_mut().zip(&mut optimizer.rows).enumerate() {
        *table = get(&format!("table.{j}"))?.to_vec1()?;
        *rows = get(&format!("rows.{j}"))?.to_vec1()?;
    }
    Ok(get("step")?.to_vec1::<u32>()?[0] as usize)
}
