//! The structures of a `.nz` stream (`formats/nzip.md`) as plain structs, with their reading and writing.
//!
//! This module does no I/O, starts no threads and knows no models.

pub mod block;
pub mod checksum;
pub mod consts;
pub mod cursor;
pub mod header;
pub mod index;
pub mod member;
pub mod search;
pub mod section;
pub mod tensors;
pub mod trailer;
pub mod varint;
