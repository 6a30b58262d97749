//! An opened GPU as codecs use it: with or without the CPU as a fallback.

use super::coder::GpuCoder;
use super::context::Gpu;
use super::device::{GpuCounters, GpuInfo, TensorBuffer, Wanted};
use super::fault::{Fault, Outcome};
use super::lanes::MAX_LANES;
use super::{circuit, llm, lm, tensor};
use crate::codec::acceleration::{Accelerator, WindowModel};
use crate::codec::tensor::TileDecoder;
use crate::codec::window::WindowCoder;
use crate::error::{Error, ErrorKind, Result};
use crate::format::block::BlockHeader;
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use super::adapter::list;
pub use wgpu::Buffer;

/// An opened GPU, and what happens when it fails: either the CPU takes over, or the failure is an error.
/// Clones share the GPU.
#[derive(Clone)]
pub struct GpuAccelerator {
    gpu: Arc<Gpu>,
    falls_back: bool,
    /// The first failure after which the CPU took over.
    warning: Arc<Mutex<Option<String>>>,
}

impl GpuAccelerator {
    /// Opens a GPU whose work the CPU takes over when it fails.
    ///
    /// # Errors
    /// `Device` where no GPU matches `wanted`, or where it cannot be opened.
    pub fn open(wanted: Wanted<'_>) -> Result<Self> {
        let gpu = Gpu::open(wanted).map_err(error)?;
        Ok(Self { gpu: Arc::new(gpu), falls_back: true, warning: Arc::default() })
    }

    /// The same GPU, with failures as errors.
    pub fn without_fallback(self) -> Self {
        Self { falls_back: false, warning: Arc::default(), ..self }
    }

    /// The GPU itself.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The driver's description of it.
    pub fn info(&self) -> &GpuInfo {
        self.gpu.info()
    }

    /// The counts of its work so far.
    pub fn counters(&self) -> GpuCounters {
        self.gpu.counters()
    }

    /// Whether the CPU takes over work at which the GPU fails.
    pub fn falls_back(&self) -> bool {
        self.falls_back
    }

    /// The first failure after which the CPU took over, if there was one.
    pub fn warning(&self) -> Option<String> {
        self.noted().clone()
    }

    /// Does work on the GPU; `None` where it fails and the CPU must do the work.
    ///
    /// # Errors
    /// `Device` for failures without the CPU as a fallback.
    pub fn attempt<T>(&self, work: impl FnOnce(&Gpu) -> Outcome<T>) -> Result<Option<T>> {
        match self.gpu.check().and_then(|()| work(&self.gpu)) {
            Ok(done) => Ok(Some(done)),
            Err(Fault(why)) if self.falls_back => {
                self.noted().get_or_insert(why);
                Ok(None)
            }
            Err(fault) => Err(error(fault)),
        }
    }

    /// Whether there are kernels for the tiles of a block.
    pub fn takes(&self, decoder: &TileDecoder) -> bool {
        tensor::fits(decoder.params())
    }

    /// Decodes tiles of a block that it [takes](Self::takes), and leaves them in the GPU's memory; `None`
    /// where the GPU fails and the CPU must decode them. See [`Accelerator::tiles`].
    ///
    /// # Errors
    /// All errors of decoding; `Device` for failures without the CPU as a fallback.
    pub fn tiles_to_buffer(
        &self,
        decoder: &TileDecoder,
        header: &BlockHeader,
        payload: &[u8],
        units: Range<usize>,
    ) -> Result<Option<TensorBuffer>> {
        self.attempt(|gpu| tensor::resident(gpu, decoder, header, payload, units))?.transpose()
    }

    /// Copies verified raw bytes to the GPU's memory.
    ///
    /// # Errors
    /// `Device` where that fails.
    pub fn upload(&self, raw: &[u8]) -> Result<TensorBuffer> {
        tensor::upload(&self.gpu, raw).map_err(error)
    }

    fn noted(&self) -> MutexGuard<'_, Option<String>> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(fault: Fault) -> Error {
    Error::new(ErrorKind::Device, fault.0)
}

impl Accelerator for GpuAccelerator {
    fn lanes(&self) -> usize {
        MAX_LANES
    }

    fn windows(&self, model: WindowModel) -> Result<Arc<dyn WindowCoder>> {
        let gpu = self.clone();
        Ok(match model {
            WindowModel::Lm(weights, cpu) => Arc::new(GpuCoder::new(gpu, lm::PackedLm::new(&weights), cpu)),
            WindowModel::Circuit(model) => {
                Arc::new(GpuCoder::new(gpu, circuit::PackedCircuit::new(&model), Arc::new(model)))
            }
            WindowModel::Llm(weights) => {
                let steps = llm::Steps::new(weights)?;
                let cpu = steps.model();
                Arc::new(GpuCoder::new(gpu, steps, cpu))
            }
        })
    }

    fn tiles(
        &self,
        decoder: &dyn Any,
        header: &BlockHeader,
        payload: &[u8],
        units: Range<usize>,
        raw: &mut [u8],
    ) -> Option<(usize, Result<()>)> {
        let decoder = decoder.downcast_ref().filter(|decoder| self.takes(decoder))?;
        match self.attempt(|gpu| tensor::tiles(gpu, decoder, header, payload, units, raw)) {
            // An error found on the GPU may be the GPU's own fault: the CPU has the last word.
            Ok(done) => done.filter(|done| done.1.is_ok() || !self.falls_back),
            Err(e) => Some((0, Err(e))),
        }
    }
}
