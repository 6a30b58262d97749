//! Learning probabilistic circuits from files of records.

mod checkpoint;
mod job;
mod run;

pub use crate::model::circuit::learn::Pseudo;
pub use job::{CircuitJob, train_circuit};
pub use run::CircuitOptions;
