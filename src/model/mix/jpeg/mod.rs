//! Coefficients of JPEG pictures, specified in `formats/jpeg.md`.
//!
//! Each block's coefficients are coded from the highest frequency down to the mean, as binary decisions whose
//! probabilities many contexts give: coefficients of blocks beside it, and those of the block itself that are
//! known already. The lowest frequencies come last, when what is known of the block tells how it continues its
//! neighbours; so does Lepton ("The design, implementation, and deployment of a system to transparently
//! compress hundreds of petabytes of image files", Horn et al. 2017).

mod block;
mod contexts;
mod engine;
mod plane;
mod predict;

pub use block::Coder;
pub use engine::{Bits, Reading, memory};
pub use plane::Plane;
