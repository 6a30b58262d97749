//! The byte-level language model: weight file, integer step, lanes. Specified in `formats/lm.md`.

mod adaptive;
mod kernel;
mod seeded;
mod single;
mod step;
pub mod weights;

pub use adaptive::Adaptive;
pub use single::{Single, Sums};
pub use step::{Lanes, MAX_COLUMNS, Model, Timeline, WeightSums};
