//! Quantising of checkpoints.

mod calibrate;
mod support;
mod targets;
