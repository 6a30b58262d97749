//! Imported language models of the Llama family, run in integers (`formats/llm.md`).
//!
//! A step gives the logits of the next token ([`Session`]). A window that stands alone corrects them by what
//! its own tokens have shown ([`Adaptive`]), a chained block by what all its windows have shown
//! ([`Learner`]). Whatever these do not guess is coded as a token of the vocabulary ([`Distribution`]).

mod adaptive;
mod chain;
pub mod cuts;
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
pub use learner::Learner;
pub use model::Model;
pub use step::{Column, MAX_COLUMNS, Session, powers};
pub use symbols::Distribution;
pub use tables::sigmoid_table;
pub use tokens::{MAX_TOKEN, Merge, Tokenizer};
pub use weights::{Layer, MAGIC, Matrix, Scale, Shape, Weights};
