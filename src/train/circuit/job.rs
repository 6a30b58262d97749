//! From a file of records to a model file.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::run::{CircuitOptions, learn};
use crate::codec::layout::{Layout, detect};
use crate::model::circuit::learn::Dataset;
use crate::model::circuit::{Model, Weights};

/// Where the records come from and the model goes to.
#[derive(Debug, Clone)]
pub struct CircuitJob {
    /// IDX, `.npy` of bytes, or raw records.
    pub data: PathBuf,
    /// Bytes of a raw record, and of what stands before the first; found out from IDX and `.npy` headers.
    pub record: Option<usize>,
    pub skip: usize,
    /// The model file.
    pub output: PathBuf,
    /// log2 of the steps of an octave in the model file.
    pub log2_steps: u8,
    pub options: CircuitOptions,
}

/// Learns, with a line of progress for every pass on standard error; the model file is written after each.
pub fn train_circuit(job: &CircuitJob) -> Result<()> {
    ensure!(job.log2_steps <= 3, "an octave has at most 8 steps");
    let bytes = fs::read(&job.data).with_context(|| format!("reading {}", job.data.display()))?;
    let found = match job.record {
        Some(width) => Some(Layout { start: job.skip, width }),
        None => detect(&bytes),
    };
    let layout = found.context("neither IDX nor .npy of bytes: --record says how long a record is")?;
    ensure!(layout.width > 0 && layout.start < bytes.len(), "no whole record");
    let records = &bytes[layout.start..];
    let records = &records[..records.len() / layout.width * layout.width];
    let data = Dataset::from_bytes(records, layout.width, job.options.classes)?;
    let state = learn(&data, &job.options, |state| {
        let file = state.export(job.log2_steps).to_bytes();
        fs::write(&job.output, file).with_context(|| format!("writing {}", job.output.display()))
    })?;
    let file = state.export(job.log2_steps).to_bytes();
    // What was written must be readable before anything is coded with it.
    Model::new(&Weights::from_bytes(&file)?)?;
    eprintln!("{}: {} bytes", job.output.display(), file.len());
    fs::write(&job.output, file)?;
    Ok(())
}
