//! Quantising of checkpoints.

mod calibrate;
mod methods;
mod progressive;
mod support;
mod targets;
