//! Imported language models of the Llama family in integers. Specified in `formats/llm.md`.

mod adaptive;
mod chain;

pub mod import;
mod kernel;
mod learner;
mod online;

mod step;
mod symbols;
mod tables;
mod tokens;
pub mod weights;

pub use crate::coder::range::BitEncoder;
pub use adaptive::{Adaptive, Coder, Encode};
pub use learner::Learner;
pub use step::{Column, MAX_COLUMNS, Model, Session, powers};
pub use symbols::{Distribution, Symbol};
pub use tables::sigmoid_table;
pub use tokens::{Cut, MAX_TOKEN, Merge, Tokenizer};
pub use weights::{Layer, MAGIC, Matrix, Scale, Shape, Weights};
