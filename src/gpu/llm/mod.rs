//! Steps of imported language models on a GPU.

mod pack;
mod step;
#[cfg(test)]
mod tests;

pub use pack::Packed;
pub use step::Session;
