//! Compressing and decompressing piece by piece, and many small contents.

use crate::buffer::Bytes;
use crate::error::{Outcome, bad_argument, exception};
use crate::oneshot::Capped;
use crate::options::{Decoding, Encoding, decoding, encoding};
use crate::work::{Watch, run, threads};
use nzip::{DecodeOptions, Encoder, Options, write};
use pyo3::exceptions::PyEOFError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::io::{self, Write};
use std::mem;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Modes of [`Compressor::compress`], as in `compression.zstd`.
const CONTINUE: u8 = 0;
const FLUSH_BLOCK: u8 = 1;
const FLUSH_STREAM: u8 = 2;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that has been begun cannot go on in a forked child: its threads are not there.
fn same_process(started_by: u32) -> Outcome<()> {
    if started_by == process::id() {
        return Ok(());
    }
    Err(bad_argument("the stream was begun by another process"))
}

/// Compresses piece by piece.
#[pyclass(module = "nzip._nzip", subclass, frozen)]
pub struct Compressor {
    options: Options,
    threads: usize,
    watch: Option<Watch>,
    shared: bool,
    state: Mutex<Compressing>,
}

struct Compressing {
    /// The stream that has been begun, and the process that began it.
    open: Option<(Encoder<Vec<u8>>, u32)>,
    last_mode: u8,
    /// The compressor of whole contents, and the process whose threads it uses.
    whole: Option<(nzip::Compressor, u32)>,
}

impl Compressing {
    fn whole(&mut self, options: &Options, asked: usize) -> Outcome<nzip::Compressor> {
        let here = process::id();
        if let Some((whole, _)) = self.whole.as_ref().filter(|w| w.1 == here) {
            return Ok(whole.clone());
        }
        let whole = nzip::Compressor::new(options.clone().threads(threads(asked)))?;
        self.whole = Some((whole.clone(), here));
        Ok(whole)
    }

    fn add(&mut self, data: &[u8], mode: u8, options: &Options, asked: usize) -> Outcome<Vec<u8>> {
        let started = self.open.take();
        if started.is_none() && mode == CONTINUE && data.is_empty() {
            return Ok(Vec::new());
        }
        // After an error the stream is given up.
        let (mut encoder, by) = match started {
            Some(open) => open,
            None => {
                let options = options.clone().threads(threads(asked));
                (Encoder::with_options(Vec::new(), options)?, process::id())
            }
        };
        same_process(by)?;
        encoder.write_all(data)?;
        self.last_mode = mode;
        match mode {
            FLUSH_STREAM => return encoder.finish(),
            FLUSH_BLOCK => encoder.flush()?,
            _ => {}
        }
        let out = mem::take(encoder.get_mut());
        self.open = Some((encoder, by));
        Ok(out)
    }
}

#[pymethods]
impl Compressor {
    #[classattr]
    const CONTINUE: u8 = CONTINUE;
    #[classattr]
    const FLUSH_BLOCK: u8 = FLUSH_BLOCK;
    #[classattr]
    const FLUSH_FRAME: u8 = FLUSH_STREAM;
    #[classattr]
    const FLUSH_STREAM: u8 = FLUSH_STREAM;

    #[new]
    #[pyo3(signature = (level=None, *, shared=false, **options))]
    fn new(
        py: Python<'_>,
        level: Option<i64>,
        shared: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let Encoding { options, watch, threads } = encoding(level, options)?;
        let mut state = Compressing { open: None, last_mode: FLUSH_STREAM, whole: None };
        // Wrong options are an error now, not at the first call.
        py.detach(|| state.whole(&options, threads)).map_err(|e| exception(&e))?;
        Ok(Self { options, threads, watch, shared, state: Mutex::new(state) })
    }

    /// Takes data, and returns the bytes of the stream that are ready. With `FLUSH_STREAM` the stream ends, and the next data begin another
    /// one. A shared compressor makes one stream of each data.
    #[pyo3(signature = (data, mode=None))]
    fn compress<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        mode: Option<u8>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let data = Bytes::of(data)?;
        let mode = mode.unwrap_or(if self.shared { FLUSH_STREAM } else { CONTINUE });
        if mode > FLUSH_STREAM || self.shared && mode != FLUSH_STREAM {
            return Err(exception(&bad_argument(format!("mode {mode} is none that this compressor has"))));
        }
        let out = run(py, self.watch.as_ref(), |_| {
            let mut state = lock(&self.state);
            if mode == FLUSH_STREAM && state.open.is_none() {
                state.last_mode = mode;
                let whole = state.whole(&self.options, self.threads)?;
                // Other threads may compress meanwhile.
                drop(state);
                return whole.compress(data.get());
            }
            state.add(data.get(), mode, &self.options, self.threads)
        })?;
        Ok(PyBytes::new(py, &out))
    }

    /// Returns the rest of the stream and ends it, or with `FLUSH_BLOCK` only the block. A shared compressor holds nothing back.
    #[pyo3(signature = (mode=FLUSH_STREAM))]
    fn flush<'py>(&self, py: Python<'py>, mode: u8) -> PyResult<Bound<'py, PyBytes>> {
        if ![FLUSH_BLOCK, FLUSH_STREAM].contains(&mode) {
            return Err(exception(&bad_argument(format!(
                "mode {mode}: FLUSH_BLOCK or FLUSH_STREAM is wanted"
            ))));
        }
        if self.shared {
            return Ok(PyBytes::new(py, &[]));
        }
        let out =
            run(py, self.watch.as_ref(), |_| lock(&self.state).add(&[], mode, &self.options, self.threads))?;
        Ok(PyBytes::new(py, &out))
    }

    /// The mode of the last call.
    #[getter]
    fn last_mode(&self, py: Python<'_>) -> u8 {
        py.detach(|| lock(&self.state).last_mode)
    }
}

/// Decompresses a stream piece by piece.
#[pyclass(module = "nzip._nzip", subclass, frozen)]
pub struct Decompressor {
    options: DecodeOptions,
    threads: usize,
    watch: Option<Watch>,
    shared: bool,
    state: Mutex<Decompressing>,
}

struct Decompressing {
    /// The stream, and the process that began it.
    open: Option<(write::Decoder<Portion>, u32)>,
    /// Bytes of the stream that have not been decoded, because no more raw bytes were wanted.
    waiting: Waiting,
    /// Whether more raw bytes can be had without more bytes of the stream.
    more: bool,
    unused: Vec<u8>,
    eof: bool,
    whole: Option<(nzip::Decompressor, u32)>,
}

/// Bytes that are taken from the front.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    taken: usize,
}

impl Waiting {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, n: usize) {
        self.taken += n;
        // Moving the rest costs no more than what has been taken.
        if 2 * self.taken >= self.bytes.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

/// A writer that takes as many bytes as are wanted.
#[derive(Default)]
struct Portion {
    out: Capped,
    wanted: usize,
}

impl Write for Portion {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(self.wanted - self.out.out.len()) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            n => self.out.write(&bytes[..n]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decompressing {
    fn whole(&mut self, options: &DecodeOptions, asked: usize) -> nzip::Decompressor {
        let here = process::id();
        if let Some((whole, _)) = self.whole.as_ref().filter(|w| w.1 == here) {
            return whole.clone();
        }
        let whole = nzip::Decompressor::new(options.clone().threads(threads(asked)));
        self.whole = Some((whole.clone(), here));
        whole
    }

    /// Takes bytes of the stream, and gives raw bytes, at most `wanted`. After an error the stream is given up.
    fn push(
        &mut self,
        data: &[u8],
        wanted: usize,
        options: &DecodeOptions,
        asked: usize,
    ) -> Outcome<Vec<u8>> {
        self.more = false;
        let mut waiting = mem::take(&mut self.waiting);
        if data.is_empty() && self.open.is_none() {
            return Ok(Vec::new());
        }
        let (mut decoder, by) = match self.open.take() {
            Some(open) => open,
            None => {
                let options = options.clone().threads(threads(asked));
                let decoder = write::Decoder::with_options(Portion::default(), options)?;
                (decoder.one_stream(), process::id())
            }
        };
        same_process(by)?;
        // What waits counts, too.
        let cap = options.memory_cap().saturating_sub(waiting.rest().len() as u64);
        *decoder.get_mut() = Portion { out: Capped { out: Vec::new(), cap }, wanted };
        // Bytes are copied only where they have to wait.
        let taken;
        if waiting.rest().is_empty() {
            (taken, self.more) = feed(&mut decoder, data)?;
            waiting = Waiting { bytes: data[taken..].to_vec(), taken: 0 };
        } else {
            waiting.bytes.extend_from_slice(data);
            (taken, self.more) = feed(&mut decoder, waiting.rest())?;
            waiting.take(taken);
        }
        let out = mem::take(&mut decoder.get_mut().out.out);
        if decoder.has_ended() && !self.more {
            decoder.finish()?;
            self.eof = true;
            self.unused = waiting.rest().to_vec();
        } else {
            (self.open, self.waiting) = (Some((decoder, by)), waiting);
        }
        Ok(out)
    }
}

/// Gives bytes of the stream to a decoder until it wants no more. Returns how many it has taken, and whether it stopped
/// because no more raw bytes are wanted.
fn feed(decoder: &mut write::Decoder<Portion>, data: &[u8]) -> Outcome<(usize, bool)> {
    let mut taken = 0;
    loop {
        match decoder.write(&data[taken..]) {
            Ok(0) => return Ok((taken, false)),
            Ok(n) => taken += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((taken, true)),
            Err(e) => return Err(e.into()),
        }
    }
}

impl Decompressor {
    /// Looks at the state, without the interpreter lock: another thread may hold it and want that.
    fn look<T: Send>(&self, py: Python<'_>, look: impl FnOnce(&Decompressing) -> T + Send) -> T {
        py.detach(|| look(&lock(&self.state)))
    }
}

#[pymethods]
impl Decompressor {
    #[new]
    #[pyo3(signature = (*, shared=false, **options))]
    fn new(shared: bool, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let Decoding { options, watch, threads } = decoding(options)?;
        let state = Decompressing {
            open: None,
            waiting: Waiting::default(),
            more: false,
            unused: Vec::new(),
            eof: false,
            whole: None,
        };
        Ok(Self { options, threads, watch, shared, state: Mutex::new(state) })
    }

    /// Takes bytes of the stream, and gives raw bytes, at most `max_length` unless that is negative; a long block is decoded no
    /// further than that. A shared decompressor takes whole streams.
    #[pyo3(signature = (data, max_length=-1))]
    fn decompress<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        max_length: isize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let data = Bytes::of(data)?;
        let most = usize::try_from(max_length).ok();
        if self.shared && most.is_some() {
            return Err(exception(&bad_argument("a shared decompressor knows no max_length")));
        }
        let raw = run(py, self.watch.as_ref(), |_| {
            let mut state = lock(&self.state);
            if self.shared {
                let whole = state.whole(&self.options, self.threads);
                // Other threads may decompress meanwhile.
                drop(state);
                return whole.decompress(data.get()).map(Some);
            }
            if state.eof {
                return Ok(None);
            }
            let wanted = most.unwrap_or(usize::MAX);
            state.push(data.get(), wanted, &self.options, self.threads).map(Some)
        })?;
        match raw {
            Some(raw) => Ok(PyBytes::new(py, &raw)),
            None => Err(PyEOFError::new_err("the stream has ended")),
        }
    }

    /// Whether the stream has ended and all of its raw bytes have been given out.
    #[getter]
    fn eof(&self, py: Python<'_>) -> bool {
        self.look(py, |state| state.eof)
    }

    /// Whether more bytes of the stream are needed before raw bytes can be given out.
    #[getter]
    fn needs_input(&self, py: Python<'_>) -> bool {
        self.look(py, |state| !state.eof && !state.more)
    }

    /// The bytes found behind the stream's end.
    #[getter]
    fn unused_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.look(py, |state| state.unused.clone()))
    }
}
