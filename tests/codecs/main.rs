//! The codecs, one by one: round trips, equality of kernels, lanes and threads, costs, and what they refuse.

#[path = "../support/circuit.rs"]
mod circuits;
#[path = "../support/table.rs"]
mod tables;
#[path = "../support/llm.rs"]
mod transformers;

mod circuit;
mod circuit_layouts;
mod deflate;
mod jpeg;
mod light;
mod llm;
mod llm_chain;
mod llm_real;
mod llm_trained;
mod lm;
mod mix;
mod table;
mod tensor;
mod tensor_layouts;
