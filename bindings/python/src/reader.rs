//! Reading streams front to back from a file.

use crate::buffer::Room;
use crate::error::bad_argument;
use crate::options::{Decoding, decoding};
use crate::source::{Origin, Source, opening_failed};
use crate::work::{Watch, run};
use nzip::Decoder;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::io::Read;
use std::process;
use std::sync::{Mutex, PoisonError};

/// Decompresses all streams of a path, a file object or a buffer, front to back.
#[pyclass(module = "nzip._nzip", frozen)]
pub struct Reader {
    decoder: Mutex<Decoder<Source>>,
    watch: Option<Watch>,
    opened_by: u32,
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (file, options=None))]
    fn new(py: Python<'_>, file: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let Decoding { options, watch, .. } = decoding(options)?;
        let origin = Origin::of(file)?;
        let decoder = py.detach(|| Decoder::with_options(origin.open()?, options));
        let decoder = Mutex::new(decoder.map_err(|e| opening_failed(py, &origin, &e))?);
        Ok(Self { decoder, watch, opened_by: process::id() })
    }

    /// Fills a buffer with the next raw bytes, or its start; 0 at the end.
    fn readinto(&self, py: Python<'_>, out: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut room = Room::of(out)?;
        run(py, self.watch.as_ref(), |_| {
            if self.opened_by != process::id() {
                return Err(bad_argument("the file was opened by another process"));
            }
            let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                match decoder.read(room.get()) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    n => return Ok(n?),
                }
            }
        })
    }
}
