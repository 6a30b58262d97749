//! The container as it stands in a file: sections in order, checked against the rules of `formats/nzip.md`.
//!
//! Front-to-back reading and random access use the same [`Walk`]. Nothing here knows where models are found.

pub mod input;
pub mod unpack;
pub mod walk;
pub mod whole;

pub use input::{Input, Source};
pub use walk::{Event, Payloads, RawBlock, StreamEnd, Walk};
pub use whole::Whole;
