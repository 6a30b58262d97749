//! Learning models from data, in floats; the result is exported to the integer weight files.
//!
//! The language model's matrix products run over batch × time at once; only the elementwise recurrence
//! walks along time, fused into one operation with its own backward pass.

#[cfg(feature = "train")]
mod checkpoint;
pub mod circuit;
#[cfg(feature = "train")]
mod corpus;
#[cfg(feature = "train")]
mod network;
#[cfg(feature = "train")]
mod ops;
#[cfg(feature = "train")]
mod optimizer;
#[cfg(feature = "train")]
mod quantize;
#[cfg(feature = "train")]
mod run;

#[cfg(feature = "train")]
pub use run::{Size, TrainOptions, train_lm};
