//! The arithmetic of the models, in integers.

pub mod circuit;
pub mod fixed;
pub mod llm;
pub mod lm;
pub mod mix;
pub mod sort;

/// The content of a file of the folder `models`, where this build has it: it belongs to the feature that is
/// named.
macro_rules! shipped {
    ($feature:literal, $file:literal) => {{
        #[cfg(feature = $feature)]
        let file =
            Some(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $file)) as &'static [u8]);
        #[cfg(not(feature = $feature))]
        let file = None::<&'static [u8]>;
        file
    }};
}
pub(crate) use shipped;
