//! Inner loops on slices, whose lengths callers have set and checked. Loops with a vector version have a
//! scalar twin, and both give the same bits.

mod differences;
mod fold;
mod histogram;
mod look_up;
mod merge;
mod number;
mod pairs;
mod pieces;
mod products;
mod split;
mod transpose;

pub use differences::{
    add_base, add_earlier, add_previous, subtract_base, subtract_earlier, subtract_previous,
};
pub use fold::{FOLD_RUN, count_folded, least_symbol, unfold};
pub use histogram::histogram;
pub use look_up::look_up;
pub use merge::{LowBits, merge};
pub use number::{NumberLayout, NumberMap, map_elements};
pub use pairs::{pair, unpair};
pub use pieces::{collect, deal, gather, scatter};
pub use products::products;
pub use split::{SplitNumbers, split};
pub use transpose::transpose;
