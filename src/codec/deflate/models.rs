//! The adaptive models of a record.

use super::adaptive::{Bit, Number};
use super::tree::TreeModels;

/// All models of a record.
#[derive(Clone)]
pub struct Models {
    pub same: Bit,
    pub which: [Bit; 4],
    pub settings: [Number; 9],
    pub last: [Bit; 2],
    pub kind: [[Bit; 4]; 4],
    pub padding: [Bit; 2],
    pub bits: [[Bit; 128]; 2],
    pub stored: Number,
    pub count_same: Bit,
    pub count: Number,
    pub raw_len: Number,
    pub counts: [Number; 2],
    pub tree: TreeModels,
    /// Whether a token is the expected one, by what is expected and by the last three answers.
    pub right: Vec<[Bit; 8]>,
    pub literal: [Bit; 16],
    pub len_same: [Bit; 2],
    pub lens: [[Bit; 256]; 2],
    pub places: [Number; 2],
    pub far: [Bit; 256],
    pub far_low: [Bit; 128],
    /// Whether a choice is the one taken, by its gap to the next choice, its rank and both kinds, and by the
    /// last three answers.
    pub taken: Vec<[Bit; 8]>,
}

impl Models {
    pub fn new() -> Self {
        let bit = Bit::default();
        Self {
            same: bit,
            which: [bit; 4],
            settings: Default::default(),
            last: [bit; 2],
            kind: [[bit; 4]; 4],
            padding: [bit; 2],
            bits: [[bit; 128]; 2],
            stored: Number::default(),
            count_same: bit,
            count: Number::default(),
            raw_len: Number::default(),
            counts: Default::default(),
            tree: TreeModels::default(),
            right: vec![[bit; 8]; 64],
            literal: [bit; 16],
            len_same: [bit; 2],
            lens: [[bit; 256]; 2],
            places: Default::default(),
            far: [bit; 256],
            far_low: [bit; 128],
            taken: vec![[bit; 8]; GAPS * 8 * 4],
        }
    }
}

/// The number of classes for the difference in cost between a choice and the next one.
const GAPS: usize = 14;

/// The class of a difference in cost; `None` where no choice follows.
pub fn gap(difference: Option<u32>) -> usize {
    const BOUNDS: [u32; GAPS - 1] = [8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2560];
    difference.map_or(GAPS - 1, |d| BOUNDS.iter().take_while(|b| d >= **b).count())
}
