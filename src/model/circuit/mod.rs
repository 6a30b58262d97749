//! Probabilistic circuits: hidden Chow-Liu trees over records of symbols (`formats/circuit.md`).
//!
//! A Chow-Liu tree (Chow and Liu, 1968) is the tree of dependences between variables that keeps most of their
//! mutual information. Here each variable has a hidden state, the tree connects the states, and the visible
//! symbol depends on its own state alone (Liu, Mandt and Van den Broeck, "Lossless compression with
//! probabilistic circuits", 2022). Coding a record is one walk over the tree that passes messages along its
//! edges ([`Walk`]).

mod codes;
pub mod file;
mod kernel;
pub mod learn;
mod likelihood;
pub mod tables;
pub mod walk;

pub use file::{Alphabet, Patch, Shape, Weights};
pub use kernel::{LANES, PerLane};
pub use likelihood::Likelihood;
pub use tables::Model;
pub use walk::{Visits, Walk};
