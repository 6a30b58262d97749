//! Errors of the library as exceptions of the module `nzip._errors`.

use nzip::ErrorKind;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::error::Error as _;
use std::io;

/// The result of work of the library.
pub type Outcome<T> = Result<T, nzip::Error>;

/// An error in an argument.
pub fn bad_argument(message: impl Into<String>) -> nzip::Error {
    nzip::Error::new(ErrorKind::BadArgument, message)
}

/// The exception for an error. One that Python's own files or callbacks have raised comes back as it was.
pub fn exception(e: &nzip::Error) -> PyErr {
    Python::attach(|py| {
        if let Some(source) = e.source().and_then(|s| s.downcast_ref::<io::Error>()) {
            if let Some(raised) = source.get_ref().and_then(|inner| inner.downcast_ref::<PyErr>()) {
                return raised.clone_ref(py);
            }
            if let Some(code) = source.raw_os_error() {
                return PyOSError::new_err((code, e.to_string()));
            }
        }
        let name = match e.kind() {
            ErrorKind::NewerVersion => "NewerVersionError",
            ErrorKind::NotNz => "NotNzError",
            ErrorKind::Corrupt => "CorruptError",
            ErrorKind::Truncated => "TruncatedError",
            ErrorKind::BadArgument => "BadArgumentError",
            ErrorKind::MissingModel => "MissingModelError",
            ErrorKind::MissingBase => "MissingBaseError",
            ErrorKind::LimitExceeded => "LimitExceededError",
            ErrorKind::Device => "DeviceError",
            ErrorKind::Io => return PyOSError::new_err(e.to_string()),
            _ => "NzipError",
        };
        let class = py.import("nzip._errors").and_then(|m| m.getattr(name)).and_then(|class| {
            let class = class.cast_into::<PyType>()?;
            Ok(PyErr::from_type(class, e.to_string()))
        });
        class.unwrap_or_else(|failure| failure)
    })
}
