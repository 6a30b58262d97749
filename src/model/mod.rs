//! The arithmetic of the models, in integers.

pub mod circuit;
pub mod fixed;
pub mod llm;
pub mod lm;
pub mod mix;
pub mod sort;

/// The content of a file of the folder `models`, where this build has it. It belongs to the feature
/// `built-in-models`.
#[cfg(feature = "built-in-models")]
macro_rules! shipped {
    ($file:literal) => {
        Some(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $file)) as &'static [u8])
    };
}
#[cfg(not(feature = "built-in-models"))]
macro_rules! shipped {
    ($file:literal) => {
        None::<&'static [u8]>
    };
}
pub(crate) use shipped;
