//! Imported language models on a GPU.

mod decode;
mod pack;
mod step;
#[cfg(test)]
mod tests;

use super::coder::WindowKernels;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::window::WindowJob;
use crate::error::Result;
use crate::model::llm::{Model, Weights};
use pack::PackedLlm;
use std::sync::Arc;

/// A model that a GPU steps. The tokenizer and the adaptive stage stay on the CPU.
pub struct Steps {
    packed: PackedLlm,
    model: Arc<Model>,
}

impl Steps {
    /// Lays out weights.
    ///
    /// # Errors
    /// Those of [`Model::new`].
    pub fn new(weights: Weights) -> Result<Self> {
        Ok(Self { packed: PackedLlm::new(&weights)?, model: Arc::new(Model::new(weights)?) })
    }

    /// The same model on the CPU.
    pub fn model(&self) -> Arc<Model> {
        self.model.clone()
    }
}

impl WindowKernels for Steps {
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>> {
        decode::decode(gpu, &self.packed, &self.model, jobs)
    }
}
