//! Reads a safetensors file, and writes it with other values.

use crate::codebook::Codebook;
use crate::grid::Grid;
use crate::points::Point;
use crate::{
    Method, Options, TensorReport, Work, bad_argument, is_protected, may_change, safetensors, values,
};
use nzip::tensor::{Dtype, FileKind, Layout, TensorInfo};
use nzip::{Error, Result};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A safetensors file.
pub struct Checkpoint<'a> {
    file: &'a [u8],
    layout: Layout,
    /// Tensors in which values have become zero, by name.
    masked: HashMap<String, Vec<u8>>,
}

impl<'a> Checkpoint<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// Those of a broken file; [`nzip::ErrorKind::BadArgument`] for files of other kinds.
    pub fn read(file: &'a [u8]) -> Result<Self> {
        let layout = Layout::read(file)?;
        if layout.kind != FileKind::Safetensors {
            return Err(bad_argument("only safetensors files can be quantised"));
        }
        Ok(Self { file, layout, masked: HashMap::new() })
    }

    /// The same checkpoint, in which the values that are to become zero are so in [`Self::source`].
    pub fn masked(self, options: &Options) -> Self {
        let Some(sparsity) = options.sparse else { return self };
        let suits = |t: &&TensorInfo| may_change(t, options).is_ok() && !is_protected(&t.name);
        let mask = |t: &TensorInfo| {
            let columns = t.shape.last().map_or(1, |n| *n as usize);
            Some((t.name.clone(), sparsity.masked(t.dtype, self.bytes(t), columns)?))
        };
        let tensors: Vec<&TensorInfo> = self.tensors().iter().filter(suits).collect();
        let masked = tensors.into_par_iter().filter_map(mask).collect();
        Self { masked, ..self }
    }

    /// The bytes of a tensor that are moved to levels.
    pub fn source(&self, tensor: &TensorInfo) -> &[u8] {
        match self.masked.get(&tensor.name) {
            Some(masked) => masked,
            None => self.bytes(tensor),
        }
    }

    /// The whole file.
    pub fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.layout.tensors
    }

    /// The bytes of a tensor.
    pub fn bytes(&self, tensor: &TensorInfo) -> &'a [u8] {
        &self.file[tensor.start as usize..tensor.end() as usize]
    }

    /// The file with each tensor at its point, or as it was where it has none; and what became of each tensor.
    ///
    /// # Errors
    /// Those of the header's JSON.
    pub fn write(
        &self,
        work: &[Work<'_>],
        choice: &[Option<Point>],
        options: &Options,
    ) -> Result<(Vec<u8>, Vec<TensorReport>)> {
        let done: Vec<(Option<Vec<u8>>, TensorReport)> = self
            .tensors()
            .par_iter()
            .zip(work)
            .zip(choice)
            .map(|((t, w), c)| self.tensor(t, w, *c, options))
            .collect();
        self.assemble(&done, options)
    }

    /// The file with new bytes for each tensor that has some, and what became of each tensor.
    ///
    /// # Errors
    /// Those of the header's JSON.
    pub fn assemble(
        &self,
        done: &[(Option<Vec<u8>>, TensorReport)],
        options: &Options,
    ) -> Result<(Vec<u8>, Vec<TensorReport>)> {
        let reports: Vec<TensorReport> = done.iter().map(|d| d.1.clone()).collect();
        let mut out = self.header(&reports, options)?;
        for (tensor, (bytes, _)) in self.tensors().iter().zip(done) {
            out.extend_from_slice(bytes.as_deref().unwrap_or(self.bytes(tensor)));
        }
        Ok((out, reports))
    }

    fn tensor(
        &self,
        tensor: &TensorInfo,
        work: &Work<'_>,
        point: Option<Point>,
        options: &Options,
    ) -> (Option<Vec<u8>>, TensorReport) {
        let kept = |reason| (None, kept(tensor, reason));
        let (candidate, point) = match (&work.candidate, point) {
            (Err(reason), _) => return kept(reason),
            (Ok(_), None) => return kept("more levels needed than fit"),
            (Ok(candidate), Some(point)) => (candidate, point),
        };
        let (old, numbers) = (self.bytes(tensor), values::read(tensor.dtype, self.source(tensor)));
        let old = values::read(tensor.dtype, old);
        if let Some(most) = options.codebook {
            let book = Codebook::fit(&numbers, point.step, most, tensor.dtype);
            let new = Replaced::new(tensor.dtype, &old, |i| book.value(book.choose(numbers[i])));
            let method = Method::Levels { step: point.step, levels: book.used() };
            return new.reported(tensor, method, book.entropy());
        }
        let Some(grid) = Grid::fit(&numbers, candidate.range(), point.step, tensor.dtype, point.plain) else {
            return kept("more levels needed than fit");
        };
        let new = Replaced::new(tensor.dtype, &old, |i| grid.value(grid.level(numbers[i])));
        // Types of few digits may round a level away from where an error of half a step would leave it.
        if point.plain && new.max_error > point.step / 2.0 {
            return kept("its type is too coarse for this error");
        }
        let method = Method::Levels { step: point.step, levels: grid.used() };
        new.reported(tensor, method, grid.entropy())
    }

    /// The header of the file, with what was done added to its metadata.
    fn header(&self, reports: &[TensorReport], options: &Options) -> Result<Vec<u8>> {
        let start = self.tensors().first().map_or(self.file.len(), |t| t.start as usize);
        let broken = |e: serde_json::Error| Error::new(nzip::ErrorKind::Corrupt, format!("safetensors: {e}"));
        let mut header: Map<String, Value> = serde_json::from_slice(&self.file[8..start]).map_err(broken)?;
        let tensors: Map<String, Value> =
            reports.iter().filter_map(|r| Some((r.name.clone(), described(r)?))).collect();
        let mut done = json!({ "target": format!("{:?}", options.target), "tensors": tensors });
        if let Some(sparsity) = options.sparse {
            done["sparse"] = Value::String(format!("{sparsity:?}"));
        }
        if let Some(most) = options.codebook {
            done["codebook"] = json!(most);
        }
        let metadata = header.entry("__metadata__").or_insert_with(|| json!({}));
        metadata
            .as_object_mut()
            .ok_or_else(|| Error::new(nzip::ErrorKind::Corrupt, "safetensors: metadata that is no object"))?
            .insert("nzip.quantize".into(), Value::String(done.to_string()));
        Ok(safetensors::start(header))
    }
}

/// The report of a tensor that has its old values.
pub fn kept(tensor: &TensorInfo, reason: &'static str) -> TensorReport {
    let elements: u64 = tensor.shape.iter().product();
    TensorReport {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        elements,
        method: Method::Kept(reason),
        bits: 8.0 * tensor.len as f64 / elements.max(1) as f64,
        relative_error: 0.0,
        max_error: 0.0,
    }
}

/// The new values of a tensor, and how far they are from the old ones.
pub struct Replaced {
    bytes: Vec<u8>,
    relative_error: f64,
    max_error: f64,
}

impl Replaced {
    /// Gives each value of `old` the new one with its number.
    pub fn new(dtype: Dtype, old: &[f32], new: impl Fn(usize) -> f32) -> Self {
        let size = values::size(dtype);
        let mut bytes = Vec::with_capacity(old.len() * size);
        let (mut square, mut off, mut worst) = (0.0, 0.0, 0.0f64);
        for (i, &x) in old.iter().enumerate() {
            let y = new(i);
            bytes.extend_from_slice(&values::bytes_of(dtype, y)[..size]);
            let d = f64::from(x) - f64::from(y);
            square += f64::from(x) * f64::from(x);
            off += d * d;
            worst = worst.max(d.abs());
        }
        let relative_error = if off > 0.0 { (off / square).sqrt() } else { 0.0 };
        Self { bytes, relative_error, max_error: worst }
    }

    /// The bytes, with a report.
    pub fn reported(self, tensor: &TensorInfo, method: Method, bits: f64) -> (Option<Vec<u8>>, TensorReport) {
        let (relative_error, max_error) = (self.relative_error, self.max_error);
        (Some(self.bytes), TensorReport { method, bits, relative_error, max_error, ..kept(tensor, "") })
    }
}

/// The description of a tensor for the metadata; `None` for one that was kept.
fn described(report: &TensorReport) -> Option<Value> {
    let Method::Levels { step, levels } = report.method else { return None };
    let round = |x: f64| (x * 1e6).round() / 1e6;
    Some(json!({
        "step": step,
        "levels": levels,
        "bits": round(report.bits),
        "relative_error": round(report.relative_error),
        "max_error": report.max_error,
    }))
}
