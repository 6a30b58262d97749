//! The command's verbs, one file each.

#[cfg(feature = "train")]
pub mod train;
