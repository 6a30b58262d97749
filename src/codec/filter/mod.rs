//! Reversible transforms that are applied to a block before it is modelled.

pub mod x86;
