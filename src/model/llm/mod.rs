//! Imported language models of the Llama family in integers. Specified in `formats/llm.md`.

mod adaptive;
mod chain;
mod cuts;
pub mod import;
mod kernel;
mod learner;
mod model;
mod online;
mod step;
mod symbols;
mod tables;
mod tokens;
pub mod weights;

pub use crate::coder::range::BitEncoder;
pub use adaptive::{Adaptive, Coder, Encode};
pub use cuts::Cut;
pub use learner::Learner;
pub use model::Model;
pub use step::{Column, MAX_COLUMNS, Session, powers};
pub use symbols::{Distribution, Symbol};
pub use tables::sigmoid_table;
pub use tokens::{MAX_TOKEN, Merge, Tokenizer};
pub use weights::{Layer, MAGIC, Matrix, Scale, Shape, Weights};
