//! The byte-level language model: weight file, integer step, lanes. Specified in `formats/lm.md`.

pub mod seeded;
pub mod weights;
