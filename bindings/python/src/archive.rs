//! Reading any part of a file.

use crate::buffer::Room;
use crate::error::{Outcome, bad_argument};
use crate::model::hex;
use crate::options::{Decoding, decoding};
use crate::source::{Origin, Source, opening_failed};
use crate::work::{Watch, run, threads};
use nzip::tensor::TensorInfo;
use nzip::{Archive, ArchiveReader, DecodeOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::io::{Read, Seek, SeekFrom};
use std::process;
use std::sync::{Mutex, PoisonError};

/// Random access to a path, a file object or a buffer.
#[pyclass(module = "nzip._nzip", frozen)]
pub struct ArchiveCore {
    origin: Origin,
    options: DecodeOptions,
    threads: usize,
    watch: Option<Watch>,
    opened: Mutex<Opened>,
}

struct Opened {
    /// `None` after closing.
    reader: Option<ArchiveReader<'static, Source>>,
    /// The process whose threads and file position these are.
    by: u32,
}

/// Name, type, shape, offset of the first raw byte, raw bytes.
type Tensor = (String, &'static str, Vec<u64>, u64, u64);

fn tensor(info: &TensorInfo) -> Tensor {
    (info.name.clone(), info.dtype.name(), info.shape.clone(), info.start, info.len)
}

impl ArchiveCore {
    /// Does something with the archive, without the interpreter lock.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ArchiveReader<'static, Source>) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        run(py, self.watch.as_ref(), |_| {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = || bad_argument("I/O operation on closed file");
            if opened.by != process::id() && opened.reader.is_some() {
                // This process has none of the other one's threads, and shares the place in its files.
                let options = self.options.clone().threads(threads(self.threads));
                let archive = Archive::with_options(self.origin.open()?, options)?;
                *opened = Opened { reader: Some(archive.into_reader()), by: process::id() };
            }
            work(opened.reader.as_mut().ok_or_else(closed)?)
        })
    }
}

#[pymethods]
impl ArchiveCore {
    #[new]
    #[pyo3(signature = (file, options=None))]
    fn new(py: Python<'_>, file: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let Decoding { options, watch, threads } = decoding(options)?;
        let origin = Origin::of(file)?;
        let archive = py.detach(|| Archive::with_options(origin.open()?, options.clone()));
        let archive = archive.map_err(|e| opening_failed(py, &origin, &e))?;
        let opened = Opened { reader: Some(archive.into_reader()), by: process::id() };
        Ok(Self { origin, options, threads, watch, opened: Mutex::new(opened) })
    }

    /// Lets go of the file.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.opened.lock().unwrap_or_else(PoisonError::into_inner).reader = None);
    }

    /// Raw bytes.
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |r| Ok(r.archive().len()))
    }

    /// Bytes of the file.
    fn stored_size(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |r| Ok(r.archive().stored_len()))
    }

    /// Raw bytes that ranges and tensors have had decoded so far.
    fn decoded_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |r| Ok(r.archive().decoded_bytes()))
    }

    /// Fills a buffer with the raw bytes from an offset on, or its start, from what is kept decoded around it.
    fn read_some(&self, py: Python<'_>, start: u64, out: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut room = Room::of(out)?;
        self.with(py, |r| {
            r.seek(SeekFrom::Start(start))?;
            Ok(r.read(room.get())?)
        })
    }

    /// Fills all of a buffer with the raw bytes from an offset on.
    fn read_range_into(&self, py: Python<'_>, start: u64, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut room = Room::of(out)?;
        self.with(py, |r| r.archive_mut().read_range_into(start, room.get()))
    }

    /// The raw bytes of a range.
    fn read_range<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> PyResult<Bound<'py, PyBytes>> {
        let raw = self.with(py, |r| r.archive_mut().read_range(start..stop))?;
        Ok(PyBytes::new(py, &raw))
    }

    /// Decodes everything, verifies all check values and hashes, and gives the number of raw bytes.
    fn verify(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |r| r.archive_mut().verify())
    }

    /// The tensors, in the order in which they lie.
    fn tensors(&self, py: Python<'_>) -> PyResult<Vec<Tensor>> {
        self.with(py, |r| {
            // A small file may hold tensors that its index does not name: looking for them is what this does.
            if r.archive().tensor_infos().is_empty() {
                r.archive_mut().tensors()?;
            }
            Ok(r.archive().tensor_infos().iter().map(tensor).collect())
        })
    }

    /// Stored bytes and coding of each tensor.
    fn tensor_methods(&self, py: Python<'_>) -> PyResult<Vec<(u64, String)>> {
        let tensors = self.with(py, |r| r.archive_mut().tensors())?;
        Ok(tensors.into_iter().map(|t| (t.stored_len, t.method)).collect())
    }

    /// Decodes a tensor into a buffer of its length.
    fn read_tensor_into(&self, py: Python<'_>, number: usize, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut room = Room::of(out)?;
        self.with(py, |r| r.archive_mut().tensor_at(number)?.read_into(room.get()))
    }

    /// Decodes rows of a tensor in any order.
    fn gather<'py>(&self, py: Python<'py>, number: usize, rows: Vec<u64>) -> PyResult<Bound<'py, PyBytes>> {
        let raw = self.with(py, |r| r.archive_mut().tensor_at(number)?.gather(&rows))?;
        Ok(PyBytes::new(py, &raw))
    }

    /// The streams and blocks of the file, in the words of the command's JSON.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (streams, blocks) = self.with(py, |r| {
            let archive = r.archive_mut();
            let mut blocks = Vec::new();
            for number in 0..archive.block_count() {
                blocks.extend(archive.block(number)?);
            }
            Ok((archive.streams(), blocks))
        })?;
        let info = PyDict::new(py);
        let mut list = Vec::with_capacity(streams.len());
        for s in &streams {
            let stream = PyDict::new(py);
            stream.set_item("offset", s.offset)?;
            stream.set_item("stored_bytes", s.stored_len)?;
            stream.set_item("raw_bytes", s.raw_len)?;
            stream.set_item("index_bytes", s.index_len)?;
            stream.set_item("embedded_model_bytes", s.embedded_len)?;
            stream.set_item("blocks", s.blocks)?;
            stream.set_item("hash", s.hash.as_ref().map(hex))?;
            list.push(stream);
        }
        info.set_item("streams", list)?;
        let mut list = Vec::with_capacity(blocks.len());
        for b in &blocks {
            let block = PyDict::new(py);
            block.set_item("stream", b.stream)?;
            block.set_item("offset", b.offset)?;
            block.set_item("stored_bytes", b.stored_len)?;
            block.set_item("raw_offset", b.raw_start)?;
            block.set_item("raw_bytes", b.raw_len)?;
            block.set_item("codec", b.codec.map(|c| c.name()))?;
            block.set_item("model", b.model.as_ref().map(hex))?;
            block.set_item("own_model_bytes", b.own_model_len)?;
            block.set_item("window_bytes", b.window)?;
            block.set_item("sized", b.sized)?;
            block.set_item("flushed", b.flushed)?;
            block.set_item("range_bytes", b.range_cost())?;
            list.push(block);
        }
        info.set_item("blocks", list)?;
        Ok(info)
    }
}
