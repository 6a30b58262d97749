//! nzip: lossless compression with learned models.

pub mod codec;
pub mod coder;
mod error;
pub mod model;

pub use error::{Error, ErrorKind, Result};
