//! Running work of the library: without the interpreter lock, with progress, and so that Ctrl-C ends it.

use crate::error::{Outcome, exception};
use nzip::Progress;
use pyo3::prelude::*;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often signals are looked for, and progress is told.
const TICK: Duration = Duration::from_millis(100);

/// The process that loaded this module.
static LOADED_BY: AtomicU32 = AtomicU32::new(0);

/// Takes note of the process.
pub fn loaded() {
    LOADED_BY.store(process::id(), Ordering::Relaxed);
}

/// The number of threads to ask the library for, where a caller wants `threads`, 0 for one per core. The threads that all
/// encoders and decoders of a process share do not come along where it forks: in a child of the process that loaded this
/// module each has its own.
pub fn threads(threads: usize) -> usize {
    if threads == 0 && LOADED_BY.load(Ordering::Relaxed) != process::id() {
        return thread::available_parallelism().map_or(1, usize::from);
    }
    threads
}

/// A callback that is told how far the work has come, and what counts it.
pub struct Watch {
    /// Called with the raw bytes done and the raw bytes taken in.
    pub callback: Py<PyAny>,
    /// The counts.
    pub progress: Progress,
}

impl Watch {
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        self.callback.call1(py, (self.progress.raw_done(), self.progress.raw_taken())).map(|_| ())
    }
}

/// Runs work without the interpreter lock; with `watch` on another thread, while this one calls the callback. Work should
/// give up when the [`Stop`] that it is handed says so; then the callback has raised something, or Ctrl-C has been pressed.
pub fn run<T: Send>(
    py: Python<'_>,
    watch: Option<&Watch>,
    work: impl FnOnce(Stop<'_>) -> Outcome<T> + Send,
) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let stop = &stop;
    let Some(watch) = watch else {
        return py
            .detach(|| work(Stop { stop, asks: true, last: Instant::now() }))
            .map_err(|e| exception(&e));
    };
    let mut raised = None;
    let result = py.detach(|| {
        thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            scope.spawn(move || send.send(work(Stop { stop, asks: false, last: Instant::now() })));
            loop {
                match receive.recv_timeout(TICK) {
                    Ok(result) => return Some(result),
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) if raised.is_none() => {
                        let told = Python::attach(|py| watch.tell(py).and_then(|()| py.check_signals()));
                        if let Err(e) = told {
                            raised = Some(e);
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    });
    if let Some(e) = raised {
        return Err(e);
    }
    // A scope whose thread panics does so, too: there is a result.
    let result = result.ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("the work was lost"))?;
    let result = result.map_err(|e| exception(&e))?;
    watch.tell(py)?;
    Ok(result)
}

/// Tells work whether to give up.
pub struct Stop<'a> {
    stop: &'a AtomicBool,
    /// Whether this thread asks Python for signals itself.
    asks: bool,
    last: Instant,
}

impl Stop<'_> {
    /// Fails where the work should give up.
    pub fn check(&mut self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.asks && self.last.elapsed() > TICK {
            self.last = Instant::now();
            Python::attach(|py| py.check_signals())?;
        }
        Ok(())
    }
}

/// A writer that fails where the work should give up.
pub struct Stopping<'a, W> {
    /// The writer.
    pub inner: W,
    /// When to fail.
    pub stop: Stop<'a>,
}

impl<W: Write> Write for Stopping<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `Interrupted` would be tried again.
        self.stop.check().map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted if e.get_ref().is_none() => io::Error::other("interrupted"),
            _ => e,
        })?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
