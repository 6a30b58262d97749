//! Windowed codecs on a GPU.

use super::accelerator::GpuAccelerator;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::window::{
    Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock, all_windows,
};
use crate::error::Result;
use std::sync::Arc;

/// Loop iterations of a thread in one dispatch. A software driver (llvmpipe) silently ends loops after 65,535 in
/// all, and drivers of hardware end dispatches that take seconds.
pub const MAX_ITERATIONS: usize = 60_000;
/// Most windows that are coded together.
pub const MAX_LANES: usize = 4096;
/// Raw bytes of windows that are coded before they are read back.
pub const MAX_RAW: usize = 64 << 20;

/// A model as a GPU's kernels want it.
pub trait Kernels: Send + Sync {
    /// Decodes windows; returns the numbers of those whose payload no encoder writes.
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>>;

    /// Encodes blocks; `None` where that is the CPU's.
    fn encode(
        &self,
        _gpu: &Gpu,
        _blocks: &[&[u8]],
        _limits: WindowLimits,
    ) -> Outcome<Option<Vec<Vec<EncodedWindow>>>> {
        Ok(None)
    }
}

/// A model on a GPU, and on the CPU for what the GPU does not do or fails at.
pub struct Coder<K> {
    device: GpuAccelerator,
    kernels: K,
    cpu: Arc<dyn WindowCoder>,
}

impl<K: Kernels> Coder<K> {
    /// Joins the same model on both.
    pub fn new(device: GpuAccelerator, kernels: K, cpu: Arc<dyn WindowCoder>) -> Self {
        Self { device, kernels, cpu }
    }
}

impl<K: Kernels> WindowCoder for Coder<K> {
    fn cutting(&self, head: &[u8], chained: bool) -> Cutting {
        self.cpu.cutting(head, chained)
    }

    fn fits(&self, cutting: &Cutting, raw: &[u8]) -> bool {
        self.cpu.fits(cutting, raw)
    }

    fn encode(
        &self,
        blocks: &[&[u8]],
        cutting: &Cutting,
        limits: WindowLimits,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        if cutting.params.is_none() {
            let encoded = self.device.attempt(|gpu| self.kernels.encode(gpu, blocks, limits))?;
            if let Some(encoded) = encoded.flatten() {
                return Ok(encoded);
            }
        }
        self.cpu.encode(blocks, cutting, limits)
    }

    /// Kernels decode windows of blocks without parameters.
    fn decode(&self, blocks: Vec<WindowedBlock<'_>>) -> Result<()> {
        let (simple, other): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.params.is_none());
        if !other.is_empty() {
            self.cpu.decode(other)?;
        }
        let mut windows = all_windows(simple.into_iter());
        let mut open: Vec<_> = windows.iter_mut().filter(|job| !job.raw.is_empty()).collect();
        let corrupt = self.device.attempt(|gpu| self.kernels.decode(gpu, &mut open))?;
        let Some(corrupt) = corrupt else { return self.decode_on_cpu(windows) };
        // The CPU says what is wrong with them.
        corrupt.into_iter().try_for_each(|i| {
            let job = &mut *open[i];
            self.decode_on_cpu(vec![WindowJob { payload: job.payload, raw: &mut *job.raw }])
        })
    }

    fn fallback(&self) -> Option<&dyn WindowCoder> {
        self.device.falls_back().then_some(&*self.cpu)
    }
}

impl<K> Coder<K> {
    fn decode_on_cpu(&self, windows: Vec<WindowJob<'_>>) -> Result<()> {
        self.cpu.decode(vec![WindowedBlock { params: None, windows }])
    }
}
