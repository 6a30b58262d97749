//! Shared parts of the models: integer tables and functions of probabilities, a hash, aligned memory.
//! Nothing here knows a model; models use this module and not one another.

mod aligned;
mod hash;
mod tables;

pub use aligned::Aligned;
pub use hash::hash;
pub use tables::{EXP2, LOG2, SQUASH, probability_of_one, squash, stretch};
