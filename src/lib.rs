//! nzip: lossless compression with learned models.

mod error;
mod model;

pub use error::{Error, ErrorKind, Result};
