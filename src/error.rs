//! The error type of the library.

use std::io;

/// The class of an error, by what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data needs a feature or version that this release does not know.
    NewerVersion,
    /// The data is not a `.nz` stream: it starts differently.
    NotNz,
    /// The data contradicts itself or a checksum.
    Corrupt,
    /// The data ends before it should.
    Truncated,
    /// The caller asked for something impossible or passed an argument out of range.
    BadArgument,
    /// The data names a model that could not be found.
    MissingModel,
    /// The data is coded against a base tensor that was not given.
    MissingBase,
    /// A declared size or the needed memory exceeds the caller's limit, or memory could not be allocated.
    LimitExceeded,
    /// The buffer that the caller gave is too short for the result.
    NoRoom,
    /// A GPU is missing or has failed, and the options do not let the CPU take over.
    Device,
    /// The underlying reader or writer failed.
    Io,
}

/// An error: its class, and a message that says where it occurred, what was expected and what was found.
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
    /// An error of this class. `message` says where it occurred, what was expected and what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
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

    pub(crate) fn missing_model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::MissingModel, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::LimitExceeded, message)
    }

    /// Prefixes the message with the place where the error occurred.
    pub fn within(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// A copy of this error without its source, for readers that are called again after a failure.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.kind, self.message.clone())
    }

    /// Whether the reader had no bytes for now, so that the operation can be tried again.
    pub(crate) fn would_block(&self) -> bool {
        self.source.as_ref().is_some_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<io::Error> for Error {
    /// Unwraps the library's own error where `e` carries one, as errors from [`crate::Decoder`] do.
    fn from(e: io::Error) -> Self {
        if e.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            if let Some(Ok(inner)) = e.into_inner().map(|inner| inner.downcast::<Error>()) {
                return *inner;
            }
            return Self::new(ErrorKind::Io, "unknown error");
        }
        Self { kind: ErrorKind::Io, message: e.to_string(), source: Some(e) }
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        let kind = match e.kind {
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::Corrupt | ErrorKind::NotNz => io::ErrorKind::InvalidData,
            ErrorKind::NewerVersion => io::ErrorKind::Unsupported,
            ErrorKind::BadArgument => io::ErrorKind::InvalidInput,
            ErrorKind::MissingModel | ErrorKind::MissingBase => io::ErrorKind::NotFound,
            ErrorKind::LimitExceeded => io::ErrorKind::OutOfMemory,
            ErrorKind::NoRoom => io::ErrorKind::WriteZero,
            ErrorKind::Device => io::ErrorKind::Other,
            ErrorKind::Io => e.source.as_ref().map_or(io::ErrorKind::Other, io::Error::kind),
        };
        io::Error::new(kind, e)
    }
}
