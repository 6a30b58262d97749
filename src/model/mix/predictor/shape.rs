//! The parameters of a predictor.

use crate::model::mix::context::Kind;

/// The parameters of a predictor: everything that a decoder must know to build the same one.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The kind of data, which chooses the contexts.
    pub kind: Kind,
    /// The slot table takes 2^`memory_bits` bytes.
    pub memory_bits: u32,
    /// The number of groups of eight contexts in use, 1..=3: the first ones of the kind.
    pub groups: usize,
    /// The most bytes of phrases that prime text.
    pub primed: usize,
    /// The starting point, which also says whether a guide gives weights for every byte.
    pub start: Start,
    /// Whether bytes begin with flags, and which ones.
    pub flags: Option<FlagRule>,
    /// Whether samples are expected from their neighbours, where the kind holds any.
    pub samples: bool,
}

/// The rule for bytes that begin with flags: a match expects them, is long enough, and its byte probable enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagRule {
    /// The shortest match, from 1; half of it is enough where the match has gone on after a miss.
    pub shortest: u8,
    /// The greatest probability that the byte does not come, in 1/2048, from 1.
    pub doubt: u8,
}

/// Whether a block is guided, and the priors from which its predictor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Not guided; the priors are those of the kind.
    Unguided,
    /// Guided text; the priors are derived from those of unguided text.
    Derived,
    /// Guided text; the priors were learned with the model of this hash as the guide.
    Learned([u8; 32]),
}
