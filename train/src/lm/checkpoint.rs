//! Training state on disk: parameters, moments and the step, as one safetensors file.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Error as TensorError, Tensor, Var};
use nzip::{Error, Result};

use crate::error::{corrupt, tensors};

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

/// Writes the state after `step`, to a file beside the target first, so that an interrupted run never leaves
/// half a checkpoint.
pub fn save(path: &Path, net: &Network, optimizer: &Optimizer, step: usize) -> Result<()> {
    let beside = path.with_extension("part");
    let all = collect(net, optimizer, step).map_err(tensors)?;
    candle_core::safetensors::save(&all, &beside).map_err(|e| file_error(&beside, e))?;
    std::fs::rename(&beside, path)?;
    Ok(())
}

fn collect(
    net: &Network,
    optimizer: &Optimizer,
    step: usize,
) -> candle_core::Result<HashMap<String, Tensor>> {
    let mut all: HashMap<String, Tensor> = HashMap::new();
    all.extend(vars(net).into_iter().map(|(n, v)| (format!("var.{n}"), v.as_tensor().clone())));
    all.extend(optimizer.moments.iter().map(|(n, t)| (format!("moment.{n}"), t.clone())));
    for (j, (table, rows)) in net.tables.iter().zip(&optimizer.rows).enumerate() {
        all.insert(format!("table.{j}"), plain(table)?);
        all.insert(format!("rows.{j}"), plain(rows)?);
    }
    all.insert("step".into(), Tensor::new(&[step as u32], &Device::Cpu)?);
    Ok(all)
}

/// Restores what [`save`] wrote into a network of the same shape; returns the step.
pub fn load(path: &Path, net: &mut Network, optimizer: &mut Optimizer) -> Result<usize> {
    let all = candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| file_error(path, e))?;
    restore(&all, net, optimizer).map_err(|e| corrupt(format!("{}: {e}", path.display())))
}

fn file_error(path: &Path, e: TensorError) -> Error {
    let e = match e {
        TensorError::Io(e) => e.into(),
        e => corrupt(e.to_string()),
    };
    e.within(path.display())
}

fn restore(
    all: &HashMap<String, Tensor>,
    net: &mut Network,
    optimizer: &mut Optimizer,
) -> candle_core::Result<usize> {
    let get = |name: &str| all.get(name).ok_or_else(|| TensorError::Msg(format!("no tensor '{name}'")));
    for (name, var) in vars(net) {
        var.set(get(&format!("var.{name}"))?)?;
    }
    for (name, tensor) in all {
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
