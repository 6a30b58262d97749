//! Contents that are spread over several files.

use crate::buffer::{Bytes, Room};
use crate::error::{Outcome, exception};
use crate::model::hex;
use crate::options::{Decoding, decoding};
use crate::source::{Origin, Source, opening_failed};
use crate::work::{Watch, run, threads};
use nzip::manifest::{Manifest, ManifestArchive, Shard};
use nzip::tensor::TensorInfo;
use nzip::{Archive, DecodeOptions, Error};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::io;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of a manifest's list where no archive with a memory cap reads it.
const MEMORY: u64 = 4 << 30;

/// Name, type, shape, offset of the first raw byte, raw bytes.
type Tensor = (String, &'static str, Vec<u64>, u64, u64);

/// Reads the content that a manifest describes.
#[pyclass(module = "nzip._nzip", frozen)]
pub struct ManifestCore {
    opener: Arc<Py<PyAny>>,
    options: DecodeOptions,
    threads: usize,
    watch: Option<Watch>,
    /// The content, and the process whose threads and files these are.
    opened: Mutex<(ManifestArchive<Source>, u32)>,
}

fn content(manifest: Manifest, opener: &Arc<Py<PyAny>>, options: DecodeOptions) -> ManifestArchive<Source> {
    let opener = opener.clone();
    ManifestArchive::new(manifest, options, Box::new(move |name, options| open(&opener, name, options)))
}

impl ManifestCore {
    /// Does something with the content, without the interpreter lock.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ManifestArchive<Source>) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        run(py, self.watch.as_ref(), |_| {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            if opened.1 != process::id() {
                // This process has none of the other one's threads, and shares the place in its files.
                let options = self.options.clone().threads(threads(self.threads));
                *opened = (content(opened.0.manifest().clone(), &self.opener, options), process::id());
            }
            work(&mut opened.0)
        })
    }
}

/// Opens a shard through a function of Python, which is given its name.
fn open(opener: &Py<PyAny>, name: &str, options: DecodeOptions) -> Outcome<Archive<Source>> {
    let source = Python::attach(|py| -> PyResult<Origin> { Origin::of(opener.call1(py, (name,))?.bind(py)) });
    let source = source.map_err(|e| Error::from(io::Error::from(e)))?;
    Archive::with_options(source.open()?, options)
}

#[pymethods]
impl ManifestCore {
    #[new]
    #[pyo3(signature = (manifest, opener, options=None))]
    fn new(
        py: Python<'_>,
        manifest: &Bound<'_, PyAny>,
        opener: Py<PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let Decoding { options, watch, threads } = decoding(options)?;
        let bytes = Bytes::of(manifest)?;
        let parsed = py.detach(|| Manifest::parse(bytes.get(), options.memory_cap()));
        let manifest = parsed.map_err(|e| exception(&e))?;
        let opener = Arc::new(opener);
        let opened = (content(manifest, &opener, options.clone()), process::id());
        Ok(Self { opener, options, threads, watch, opened: Mutex::new(opened) })
    }

    /// Raw bytes.
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |m| Ok(m.len()))
    }

    /// The rows of the shards.
    fn rows(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |m| Ok(m.manifest().shards().iter().map(Shard::to_row).collect()))
    }

    /// Fills all of a buffer with the raw bytes from an offset on.
    fn read_range_into(&self, py: Python<'_>, start: u64, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut room = Room::of(out)?;
        self.with(py, |m| m.read_range_into(start, room.get()))
    }

    /// The raw bytes of a range.
    fn read_range<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> PyResult<Bound<'py, PyBytes>> {
        let raw = self.with(py, |m| m.read_range(start..stop))?;
        Ok(PyBytes::new(py, &raw))
    }

    /// The tensors, in the order in which they start.
    fn tensors(&self, py: Python<'_>) -> PyResult<Vec<Tensor>> {
        let tensor = |t: &TensorInfo| (t.name.clone(), t.dtype.name(), t.shape.clone(), t.start, t.len);
        self.with(py, |m| Ok(m.manifest().tensors().iter().map(|t| tensor(&t.info)).collect()))
    }

    /// The bytes of a tensor, or of some of its rows.
    #[pyo3(signature = (name, rows=None))]
    fn read_tensor<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        rows: Option<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let raw = self.with(py, |m| match rows {
            Some((first, end)) => m.read_rows(name, first..end),
            None => m.read_tensor(name),
        })?;
        Ok(PyBytes::new(py, &raw))
    }

    /// Decodes a shard and compares it with its row.
    fn verify(&self, py: Python<'_>, number: usize) -> PyResult<()> {
        self.with(py, |m| m.verify(number))
    }
}

/// The row of a shard, from its file.
#[pyfunction]
#[pyo3(signature = (name, file, options=None))]
pub fn describe_shard(
    py: Python<'_>,
    name: &str,
    file: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<String> {
    let Decoding { options, watch, .. } = decoding(options)?;
    let origin = Origin::of(file)?;
    let described = run(py, watch.as_ref(), |_| Ok(Shard::describe(name, origin.open()?, &options)))?;
    Ok(described.map_err(|e| opening_failed(py, &origin, &e))?.to_row())
}

/// The manifest of shards that have these rows. Each of them starts where the one before it ends.
#[pyfunction]
pub fn make_manifest<'py>(py: Python<'py>, rows: Vec<String>) -> PyResult<Bound<'py, PyBytes>> {
    let made = py.detach(|| -> Outcome<Vec<u8>> {
        let mut manifest = Manifest::new();
        for row in &rows {
            manifest.push(Shard::parse(row)?)?;
        }
        Ok(manifest.to_bytes())
    });
    Ok(PyBytes::new(py, &made.map_err(|e| exception(&e))?))
}

/// The rows of a manifest.
#[pyfunction]
pub fn manifest_rows(py: Python<'_>, manifest: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let bytes = Bytes::of(manifest)?;
    let parsed = py.detach(|| Manifest::parse(bytes.get(), MEMORY));
    Ok(parsed.map_err(|e| exception(&e))?.shards().iter().map(Shard::to_row).collect())
}

/// The BLAKE3 of a buffer, in hexadecimal digits.
#[pyfunction]
pub fn content_hash(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<String> {
    let bytes = Bytes::of(data)?;
    let hash = py.detach(|| nzip::manifest::content_hash(bytes.get()));
    Ok(hex(&hash))
}
