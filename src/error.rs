//! The one error type of the library.

use std::io;

/// What went wrong, in the classes that a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data needs a feature or version that this release does not know.
    NewerVersion,
    /// The data contradicts itself or a checksum.
    Corrupt,
    /// The data ends before it should.
    Truncated,
    /// The caller asked for something that cannot be done.
    BadArgument,
    /// The data names a model that cannot be found here.
    MissingModel,
    /// A declared size or memory need is above the caller's limit.
    LimitExceeded,
    /// The underlying reader or writer failed.
    Io,
}

/// An error with its class and a message that says where, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<io::Error>,
}

/// The library's result type.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn truncated(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Truncated, message)
    }

    pub(crate) fn bad_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadArgument, message)
    }

    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Self { kind: ErrorKind::Io, message: e.to_string(), source: Some(e) }
    }
}
