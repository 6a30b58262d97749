//! Learning hidden Chow-Liu trees by expectation maximisation.
//!
//! The trainer learns from large files and keeps the model; the encoder learns a model from a table and
//! stores it with the table's records. Since the encoder must give the same bytes on every machine,
//! everything here is IEEE arithmetic in a fixed order: additions, multiplications, divisions and square
//! roots, no fused operations and no mathematical library (logarithms are computed in [`logarithm`]). Threads
//! work on different variables, so their number changes nothing. The one exception is `Products::Fast`, which
//! only the trainer uses.

pub mod data;
pub mod em;
pub mod export;
pub mod logarithm;
pub mod network;
mod product;
pub mod random;
pub mod start;
pub mod structure;

pub use data::{Dataset, Partition};
pub use em::{Pseudo, Workspace};
pub use network::Network;
pub use product::Products;
