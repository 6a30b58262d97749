//! Sources of archives and readers: files, buffers, and Python's file objects.

use crate::buffer::Bytes;
use crate::error::exception;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a source comes from. It can be opened again in another process.
#[derive(Clone)]
pub enum Origin {
    Path(PathBuf),
    Buffer(Arc<Bytes>),
    Object(Arc<Py<PyAny>>),
}

/// Bytes to read.
pub enum Source {
    File(File),
    Buffer(Cursor<Shared>),
    Object(FileObject),
}

/// A buffer that several sources read.
pub struct Shared(Arc<Bytes>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.get()
    }
}

/// A file object of Python.
pub struct FileObject(Arc<Py<PyAny>>);

impl Origin {
    /// A path (`str` or one of `pathlib`), an object with `read`, or one with a buffer.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if object.cast::<PyString>().is_ok() || object.hasattr("__fspath__")? {
            return Ok(Self::Path(object.extract()?));
        }
        if object.hasattr("read")? {
            return Ok(Self::Object(Arc::new(object.clone().unbind())));
        }
        match Bytes::of(object) {
            Ok(bytes) => Ok(Self::Buffer(Arc::new(bytes))),
            Err(_) => Err(PyTypeError::new_err("a path, a binary file object or bytes are wanted")),
        }
    }

    /// Opens it.
    pub fn open(&self) -> nzip::Result<Source> {
        Ok(match self {
            Self::Path(path) => {
                let file = File::open(path).map_err(|e| nzip::Error::from(e).within(path.display()))?;
                Source::File(file)
            }
            Self::Buffer(bytes) => Source::Buffer(Cursor::new(Shared(bytes.clone()))),
            Self::Object(object) => Source::Object(FileObject(object.clone())),
        })
    }
}

/// The exception, for an error in opening a path, with the path as Python has it.
pub fn opening_failed(py: Python<'_>, origin: &Origin, e: &nzip::Error) -> PyErr {
    let raised = exception(e);
    if let Origin::Path(path) = origin {
        let _ = raised.value(py).setattr("filename", path);
    }
    raised
}

impl Read for FileObject {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let read = self.0.call_method1(py, "read", (out.len(),))?;
            if read.is_none(py) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let bytes = read.bind(py);
            if let Ok(bytes) = bytes.cast::<PyBytes>() {
                return copy(bytes.as_bytes(), out);
            }
            let bytes = Bytes::of(bytes)
                .map_err(|_| PyTypeError::new_err("a binary file is wanted: read() gave no bytes"))?;
            copy(bytes.get(), out)
        })
    }
}

fn copy(bytes: &[u8], out: &mut [u8]) -> io::Result<usize> {
    let Some(out) = out.get_mut(..bytes.len()) else {
        return Err(PyValueError::new_err("read() gave more bytes than it was asked for").into());
    };
    out.copy_from_slice(bytes);
    Ok(bytes.len())
}

impl Seek for FileObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(n) => (i64::try_from(n).map_err(io::Error::other)?, 0),
            SeekFrom::Current(n) => (n, 1),
            SeekFrom::End(n) => (n, 2),
        };
        Python::attach(|py| {
            let at = self.0.call_method1(py, "seek", (offset, whence))?;
            // Some objects return nothing.
            let at = if at.is_none(py) { self.0.call_method0(py, "tell")? } else { at };
            Ok(at.extract(py)?)
        })
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(out),
            Self::Buffer(bytes) => bytes.read(out),
            Self::Object(object) => object.read(out),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Buffer(bytes) => bytes.seek(to),
            Self::Object(object) => object.seek(to),
        }
    }
}
