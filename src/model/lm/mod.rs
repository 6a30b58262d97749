//! The byte-level language model: weight file, integer step, lanes. Specified in `formats/lm.md`.

mod adaptive;
mod aligned;
mod kernel;
pub mod seeded;
mod single;
mod step;
pub(crate) mod tables;
pub mod weights;

pub use adaptive::{Adaptive, network_probability};
pub(super) use aligned::Aligned;
pub use kernel::Kernel;
pub use single::{Single, Sums};
pub use step::{Lanes, MAX_COLUMNS, Model, Timeline, WeightSums};
pub use tables::stretch;
pub(super) use tables::{EXP2, squash};
