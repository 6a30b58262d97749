//! Converts errors of files and of the tensor library to the library's errors.

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

/// An error of the tensor library while a network is computed: its sizes do not fit together.
pub fn tensors(e: candle_core::Error) -> Error {
    bad_argument(format!("the network cannot be computed: {e}"))
}

/// Adds the place to errors.
pub trait Place<T> {
    /// Puts `place` before the error's message.
    fn at(self, place: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Place<T> for std::result::Result<T, E> {
    fn at(self, place: impl Display) -> Result<T> {
        self.map_err(|e| e.into().within(place))
    }
}
