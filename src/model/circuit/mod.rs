//! Probabilistic circuits: hidden Chow-Liu trees over records of symbols (`formats/circuit.md`).

mod codes;
pub mod file;
mod kernel;
pub mod learn;
mod likelihood;
mod tables;
pub mod walk;

pub use file::{Alphabet, Patch, Shape, Weights};
pub use kernel::{LANES, Lane};
pub use likelihood::Likelihood;
pub use tables::{Model, Node, Symbols};
pub use walk::{Visits, Walk};
