//! Learning models from data, in floats; the result is exported to the integer weight files.
//!
//! The language model's matrix products run over batch × time at once; only the elementwise recurrence
//! walks along time, fused into one operation with its own backward pass.

mod checkpoint;
mod corpus;
mod network;
mod ops;
mod optimizer;
mod quantize;
mod run;

pub use run::{Size, TrainOptions, train_lm};
