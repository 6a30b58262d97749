//! Naming, finding and keeping models: built in, in files, embedded in streams.

mod loaded;
mod names;
pub mod registry;
mod stream;

pub use loaded::Models;
pub(crate) use stream::StreamModels;
