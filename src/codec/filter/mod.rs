//! Reversible transforms applied to a block before modelling.

pub mod x86;
