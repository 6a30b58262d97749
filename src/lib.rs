//! nzip: lossless compression with learned models.

pub mod coder;
mod error;
pub mod model;

pub use error::{Error, ErrorKind, Result};
