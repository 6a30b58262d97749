//! Learning probabilistic circuits: hidden Chow-Liu trees by expectation maximisation.

mod checkpoint;
mod data;
mod export;
mod job;
mod learn;
mod network;
mod product;
mod random;
mod run;
mod start;
mod structure;

pub use job::{CircuitJob, train_circuit};
pub use run::CircuitOptions;
