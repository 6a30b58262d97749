//! Promises that never change: golden files decode, and models compute, as they always did.

#[path = "../support/bytes.rs"]
mod bytes;
#[path = "../support/circuit.rs"]
mod circuits;
#[path = "../support/table.rs"]
mod tables;

mod llm;
mod lm;
mod manifests;
mod streams;
mod tokens;
