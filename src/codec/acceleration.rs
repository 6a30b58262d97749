//! The interface through which codecs hand work to an accelerator, such as a GPU.
//!
//! Codecs know this trait only; its implementation stands on a higher floor. An accelerator gives the same
//! bits as the CPU, or declines.

use super::window::WindowCoder;
use crate::error::Result;
use crate::format::block::BlockHeader;
use crate::model::{circuit, llm, lm};
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// A device that takes over work of codecs. Its results are bit for bit those of the CPU.
pub trait Accelerator: Send + Sync {
    /// The number of windows that it can step together. Callers gather work for that many windows before they
    /// call it.
    fn lanes(&self) -> usize;

    /// Joins a model to the device. Whatever the device cannot do for this model, or fails at, the returned
    /// coder leaves to the CPU; a device that does nothing for it returns [`WindowModel::on_cpu`].
    ///
    /// # Errors
    /// Those of [`WindowModel::on_cpu`].
    fn windows(&self, model: WindowModel) -> Result<Arc<dyn WindowCoder>>;

    /// Decodes the tiles `units` of a validated block and compares their check values. `decoder` is the state
    /// that their codec has prepared for decoding them: an accelerator that does not know its type declines.
    /// `payload` and `raw` are exactly those of these tiles.
    ///
    /// Returns how many bytes from the start of `raw` have been verified, and what went wrong after them;
    /// `None` where the CPU is to decode all of them, whatever `raw` holds then.
    fn tiles(
        &self,
        decoder: &dyn Any,
        header: &BlockHeader,
        payload: &[u8],
        units: Range<usize>,
        raw: &mut [u8],
    ) -> Option<(usize, Result<()>)>;
}

/// The model of a windowed codec, before it is decided where it runs.
pub enum WindowModel {
    /// Weights for `lm`, and the same model ready on the CPU, where `mix` uses it too.
    Lm(lm::weights::Weights, Arc<lm::Model>),
    /// An expanded circuit.
    Circuit(circuit::Model),
    /// Weights for `llm`, which are too large to be kept beside the model that is built from them.
    Llm(llm::Weights),
}

impl WindowModel {
    /// Joins the model to an accelerator where there is one, otherwise to the CPU.
    ///
    /// # Errors
    /// Those of [`Self::on_cpu`].
    pub fn coder(self, accelerator: Option<&dyn Accelerator>) -> Result<Arc<dyn WindowCoder>> {
        match accelerator {
            Some(accelerator) => accelerator.windows(self),
            None => self.on_cpu(),
        }
    }

    /// Prepares the model for the CPU.
    ///
    /// # Errors
    /// `Corrupt` where a sum of an `llm` model could overflow; `LimitExceeded` where memory is missing.
    pub fn on_cpu(self) -> Result<Arc<dyn WindowCoder>> {
        Ok(match self {
            Self::Lm(weights, model) => {
                // Only a device needs the weights: the model has its own copy.
                drop(weights);
                model
            }
            Self::Circuit(model) => Arc::new(model),
            Self::Llm(weights) => Arc::new(llm::Model::new(weights)?),
        })
    }
}
