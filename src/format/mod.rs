//! Bytes on disk: the parts of a `.nz` stream as plain structs (`formats/nzip.md`).
//!
//! Nothing here does I/O, starts threads or knows a model.

pub mod block;
pub mod checksum;
pub mod consts;
pub mod cursor;
pub mod header;
pub mod index;
pub mod section;
pub mod tensors;
pub mod trailer;
pub mod varint;
