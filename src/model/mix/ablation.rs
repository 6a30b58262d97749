//! Parts of the predictor that can be switched off to measure what they contribute. That takes the feature
//! `ablation`; without it every part is on, and asking costs nothing. Bytes coded with a part switched off do
//! not follow the format.

/// A part of the predictor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// Learned starting points.
    Priors,
    /// Both match models.
    Matches,
    /// Direct counters.
    Direct,
    /// The second inputs of contexts: distances of probabilities from one half.
    Distances,
    /// The first layer's families of rows, selected by the bits of the byte, by the last byte, by match or
    /// order, by the byte before the last, and by the class of the position.
    Set0,
    Set1,
    Set2,
    Set3,
    Set4,
    /// The second layer's two families of rows.
    Final0,
    Final1,
    /// The final stages: by the bits of the byte, with the last byte, with the expected byte.
    Stage0,
    Stage1,
    Stage2,
    /// Contexts of text: words; lines, fields and columns; tags; sparse and indirect ones.
    Words,
    Lines,
    Tags,
    Sparse,
}

#[cfg(feature = "ablation")]
impl Part {
    /// All parts with their descriptions for a table.
    pub const ALL: [(Self, &str); 18] = [
        (Self::Priors, "learned starting points"),
        (Self::Matches, "match models"),
        (Self::Direct, "direct counters"),
        (Self::Distances, "second inputs (distance from one half)"),
        (Self::Set0, "weights by the bits of the byte"),
        (Self::Set1, "weights by the last byte"),
        (Self::Set2, "weights by match length or order"),
        (Self::Set3, "weights by the byte before the last"),
        (Self::Set4, "weights by position or class"),
        (Self::Final0, "second layer by position or class"),
        (Self::Final1, "second layer by order and match"),
        (Self::Stage0, "final stage by the bits of the byte"),
        (Self::Stage1, "final stage by the last byte"),
        (Self::Stage2, "final stage by the expected byte"),
        (Self::Words, "text: contexts with words"),
        (Self::Lines, "text: contexts of lines, fields and columns"),
        (Self::Tags, "text: contexts of tags"),
        (Self::Sparse, "text: sparse and indirect contexts"),
    ];
}

impl Part {
    /// The part to which a context of text belongs, if any.
    fn of_text(context: usize) -> Option<Self> {
        match context {
            4 | 5 | 9 | 10 | 17 | 19 | 22 => Some(Self::Words),
            6 | 7 | 14 | 20 => Some(Self::Lines),
            11 | 15 => Some(Self::Tags),
            12 | 13 | 21 => Some(Self::Sparse),
            _ => None,
        }
    }
}

#[cfg(feature = "ablation")]
mod switches {
    use std::sync::atomic::{AtomicU32, Ordering};

    static OFF: AtomicU32 = AtomicU32::new(0);

    /// Whether a part is on.
    #[inline(always)]
    pub fn on(part: super::Part) -> bool {
        OFF.load(Ordering::Relaxed) >> part as u32 & 1 == 0
    }

    /// Switches one part off and all others on, or all parts on, for all predictors of the process.
    pub fn switch_off(part: Option<super::Part>) {
        OFF.store(part.map_or(0, |p| 1 << p as u32), Ordering::Relaxed);
    }
}

#[cfg(feature = "ablation")]
pub use switches::{on, switch_off};

/// Whether a part is on: always, in this build.
#[cfg(not(feature = "ablation"))]
#[inline(always)]
pub fn on(_: Part) -> bool {
    true
}

/// The inputs of a context, unless its part is switched off; then 0.
#[inline(always)]
pub fn context_inputs(kind: super::context::Kind, context: usize, inputs: u32) -> u32 {
    if !cfg!(feature = "ablation") {
        return inputs;
    }
    let part = Part::of_text(context).filter(|_| kind == super::context::Kind::Text);
    let inputs = if part.is_none_or(on) { inputs } else { 0 };
    if on(Part::Distances) { inputs } else { inputs & 0xffff }
}
