//! nzip: lossless compression with learned models.

mod error;
pub mod model;

pub use error::{Error, ErrorKind, Result};

#[cfg(feature = "train")]
pub mod train;
