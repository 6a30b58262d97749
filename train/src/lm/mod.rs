//! Learns byte-level language models from text.
//!
//! Matrix products run over batch × time at once. Only the elementwise recurrence walks along time, fused
//! into one operation with its own backward pass.

mod checkpoint;
mod corpus;
mod network;
mod ops;
mod optimizer;
mod quantize;
mod run;

pub use run::{Event, LmOptions, Size, train};
