//! The byte-level language model (`formats/lm.md`): its weight file, the integer step of the network and the
//! adaptive stage.
//!
//! The network is a stack of gated recurrences akin to the minGRU (Feng et al., "Were RNNs all we needed?",
//! 2024): the gates of a layer depend on its input alone and not on its state. So a step over many columns is
//! one product for each matrix, whether the columns are windows side by side ([`Lanes`]) or successive bytes
//! of one window ([`Timeline`]); only the recurrence itself goes byte by byte. [`Single`] steps one window by
//! itself.

mod adaptive;
mod kernel;
mod seeded;
mod single;
mod step;
pub mod weights;

pub use adaptive::Adaptive;
pub use single::{Single, Sums};
pub use step::{Lanes, MAX_COLUMNS, Model, Timeline, WeightSums};
