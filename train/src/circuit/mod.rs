//! Learns probabilistic circuits from files of records.

mod checkpoint;
mod job;
mod product;
mod run;

pub use job::{CircuitJob, train};
pub use nzip::internal::model::circuit::learn::Pseudo;
pub use run::{CircuitOptions, Event};
