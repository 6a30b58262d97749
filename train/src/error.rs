//! The library's errors from those of files and of the tensor library.

use nzip::{Error, ErrorKind, Result};
use std::fmt::Display;

/// A request that cannot be met.
pub fn bad_argument(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadArgument, message)
}

/// A file that contradicts itself.
pub fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// An error of the tensor library while a network is computed: its sizes do not fit each other.
pub fn tensors(e: candle_core::Error) -> Error {
    bad_argument(format!("the network cannot be computed: {e}"))
}

/// Errors that say where they happened.
pub trait Place<T> {
    /// Puts `place` in front of the error's message.
    fn at(self, place: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Place<T> for std::result::Result<T, E> {
    fn at(self, place: impl Display) -> Result<T> {
        self.map_err(|e| e.into().within(place))
    }
}
