//! Windowed codecs on a GPU.

use super::accelerator::GpuAccelerator;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::window::{
    Cutting, EncodedWindow, WindowCoder, WindowJob, WindowLimits, WindowedBlock, all_windows,
};
use crate::error::Result;
use crate::progress::Meter;
use std::sync::Arc;

/// A model packed for a GPU's kernels.
pub trait WindowKernels: Send + Sync {
    /// Decodes windows; returns the indices of those whose payload no encoder writes.
    fn decode(&self, gpu: &Gpu, jobs: &mut [&mut WindowJob<'_>]) -> Outcome<Vec<usize>>;

    /// Encodes blocks; `None` where the CPU must do it.
    fn encode(
        &self,
        _gpu: &Gpu,
        _blocks: &[&[u8]],
        _limits: WindowLimits,
    ) -> Outcome<Option<Vec<Vec<EncodedWindow>>>> {
        Ok(None)
    }
}

/// Codes windows with a model on a GPU, and with the same model on the CPU where the GPU has no kernel or
/// fails.
pub struct GpuCoder<K> {
    device: GpuAccelerator,
    kernels: K,
    cpu: Arc<dyn WindowCoder>,
}

impl<K: WindowKernels> GpuCoder<K> {
    /// Combines the same model on both.
    pub fn new(device: GpuAccelerator, kernels: K, cpu: Arc<dyn WindowCoder>) -> Self {
        Self { device, kernels, cpu }
    }
}

impl<K: WindowKernels> WindowCoder for GpuCoder<K> {
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
        meter: Meter<'_>,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        if cutting.params.is_none() {
            let encoded = self.device.attempt(|gpu| self.kernels.encode(gpu, blocks, limits))?;
            if let Some(encoded) = encoded.flatten() {
                meter.advance(blocks.iter().map(|b| b.len()).sum());
                return Ok(encoded);
            }
        }
        self.cpu.encode(blocks, cutting, limits, meter)
    }

    /// The GPU decodes windows of blocks without parameters, the CPU those of other blocks.
    fn decode(&self, blocks: Vec<WindowedBlock<'_>>, memory: u64, meter: Meter<'_>) -> Result<()> {
        let (simple, other): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.params.is_none());
        if !other.is_empty() {
            self.cpu.decode(other, memory, meter)?;
        }
        let mut windows = all_windows(simple.into_iter());
        let mut open: Vec<_> = windows.iter_mut().filter(|job| !job.raw.is_empty()).collect();
        let corrupt = self.device.attempt(|gpu| self.kernels.decode(gpu, &mut open))?;
        let Some(corrupt) = corrupt else { return self.decode_on_cpu(windows, memory, meter) };
        meter.advance(open.iter().map(|job| job.raw.len()).sum());
        // The CPU decodes them again to find the error.
        corrupt.into_iter().try_for_each(|i| {
            let job = &mut *open[i];
            let job = WindowJob { payload: job.payload, raw: &mut *job.raw };
            self.decode_on_cpu(vec![job], memory, Meter::NONE)
        })
    }

    fn fallback(&self) -> Option<&dyn WindowCoder> {
        self.device.falls_back().then_some(&*self.cpu)
    }
}

impl<K> GpuCoder<K> {
    fn decode_on_cpu(&self, windows: Vec<WindowJob<'_>>, memory: u64, meter: Meter<'_>) -> Result<()> {
        self.cpu.decode(vec![WindowedBlock { params: None, windows }], memory, meter)
    }
}
