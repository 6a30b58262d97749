//! The content of a `tensor` block (`formats/tensor.md`): types that hold exactly what is stored, and the
//! functions that read (`parse`) and write (`put`) them. `parse` checks everything that a decoder relies on.

mod context;
mod differences;
mod field;
mod nibbles;
mod params;
mod pieces;
mod prediction;
mod reference;
mod sections;
mod sequence;
mod tables;
mod tile_groups;
mod zero_bits;

pub use context::{ABOVE_GROUPS, Context};
pub use differences::{Differences, MAX_DISTANCE};
pub use field::{FOLDED, FieldParams, Transform, bits_of};
pub use nibbles::{nibble, parse_nibbles, put_nibbles};
pub use params::{MAX_GROUP, Params, Planes};
pub use pieces::PieceLayout;
pub use prediction::{INTERVALS, LinearPrediction, MAX_PREDICTED_ROW, coefficients_before};
pub use reference::{BaseReference, Operation};
pub use sections::{Sections, StoredContexts, TileMode, put_exceptions};
pub use sequence::{Sequence, SequenceWriter};
pub use tables::{MAX_PREDICTED_TABLES, MAX_TABLES, TableMap};
pub use tile_groups::{TileGroups, row_ranges};
pub use zero_bits::{MarkedRows, ZeroBits};
