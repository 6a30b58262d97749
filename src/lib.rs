//! nzip: lossless compression with learned models.

#[doc(hidden)]
pub mod codec;
mod coder;
mod error;
mod model;

pub use error::{Error, ErrorKind, Result};
