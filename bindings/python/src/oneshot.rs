//! Buffers in, bytes out.

use crate::buffer::Bytes;
use crate::error::Outcome;
use crate::options::{decoding, encoding};
use crate::work::{Stop, Stopping, run};
use nzip::{Archive, DecodeOptions, Decoder, Encoder, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::io::{self, Cursor, Read, Write};

/// Raw bytes that are decoded between two looks for signals.
const STEP: usize = 1 << 20;
/// Results up to this many times as long as their streams are decoded where they stay. Longer ones grow as they come: what an
/// index declares is not taken on trust.
const TRUSTED: usize = 1000;
/// Shorter results are copied.
const COPIED: u64 = 64 << 10;

/// Compresses a buffer to one stream.
#[pyfunction]
#[pyo3(signature = (data, level=None, options=None))]
pub fn compress<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    level: Option<i64>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let data = Bytes::of(data)?;
    let encoding = encoding(level, options)?;
    let packed = run(py, encoding.watch.as_ref(), |stop| {
        let out = Stopping { inner: Vec::new(), stop };
        Ok(Encoder::with_options(out, encoding.options)?.finish_all(data.get())?.inner)
    })?;
    Ok(PyBytes::new(py, &packed))
}

/// Decompresses all streams of a buffer.
#[pyfunction]
#[pyo3(signature = (data, options=None))]
pub fn decompress<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let data = Bytes::of(data)?;
    let decoding = decoding(options)?;
    let (watch, options) = (decoding.watch.as_ref(), &decoding.options);
    if let Some(len) = py.detach(|| raw_len(data.get(), options)) {
        return PyBytes::new_with(py, len, |out| {
            run(py, watch, |stop| fill(data.get(), options.clone(), out, stop))
        });
    }
    let raw = run(py, watch, |stop| {
        let mut decoder = Decoder::with_options(data.get(), options.clone())?;
        let mut out = Stopping { inner: Capped { out: Vec::new(), cap: options.memory_cap() }, stop };
        io::copy(&mut decoder, &mut out)?;
        Ok(out.inner.out)
    })?;
    Ok(PyBytes::new(py, &raw))
}

/// The raw bytes of a buffer of streams, where its index is whole and says something that is likely.
fn raw_len(packed: &[u8], options: &DecodeOptions) -> Option<usize> {
    // An archive of its own models: none of them is loaded.
    let len = Archive::with_options(Cursor::new(packed), options.clone()).ok()?.len();
    let likely = (COPIED..=options.memory_cap()).contains(&len);
    usize::try_from(len).ok().filter(|len| likely && len / TRUSTED <= packed.len())
}

/// Decodes to exactly so many bytes.
fn fill(packed: &[u8], options: DecodeOptions, out: &mut [u8], mut stop: Stop<'_>) -> Outcome<()> {
    let mut decoder = Decoder::with_options(packed, options)?;
    for part in out.chunks_mut(STEP) {
        stop.check()?;
        decoder.read_exact(part)?;
    }
    // What stands behind is checked, too.
    let more = io::copy(&mut decoder, &mut NoRoom)?;
    debug_assert_eq!(more, 0);
    Ok(())
}

/// A writer that takes nothing.
struct NoRoom;

impl Write for NoRoom {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        let e = nzip::Error::new(ErrorKind::Corrupt, "more raw bytes than the index says");
        Err(e.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A result that may hold so many bytes.
#[derive(Default)]
pub struct Capped {
    pub out: Vec<u8>,
    pub cap: u64,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let need = (self.out.len() + bytes.len()) as u64;
        if need > self.cap || self.out.try_reserve(bytes.len()).is_err() {
            let message = format!("a result of {need} bytes or more; the memory cap is {}", self.cap);
            return Err(nzip::Error::new(ErrorKind::LimitExceeded, message).into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
