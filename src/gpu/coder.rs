//! Windowed codecs on a GPU.

use super::accelerator::GpuAccelerator;
use super::context::Gpu;
use super::fault::Outcome;
use crate::codec::layout::{Arrangement, Layout};
use crate::codec::window::{ChainJob, EncodedWindow, WindowCoder, WindowJob, WindowLimits};
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
    fn encode_blocks(&self, blocks: &[&[u8]], limits: WindowLimits) -> Result<Vec<Vec<EncodedWindow>>> {
        let encoded = self.device.attempt(|gpu| self.kernels.encode(gpu, blocks, limits))?;
        encoded.flatten().map_or_else(|| self.cpu.encode_blocks(blocks, limits), Ok)
    }

    fn decode_windows(&self, jobs: &mut [WindowJob<'_>]) -> Result<()> {
        let mut windows: Vec<_> = jobs.iter_mut().filter(|job| !job.raw.is_empty()).collect();
        match self.device.attempt(|gpu| self.kernels.decode(gpu, &mut windows))? {
            None => self.cpu.decode_windows(jobs),
            // The CPU says what is wrong with them.
            Some(corrupt) => corrupt.into_iter().try_for_each(|i| {
                let job = &mut *windows[i];
                self.cpu.decode_windows(&mut [WindowJob { payload: job.payload, raw: &mut *job.raw }])
            }),
        }
    }

    fn encode_chains(
        &self,
        blocks: &[&[u8]],
        limits: WindowLimits,
    ) -> Result<(Vec<u8>, Vec<Vec<EncodedWindow>>)> {
        self.cpu.encode_chains(blocks, limits)
    }

    fn decode_chains(&self, jobs: &mut [ChainJob<'_>]) -> Result<()> {
        self.cpu.decode_chains(jobs)
    }

    fn fallback(&self) -> Option<&dyn WindowCoder> {
        self.device.falls_back().then_some(&*self.cpu)
    }

    fn record(&self) -> usize {
        self.cpu.record()
    }

    fn layout(&self, head: &[u8]) -> Option<Layout> {
        self.cpu.layout(head)
    }

    fn encode_records(
        &self,
        arrangement: &Arrangement,
        blocks: &[&[u8]],
        limits: WindowLimits,
    ) -> Result<Vec<Vec<EncodedWindow>>> {
        self.cpu.encode_records(arrangement, blocks, limits)
    }

    fn decode_records(&self, params: &[u8], jobs: &mut [WindowJob<'_>]) -> Result<()> {
        self.cpu.decode_records(params, jobs)
    }
}
